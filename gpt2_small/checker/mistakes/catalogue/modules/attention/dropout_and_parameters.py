"""List the known mistakes in MultiHeadAttention: dropout, initialisation, parameters, taps."""

from gpt2_small.checker.mistakes.catalogue.modules.families import (
    fixed_rates,
    initialisations,
    plain_tensors,
)
from gpt2_small.checker.mistakes.mistake import Mistake

PART = "MultiHeadAttention"
_W_O = "self.W_O = normal_parameter(heads, d_head, d_model, std=residual_std(config))"
_W_Q = "self.W_Q = normal_parameter(heads, d_model, d_head, std=config.init_std)"
_B_Q = "self.b_Q = nn.Parameter(torch.zeros(heads, d_head))"
_WIDTH = "self.d_head = d_head"
_OUTPUT = "return self.output_dropout(output + self.b_O)"
_PATTERN = "pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=-1))"
_DROPPED = "self.pattern_dropout(pattern),"
_PATTERN_LAYER = "self.pattern_dropout = nn.Dropout(config.dropout)"
_OUTPUT_LAYER = (
    "self.output_dropout = nn.Dropout(config.dropout)\n        self.hook_q = nn.Identity()"
)

_DROPOUT_HINTS = (
    "Set dropout to 0.5. What is zero in training mode, and in evaluation mode?",
    (
        "In training, and only then, entries of the pattern and elements of the output are "
        "dropped, each with probability config.dropout."
    ),
    "pattern = Dropout(p)(pattern); output = Dropout(p)(output + b_O)",
)
_INIT_HINTS = (
    "What are the standard deviations of fresh parameters?",
    (
        "Weights are drawn with init_std, biases start at 0, and W_O, which writes into the "
        "stream, is narrower by sqrt(2 n_layers)."
    ),
    "W_O: std = init_std / sqrt(2 * n_layers)",
)
_EXTRA_HINTS = (
    "List its parameters and its state dict. Is there more than the contract names?",
    "A mask is not learned, and need not be saved.",
    'register_buffer("mask", mask, persistent=False), or make it in forward',
)
_NAMES_HINTS = (
    "Print the names and shapes of its parameters.",
    (
        "W_Q, W_K, W_V: [head d_model d_head]; W_O: [head d_head d_model]; b_Q, b_K, b_V: "
        "[head d_head]; b_O: [d_model]."
    ),
    "self.W_Q = nn.Parameter(torch.empty(n_heads, d_model, d_head))",
)
_TAPS_HINTS = (
    "The output is right; an activation on the way is not.",
    (
        "hook_q, hook_k, hook_v stand after the bias, hook_attn_scores after scaling and mask, "
        "hook_pattern after the softmax."
    ),
    "pattern = hook_pattern(softmax(hook_attn_scores(masked scores)))",
)

MISTAKES = [
    Mistake(
        id="attention-pattern-dropout-missing",
        component=PART,
        old=_DROPPED,
        new="pattern,",
        sentence="does not drop entries of the pattern in training",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-pattern-dropout-same-for-all-heads",
        component=PART,
        old=_DROPPED,
        new="pattern * self.pattern_dropout(torch.ones_like(pattern[:, :1])),",
        sentence="drops the same entries of the pattern in every head",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-pattern-dropout-same-for-all-rows",
        component=PART,
        old=_DROPPED,
        new="pattern * self.pattern_dropout(torch.ones_like(pattern[:1])),",
        sentence="drops the same entries of the pattern in every row of the batch",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-pattern-dropout-same-for-all-queries",
        component=PART,
        old=_DROPPED,
        new="pattern * self.pattern_dropout(torch.ones_like(pattern[:, :, :1])),",
        sentence="drops the same keys for every query",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-pattern-dropout-same-for-all",
        component=PART,
        old=_DROPPED,
        new="pattern * self.pattern_dropout(torch.ones_like(pattern[:1, :1])),",
        sentence="drops the same entries of the pattern in every row and head",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-output-dropout-missing",
        component=PART,
        old=_OUTPUT,
        new="return output + self.b_O",
        sentence="does not drop elements of the output in training",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-dropout-missing",
        component=PART,
        old=_DROPPED,
        new="pattern,",
        also=((_OUTPUT, "return output + self.b_O"),),
        sentence="has no dropout",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-pattern-dropout-in-evaluation",
        component=PART,
        old=_DROPPED,
        new="F.dropout(pattern, self.pattern_dropout.p),",
        sentence="drops entries of the pattern in evaluation mode as well",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-output-dropout-in-evaluation",
        component=PART,
        old=_OUTPUT,
        new="return F.dropout(output + self.b_O, self.output_dropout.p)",
        sentence="drops elements of the output in evaluation mode as well",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-dropout-before-bias",
        component=PART,
        old=_OUTPUT,
        new="return self.output_dropout(output) + self.b_O",
        sentence="adds b_O after dropout, so that the bias is never dropped",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-dropout-fixed",
        component=PART,
        old="self.pattern_dropout = nn.Dropout(config.dropout)",
        new="self.pattern_dropout = nn.Dropout(0.1)",
        sentence="drops a tenth of the pattern whatever config.dropout is",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-scores-dropped",
        component=PART,
        old=_PATTERN,
        new=(
            "pattern = "
            "self.hook_pattern(self.hook_attn_scores(self.pattern_dropout("
            "scores.masked_fill(mask.isinf(), -1e5)) + mask).softmax(dim=-1))"
        ),
        also=((_DROPPED, "pattern,"),),
        sentence="drops scores instead of entries of the pattern",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-dropout-not-rescaled",
        component=PART,
        old=_DROPPED,
        new=(
            "pattern * (torch.rand_like(pattern) >= self.pattern_dropout.p) if "
            "self.training else pattern,"
        ),
        sentence="drops entries of the pattern without dividing the rest by 1 - p",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-w-o-init-like-the-rest",
        component=PART,
        old=_W_O,
        new="self.W_O = normal_parameter(heads, d_head, d_model, std=config.init_std)",
        sentence="draws W_O as wide as the other weights",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="attention-w-o-init-by-n-layers",
        component=PART,
        old=_W_O,
        new=(
            "self.W_O = normal_parameter(heads, d_head, d_model, std=config.init_std "
            "/ math.sqrt(config.n_layers))"
        ),
        sentence=("scales W_O's initialisation by sqrt(n_layers) instead of sqrt(2 n_layers)"),
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="attention-w-o-init-without-root",
        component=PART,
        old=_W_O,
        new=(
            "self.W_O = normal_parameter(heads, d_head, d_model, std=config.init_std "
            "/ (2 * config.n_layers))"
        ),
        sentence="scales W_O's initialisation by 2 n_layers instead of its square root",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="attention-w-o-init-zeros",
        component=PART,
        old=_W_O,
        new="self.W_O = nn.Parameter(torch.zeros(heads, d_head, d_model))",
        sentence="starts W_O at 0",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="attention-init-fixed",
        component=PART,
        old=_W_Q,
        new="self.W_Q = normal_parameter(heads, d_model, d_head, std=0.02)",
        sentence="draws W_Q with 0.02 whatever init_std says",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="attention-init-standard-normal",
        component=PART,
        old=_W_Q,
        new="self.W_Q = normal_parameter(heads, d_model, d_head, std=1.0)",
        sentence="draws W_Q with a standard deviation of 1",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="attention-init-by-width",
        component=PART,
        old=_W_Q,
        new="self.W_Q = normal_parameter(heads, d_model, d_head, std=d_model**-0.5)",
        sentence="draws W_Q with 1/sqrt(d_model) instead of init_std",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="attention-bias-random",
        component=PART,
        old=_B_Q,
        new="self.b_Q = normal_parameter(heads, d_head, std=config.init_std)",
        sentence="draws b_Q at random instead of starting at 0",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="attention-mask-trainable",
        component=PART,
        old=_WIDTH,
        new=(
            "self.d_head = d_head\n"
            "        self.mask = nn.Parameter(torch.ones(config.n_ctx, "
            "config.n_ctx).tril())"
        ),
        sentence="keeps its mask in a Parameter, so that it is trained",
        hints=_EXTRA_HINTS,
    ),
    Mistake(
        id="attention-mask-saved",
        component=PART,
        old=_WIDTH,
        new=(
            "self.d_head = d_head\n"
            '        self.register_buffer("mask", torch.ones(config.n_ctx, '
            "config.n_ctx).tril())"
        ),
        sentence="saves its mask in the state dict",
        hints=_EXTRA_HINTS,
    ),
    Mistake(
        id="attention-extra-scale",
        component=PART,
        old=_WIDTH,
        new=("self.d_head = d_head\n        self.temperature = nn.Parameter(torch.ones(heads))"),
        sentence="has a trainable tensor that the contract does not have",
        hints=_EXTRA_HINTS,
    ),
    Mistake(
        id="attention-mask-on-cpu",
        component=PART,
        old="similarity.new_full((seq, seq), -math.inf)",
        new="torch.full((seq, seq), -math.inf, dtype=similarity.dtype)",
        sentence="makes its mask on the CPU whatever the device of its input is",
        hints=(
            "Would it work on a GPU?",
            "What is made in the forward pass must be where the input is.",
            "torch.full((seq, seq), -inf, device=x.device)",
        ),
    ),
    Mistake(
        id="attention-weights-d-model-first",
        component=PART,
        old=_W_Q,
        new="self.W_Q = normal_parameter(d_model, heads, d_head, std=config.init_std)",
        also=(
            (
                "einsum(residual, self.W_Q, project)",
                "einsum(residual, self.W_Q.transpose(0, 1), project)",
            ),
        ),
        sentence="stores W_Q as [d_model head d_head]",
        hints=_NAMES_HINTS,
    ),
    Mistake(
        id="attention-bias-flat",
        component=PART,
        old=_B_Q,
        new="self.b_Q = nn.Parameter(torch.zeros(d_model))",
        also=(("project) + self.b_Q", "project) + self.b_Q.view(self.b_K.shape)"),),
        sentence="stores b_Q as [d_model]",
        hints=_NAMES_HINTS,
    ),
    Mistake(
        id="attention-other-names",
        component=PART,
        old=_W_Q,
        new=("self.q_proj = normal_parameter(heads, d_model, d_head, std=config.init_std)"),
        also=(("einsum(residual, self.W_Q, project)", "einsum(residual, self.q_proj, project)"),),
        sentence=("calls its query weight other than W_Q, so that GPT-2's weights do not load"),
        hints=_NAMES_HINTS,
    ),
    Mistake(
        id="attention-returns-pattern-too",
        component=PART,
        old=_OUTPUT,
        new="return self.output_dropout(output + self.b_O), pattern",
        sentence="returns its pattern beside its output",
        hints=(
            "What does it return? Print its type.",
            "It returns the output alone.",
            "return output",
        ),
    ),
    Mistake(
        id="attention-tap-q-before-bias",
        component=PART,
        old="query = self.hook_q(einsum(residual, self.W_Q, project) + self.b_Q)",
        new="query = self.hook_q(einsum(residual, self.W_Q, project)) + self.b_Q",
        sentence="shows the queries at hook_q before their bias is added",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="attention-tap-v-before-bias",
        component=PART,
        old="value = self.hook_v(einsum(residual, self.W_V, project) + self.b_V)",
        new="value = self.hook_v(einsum(residual, self.W_V, project)) + self.b_V",
        sentence="shows the values at hook_v before their bias is added",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="attention-tap-scores-unscaled",
        component=PART,
        old=_PATTERN,
        new=(
            "self.hook_attn_scores(scores * math.sqrt(self.d_head))\n"
            "        pattern = self.hook_pattern(scores.softmax(dim=-1))"
        ),
        sentence="shows the scores at hook_attn_scores before they are scaled",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="attention-tap-scores-before-mask",
        component=PART,
        old=_PATTERN,
        new=(
            "self.hook_attn_scores(similarity)\n"
            "        pattern = self.hook_pattern(scores.softmax(dim=-1))"
        ),
        sentence="shows the scores at hook_attn_scores before the mask",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="attention-tap-pattern-of-scores",
        component=PART,
        old=_PATTERN,
        new=(
            "pattern = self.hook_attn_scores(scores).softmax(dim=-1)\n"
            "        self.hook_pattern(scores)"
        ),
        sentence="shows the scores at hook_pattern",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="attention-tap-pattern-after-dropout",
        component=PART,
        old=_PATTERN,
        new=(
            "pattern = self.hook_pattern(\n            "
            "self.pattern_dropout(self.hook_attn_scores(scores).softmax(dim=-1)))"
        ),
        also=((_DROPPED, "pattern,"),),
        sentence="shows the pattern at hook_pattern after dropout",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="attention-tap-scores-of-pattern",
        component=PART,
        old=_PATTERN,
        new=("pattern = self.hook_pattern(self.hook_attn_scores(scores.softmax(dim=-1)))"),
        sentence="shows the pattern at hook_attn_scores",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="attention-dropout-in-evaluation",
        component=PART,
        old=_DROPPED,
        new="F.dropout(pattern, self.pattern_dropout.p),",
        also=((_OUTPUT, "return F.dropout(output + self.b_O, self.output_dropout.p)"),),
        sentence="drops in evaluation mode as well: F.dropout without training=self.training",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-pattern-dropout-on-output-too",
        component=PART,
        old=_DROPPED,
        new="self.pattern_dropout(self.pattern_dropout(pattern)),",
        sentence="drops entries of the pattern twice",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-values-dropped",
        component=PART,
        old=_DROPPED,
        new="pattern,",
        also=(("self.hook_z(z),", "self.pattern_dropout(self.hook_z(z)),"),),
        sentence="drops elements of z instead of entries of the pattern",
        hints=_DROPOUT_HINTS,
    ),
    Mistake(
        id="attention-w-o-init-root-added",
        component=PART,
        old=_W_O,
        new=(
            "self.W_O = normal_parameter(heads, d_head, d_model, "
            "std=config.init_std + (2 * config.n_layers) ** -0.5)"
        ),
        sentence="adds 1/sqrt(2 n_layers) to init_std instead of multiplying",
        hints=_INIT_HINTS,
    ),
    *fixed_rates(
        PART, "attention", (_PATTERN_LAYER, _OUTPUT_LAYER), _DROPOUT_HINTS, (0.1, 0.2, 0.5)
    ),
    *initialisations(
        PART,
        "attention",
        {
            _W_Q: ("heads, d_model, d_head", "d_model"),
            _W_Q.replace("Q", "K"): ("heads, d_model, d_head", "d_model"),
            _W_Q.replace("Q", "V"): ("heads, d_model, d_head", "d_model"),
            _W_O: ("heads, d_head, d_model", "d_model"),
        },
        _INIT_HINTS,
        leave_out=("all-kaiming",),
    ),
    plain_tensors(
        PART,
        "attention-biases",
        "its biases",
        {
            _B_Q: "torch.zeros(heads, d_head)",
            _B_Q.replace("Q", "K"): "torch.zeros(heads, d_head)",
            _B_Q.replace("Q", "V"): "torch.zeros(heads, d_head)",
            "self.b_O = nn.Parameter(torch.zeros(d_model))": "torch.zeros(d_model)",
        },
    ),
]
