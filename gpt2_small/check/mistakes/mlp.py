"""What goes wrong in the MLP."""

from gpt2_small.check.mistake import Mistake

PART = "MLP"
_GELU = 'return F.gelu(pre, approximate="tanh")'
_POST = "post = self.hook_post(gelu_tanh(self.hook_pre(pre + self.b_in)))"

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
        old=_POST,
        new="post = self.hook_post(gelu_tanh(self.hook_pre(pre)))",
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
        sentence="adds b_in after the activation instead of before it",
        hints=(
            "In which order do the bias and the activation come?",
            "The bias belongs to the matrix product.",
            "post = gelu_tanh(x @ W_in + b_in)",
        ),
    ),
]
