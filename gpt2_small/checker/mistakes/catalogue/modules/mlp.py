"""List the known mistakes in the MLP."""

from gpt2_small.checker.mistakes.catalogue.modules.families import (
    fixed_rates,
    initialisations,
    plain_tensors,
)
from gpt2_small.checker.mistakes.mistake import Mistake

PART = "MLP"
_W_IN = "self.W_in = normal_parameter(config.d_model, config.d_mlp, std=config.init_std)"
_W_OUT = "self.W_out = normal_parameter(config.d_mlp, config.d_model, std=residual_std(config))"
_B_IN = "self.b_in = nn.Parameter(torch.zeros(config.d_mlp))"
_B_OUT = "self.b_out = nn.Parameter(torch.zeros(config.d_model))"
_PRE = "pre = F.linear(residual, self.W_in.T, self.b_in)"
_PRE_WITHOUT_BIAS = "pre = residual @ self.W_in"
_GELU = 'return F.gelu(pre, approximate="tanh")'
_POST = "post = self.hook_post(gelu_tanh(self.hook_pre(pre)))"
_OUTPUT = "output = F.linear(post, self.W_out.T, self.b_out)"
_OUTPUT_WITHOUT_BIAS = "output = post @ self.W_out"
_END = "return self.output_dropout(output)"
_LAYER = "self.output_dropout = nn.Dropout(config.dropout)\n        self.hook_pre = nn.Identity()"

_ACTIVATION_HINTS = (
    "Give your activation -1, 0, 1 and 2, and compare with gelu_tanh.",
    "GPT-2's activation is the tanh approximation of GELU.",
    '0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), or F.gelu(x, approximate="tanh")',
)
_FORMULA_HINTS = (
    "Give your activation -1, 0, 1 and 2, and compare with F.gelu.",
    (
        "Go through the formula number by number: a half, one plus, a square root, a small "
        "constant, a cube."
    ),
    "0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))",
)
_ORDER_HINTS = (
    "In which order do products, biases and activation come?",
    (
        "A product, its bias, the activation, a product, its bias; the activation acts once, "
        "in the middle."
    ),
    "output = gelu_tanh(x @ W_in + b_in) @ W_out + b_out",
)
_DROPOUT_HINTS = (
    "Set dropout to 0.5. What is zero in training mode, and in evaluation mode?",
    (
        "In training, and only then, elements of the output are dropped, with probability "
        "config.dropout."
    ),
    "return Dropout(config.dropout)(output + b_out)",
)
_INIT_HINTS = (
    "What are the standard deviations of fresh parameters?",
    (
        "Weights are drawn with init_std, biases start at 0, and W_out, which writes into the "
        "stream, is narrower by sqrt(2 n_layers)."
    ),
    "W_out: std = init_std / sqrt(2 * n_layers)",
)
_SHAPE_HINTS = (
    "Print the names and shapes of its parameters.",
    "W_in: [d_model d_mlp], W_out: [d_mlp d_model]; d_mlp is the configuration's.",
    "self.W_in = nn.Parameter(torch.empty(config.d_model, config.d_mlp))",
)
_TAPS_HINTS = (
    "The output is right; an activation on the way is not.",
    "hook_pre stands after b_in, before the activation; hook_post after the activation.",
    "post = hook_post(gelu_tanh(hook_pre(x @ W_in + b_in)))",
)

MISTAKES = [
    Mistake(
        id="mlp-exact-gelu",
        component=PART,
        old=_GELU,
        new="return F.gelu(pre)",
        sentence="uses the exact GELU, with erf, instead of its tanh approximation",
        hints=(
            "Your activation is off by at most 0.0005, and only around 2.",
            "GPT-2 was trained with an approximation of GELU.",
            '0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), or F.gelu(x, approximate="tanh")',
        ),
    ),
    Mistake(
        id="mlp-relu",
        component=PART,
        old=_GELU,
        new="return pre.relu()",
        sentence="uses ReLU as its activation",
        hints=(
            "What does your activation make of -1? It should not be 0.",
            "GPT-2's activation is GELU.",
            'F.gelu(x, approximate="tanh")',
        ),
    ),
    Mistake(
        id="mlp-no-activation",
        component=PART,
        old=_GELU,
        new="return pre",
        sentence="has no activation between its two matrices",
        hints=(
            "Two matrices in a row are one matrix.",
            "Something that is not linear stands between W_in and W_out.",
            "post = gelu_tanh(pre + b_in)",
        ),
    ),
    Mistake(
        id="mlp-b-in-unused",
        component=PART,
        old=_PRE,
        new=_PRE_WITHOUT_BIAS,
        sentence="does not add b_in",
        hints=(
            "A fresh bias is 0, so you do not see it; look at its gradient.",
            "Both matrices have a bias.",
            "pre = x @ W_in + b_in",
        ),
    ),
    Mistake(
        id="mlp-b-in-after-activation",
        component=PART,
        old=_POST,
        new="post = self.hook_post(gelu_tanh(self.hook_pre(pre)) + self.b_in)",
        also=((_PRE, _PRE_WITHOUT_BIAS),),
        sentence="adds b_in after the activation instead of before it",
        hints=(
            "In which order do the bias and the activation come?",
            "The bias belongs to the matrix product.",
            "post = gelu_tanh(x @ W_in + b_in)",
        ),
    ),
    Mistake(
        id="mlp-silu",
        component=PART,
        old=_GELU,
        new="return F.silu(pre)",
        sentence="uses SiLU as its activation",
        hints=_ACTIVATION_HINTS,
    ),
    Mistake(
        id="mlp-sigmoid-gelu",
        component=PART,
        old=_GELU,
        new="return pre * torch.sigmoid(1.702 * pre)",
        sentence="uses x sigmoid(1.702 x), another approximation of GELU",
        hints=_ACTIVATION_HINTS,
    ),
    Mistake(
        id="mlp-tanh",
        component=PART,
        old=_GELU,
        new="return pre.tanh()",
        sentence="uses tanh as its activation",
        hints=_ACTIVATION_HINTS,
    ),
    Mistake(
        id="mlp-sigmoid",
        component=PART,
        old=_GELU,
        new="return pre.sigmoid()",
        sentence="uses the sigmoid as its activation",
        hints=_ACTIVATION_HINTS,
    ),
    Mistake(
        id="mlp-leaky-relu",
        component=PART,
        old=_GELU,
        new="return F.leaky_relu(pre)",
        sentence="uses a leaky ReLU as its activation",
        hints=_ACTIVATION_HINTS,
    ),
    Mistake(
        id="mlp-squared-relu",
        component=PART,
        old=_GELU,
        new="return pre.relu().square()",
        sentence="uses the square of ReLU as its activation",
        hints=_ACTIVATION_HINTS,
    ),
    Mistake(
        id="mlp-elu",
        component=PART,
        old=_GELU,
        new="return F.elu(pre)",
        sentence="uses ELU as its activation",
        hints=_ACTIVATION_HINTS,
    ),
    Mistake(
        id="mlp-gelu-root-missing",
        component=PART,
        old=_GELU,
        new=("return 0.5 * pre * (1 + torch.tanh(2 / math.pi * (pre + 0.044715 * pre**3)))"),
        sentence="has 2 / pi in GELU instead of its square root",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-root-inverted",
        component=PART,
        old=_GELU,
        new=(
            "return 0.5 * pre * (1 + torch.tanh(math.sqrt(math.pi / 2) * (pre + "
            "0.044715 * pre**3)))"
        ),
        sentence="has sqrt(pi / 2) in GELU instead of sqrt(2 / pi)",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-root-of-2-pi",
        component=PART,
        old=_GELU,
        new=(
            "return 0.5 * pre * (1 + torch.tanh(math.sqrt(2 * math.pi) * (pre + "
            "0.044715 * pre**3)))"
        ),
        sentence="has sqrt(2 pi) in GELU instead of sqrt(2 / pi)",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-product-for-cube",
        component=PART,
        old=_GELU,
        new=(
            "return 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + "
            "0.044715 * pre * 3)))"
        ),
        sentence="multiplies by 3 in GELU instead of cubing",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-constant-0.44715",
        component=PART,
        old=_GELU,
        new=(
            "return 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.44715 * pre**3)))"
        ),
        sentence="has 0.44715 in GELU instead of 0.044715",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-constant-0.004715",
        component=PART,
        old=_GELU,
        new=(
            "return 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + "
            "0.0044715 * pre**3)))"
        ),
        sentence="has 0.0044715 in GELU instead of 0.044715",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-constant-0.044175",
        component=PART,
        old=_GELU,
        new=(
            "return 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + "
            "0.044175 * pre**3)))"
        ),
        sentence="has 0.044175 in GELU instead of 0.044715: two digits changed places",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-cube-unscaled",
        component=PART,
        old=_GELU,
        new=(
            "return 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * pre + 0.044715 * pre**3))"
        ),
        sentence="multiplies x alone by sqrt(2 / pi) in GELU, and not the sum with the cube",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-root-outside",
        component=PART,
        old=_GELU,
        new=(
            "return 0.5 * pre * (1 + math.sqrt(2 / math.pi) * torch.tanh(pre + 0.044715 * pre**3))"
        ),
        sentence="multiplies the tanh of GELU by sqrt(2 / pi) instead of its argument",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-half-missing",
        component=PART,
        old=_GELU,
        new=("return pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))"),
        sentence="leaves out the half of GELU",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-one-missing",
        component=PART,
        old=_GELU,
        new=("return 0.5 * pre * torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3))"),
        sentence="leaves out the 1 + of GELU",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-cube-of-sum",
        component=PART,
        old=_GELU,
        new=(
            "return 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + "
            "0.044715 * pre) ** 3))"
        ),
        sentence="cubes the whole sum in GELU: a parenthesis stands in the wrong place",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-square",
        component=PART,
        old=_GELU,
        new=(
            "return 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + "
            "0.044715 * pre**2)))"
        ),
        sentence="has a square in GELU instead of the cube",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-gelu-x-missing",
        component=PART,
        old=_GELU,
        new=("return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))"),
        sentence="does not multiply by x in GELU",
        hints=_FORMULA_HINTS,
    ),
    Mistake(
        id="mlp-activation-twice",
        component=PART,
        old=_POST,
        new="post = self.hook_post(gelu_tanh(gelu_tanh(self.hook_pre(pre))))",
        sentence="applies its activation twice",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="mlp-activation-at-the-end",
        component=PART,
        old=_POST,
        new="post = self.hook_post(self.hook_pre(pre))",
        also=((_END, "return self.output_dropout(gelu_tanh(output))"),),
        sentence="applies its activation after W_out instead of before",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="mlp-activation-also-at-the-end",
        component=PART,
        old=_END,
        new="return self.output_dropout(gelu_tanh(output))",
        sentence="applies its activation to the output as well",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="mlp-b-out-unused",
        component=PART,
        old=_OUTPUT,
        new=_OUTPUT_WITHOUT_BIAS,
        sentence="does not add b_out",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="mlp-biases-unused",
        component=PART,
        old=_PRE,
        new=_PRE_WITHOUT_BIAS,
        also=((_OUTPUT, _OUTPUT_WITHOUT_BIAS),),
        sentence="adds neither b_in nor b_out",
        hints=_ORDER_HINTS,
    ),
    Mistake(
        id="mlp-adds-its-input",
        component=PART,
        old=_END,
        new="return residual + self.output_dropout(output)",
        sentence="adds its input to its output: that is the block's work",
        hints=(
            "What does it give when W_out and b_out are 0? It should be 0.",
            "The residual stream is added to in the block.",
            "output = gelu_tanh(x @ W_in + b_in) @ W_out + b_out",
        ),
    ),
    Mistake(
        id="mlp-fixed-width",
        component=PART,
        old=_W_IN,
        new=(
            "self.W_in = normal_parameter(config.d_model, 4 * config.d_model, std=config.init_std)"
        ),
        also=(
            (
                _W_OUT,
                (
                    "self.W_out = normal_parameter(4 * config.d_model, config.d_model, "
                    "std=residual_std(config))"
                ),
            ),
            (_B_IN, "self.b_in = nn.Parameter(torch.zeros(4 * config.d_model))"),
        ),
        sentence="makes its hidden layer 4 d_model wide instead of d_mlp",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="mlp-weights-transposed",
        component=PART,
        old=_W_IN,
        new=("self.W_in = normal_parameter(config.d_mlp, config.d_model, std=config.init_std)"),
        also=((_PRE, "pre = F.linear(residual, self.W_in, self.b_in)"),),
        sentence="stores W_in as [d_mlp d_model], as nn.Linear does",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="mlp-other-names",
        component=PART,
        old=_W_IN,
        new=("self.fc1 = normal_parameter(config.d_model, config.d_mlp, std=config.init_std)"),
        also=((_PRE, "pre = F.linear(residual, self.fc1.T, self.b_in)"),),
        sentence=("calls its first weight other than W_in, so that GPT-2's weights do not load"),
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="mlp-dropout-missing",
        component=PART,
        old=_END,
        new="return output",
        sentence="has no dropout",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="mlp-dropout-same-for-all-rows",
        component=PART,
        old=_END,
        new="return output * self.output_dropout(torch.ones_like(output[:1]))",
        sentence="drops the same elements in every row of the batch",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="mlp-dropout-of-whole-positions",
        component=PART,
        old=_END,
        new="return output * self.output_dropout(torch.ones_like(output[..., :1]))",
        sentence="drops all features of a position or none",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="mlp-dropout-in-evaluation",
        component=PART,
        old=_END,
        new="return F.dropout(output, self.output_dropout.p)",
        sentence="drops elements of the output in evaluation mode as well",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="mlp-dropout-of-hidden-layer",
        component=PART,
        old=_POST,
        new="post = self.output_dropout(self.hook_post(gelu_tanh(self.hook_pre(pre))))",
        also=((_END, "return output"),),
        sentence="drops elements before the output, of its input or the hidden layer, instead",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="mlp-dropout-twice",
        component=PART,
        old=_POST,
        new="post = self.output_dropout(self.hook_post(gelu_tanh(self.hook_pre(pre))))",
        sentence="drops elements of the hidden layer as well as of the output",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="mlp-dropout-before-bias",
        component=PART,
        old=_OUTPUT,
        new=_OUTPUT_WITHOUT_BIAS,
        also=((_END, "return self.output_dropout(output) + self.b_out"),),
        sentence="adds b_out after dropout, so that the bias is never dropped",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="mlp-dropout-fixed",
        component=PART,
        old=(
            "self.W_out = normal_parameter(config.d_mlp, config.d_model, "
            "std=residual_std(config))\n"
            "        self.b_out = nn.Parameter(torch.zeros(config.d_model))\n"
            "        self.output_dropout = nn.Dropout(config.dropout)"
        ),
        new=(
            "self.W_out = normal_parameter(config.d_mlp, config.d_model, "
            "std=residual_std(config))\n"
            "        self.b_out = nn.Parameter(torch.zeros(config.d_model))\n"
            "        self.output_dropout = nn.Dropout(0.1)"
        ),
        sentence="drops a tenth whatever config.dropout is",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="mlp-w-out-init-like-w-in",
        component=PART,
        old=_W_OUT,
        new=("self.W_out = normal_parameter(config.d_mlp, config.d_model, std=config.init_std)"),
        sentence="draws W_out as wide as W_in",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="mlp-w-out-init-by-n-layers",
        component=PART,
        old=_W_OUT,
        new=(
            "self.W_out = normal_parameter(config.d_mlp, config.d_model, "
            "std=config.init_std / math.sqrt(config.n_layers))"
        ),
        sentence=("scales W_out's initialisation by sqrt(n_layers) instead of sqrt(2 n_layers)"),
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="mlp-w-in-init-narrow",
        component=PART,
        old=_W_IN,
        new=(
            "self.W_in = normal_parameter(config.d_model, config.d_mlp, std=residual_std(config))"
        ),
        sentence="draws W_in as narrow as W_out",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="mlp-init-fixed",
        component=PART,
        old=_W_IN,
        new="self.W_in = normal_parameter(config.d_model, config.d_mlp, std=0.02)",
        sentence="draws W_in with 0.02 whatever init_std says",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="mlp-init-by-width",
        component=PART,
        old=_W_IN,
        new=(
            "self.W_in = normal_parameter(config.d_model, config.d_mlp, std=config.d_model**-0.5)"
        ),
        sentence="draws W_in with 1/sqrt(d_model) instead of init_std",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="mlp-bias-random",
        component=PART,
        old=_B_IN,
        new="self.b_in = normal_parameter(config.d_mlp, std=config.init_std)",
        sentence="draws b_in at random instead of starting at 0",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="mlp-tap-pre-before-bias",
        component=PART,
        old=_POST,
        new="post = self.hook_post(gelu_tanh(self.hook_pre(pre) + self.b_in))",
        also=((_PRE, _PRE_WITHOUT_BIAS),),
        sentence="shows the hidden layer at hook_pre before b_in is added",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="mlp-tap-post-before-activation",
        component=PART,
        old=_POST,
        new="post = gelu_tanh(self.hook_post(self.hook_pre(pre)))",
        sentence="shows the hidden layer at hook_post before the activation",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="mlp-formula",
        component=PART,
        old=_GELU,
        new=(
            "return 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + "
            "0.044715 * pre**3)))"
        ),
        sentence="writes the tanh approximation out",
        equivalent=True,
    ),
    Mistake(
        id="mlp-w-out-init-root-added",
        component=PART,
        old=_W_OUT,
        new=(
            "self.W_out = normal_parameter(config.d_mlp, config.d_model, "
            "std=config.init_std + (2 * config.n_layers) ** -0.5)"
        ),
        sentence="adds 1/sqrt(2 n_layers) to init_std instead of multiplying",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="mlp-softplus",
        component=PART,
        old=_POST,
        new="post = self.hook_post(F.softplus(self.hook_pre(pre)))",
        sentence="uses softplus as its activation",
        hints=_ACTIVATION_HINTS,
    ),
    Mistake(
        id="mlp-mish",
        component=PART,
        old=_POST,
        new="post = self.hook_post(F.mish(self.hook_pre(pre)))",
        sentence="uses Mish as its activation",
        hints=_ACTIVATION_HINTS,
    ),
    Mistake(
        id="mlp-softmax",
        component=PART,
        old=_POST,
        new="post = self.hook_post(self.hook_pre(pre).softmax(dim=-1))",
        sentence="uses a softmax as its activation",
        hints=_ACTIVATION_HINTS,
    ),
    *fixed_rates(PART, "mlp", (_LAYER,), _DROPOUT_HINTS, (0.2, 0.5)),
    *initialisations(
        PART,
        "mlp",
        {
            _W_IN: ("config.d_model, config.d_mlp", "config.d_model"),
            _W_OUT: ("config.d_mlp, config.d_model", "config.d_mlp"),
        },
        _INIT_HINTS,
    ),
    plain_tensors(
        PART,
        "mlp-biases",
        "its biases",
        {_B_IN: "torch.zeros(config.d_mlp)", _B_OUT: "torch.zeros(config.d_model)"},
    ),
]
