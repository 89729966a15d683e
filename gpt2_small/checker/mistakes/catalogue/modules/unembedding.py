"""List the known mistakes in Unembedding."""

from gpt2_small.checker.mistakes.catalogue.modules.families import initialisations
from gpt2_small.checker.mistakes.mistake import Mistake

PART = "Unembedding"
_W_U = "self.W_U = normal_parameter(config.d_model, config.d_vocab, std=config.init_std)"
_B_U = "self.b_U = nn.Parameter(torch.zeros(config.d_vocab))"
_BIAS = "            + self.b_U\n        )\n"
_PRODUCT = 'einsum(residual, self.W_U, "batch seq d_model, d_model d_vocab -> batch seq d_vocab")'

_AFFINE_HINTS = (
    "Set b_U to something other than 0, and look again.",
    "The logits are one matrix product and a bias, for every position.",
    "logits = x @ W_U + b_U",
)
_LOGITS_HINTS = (
    "Does the output double when W_U and b_U do?",
    "Logits are returned as they are; the loss takes the softmax.",
    "logits = x @ W_U + b_U",
)
_SHAPE_HINTS = (
    "Print the names and shapes of its parameters.",
    "W_U has a column for each token, b_U a number.",
    "W_U: [d_model d_vocab], b_U: [d_vocab]",
)
_INIT_HINTS = (
    "What are the standard deviations of fresh parameters?",
    "W_U is drawn with init_std; b_U starts at 0.",
    "nn.init.normal_(W_U, std=config.init_std)",
)
_EVERY_HINTS = (
    "What is the shape of the output for 2 rows of 11 positions?",
    "Every position has logits, for the token after it.",
    "logits: [batch seq d_vocab]",
)

MISTAKES = [
    Mistake(
        id="unembedding-b-u-unused",
        component=PART,
        old=_BIAS,
        new="        )\n",
        sentence="does not add b_U",
        hints=_AFFINE_HINTS,
    ),
    Mistake(
        id="unembedding-b-u-subtracted",
        component=PART,
        old=_BIAS,
        new=("            - self.b_U\n        )\n"),
        sentence="subtracts b_U",
        hints=_AFFINE_HINTS,
    ),
    Mistake(
        id="unembedding-log-softmax",
        component=PART,
        old=_BIAS,
        new=("            + self.b_U\n        ).log_softmax(dim=-1)\n"),
        sentence="returns log-probabilities instead of logits",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="unembedding-softmax",
        component=PART,
        old=_BIAS,
        new=("            + self.b_U\n        ).softmax(dim=-1)\n"),
        sentence="returns probabilities instead of logits",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="unembedding-softmax-over-seq",
        component=PART,
        old=_BIAS,
        new=("            + self.b_U\n        ).softmax(dim=1)\n"),
        sentence="returns a softmax over the positions",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="unembedding-scaled",
        component=PART,
        old=_BIAS,
        new=("            * self.W_U.shape[0] ** -0.5\n            + self.b_U\n        )\n"),
        sentence="divides the product by sqrt(d_model)",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="unembedding-logits-divided",
        component=PART,
        old=_PRODUCT,
        new=f"{_PRODUCT} * self.W_U.shape[0] ** -0.5",
        also=(
            ("            + self.b_U\n", "            + self.b_U * self.W_U.shape[0] ** -0.5\n"),
        ),
        sentence="divides the logits, the bias included, by sqrt(d_model)",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="unembedding-relu",
        component=PART,
        old=_BIAS,
        new=("            + self.b_U\n        ).relu()\n"),
        sentence="cuts negative logits off",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="unembedding-argmax",
        component=PART,
        old=_BIAS,
        new=("            + self.b_U\n        ).argmax(dim=-1)\n"),
        sentence="returns the most likely tokens instead of logits",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="unembedding-last-position",
        component=PART,
        old=_BIAS,
        new=("            + self.b_U\n        )[:, -1]\n"),
        sentence="returns the last position only",
        hints=_EVERY_HINTS,
    ),
    Mistake(
        id="unembedding-last-position-kept",
        component=PART,
        old=_BIAS,
        new=("            + self.b_U\n        )[:, -1:]\n"),
        sentence="returns the last position only, with its axis",
        hints=_EVERY_HINTS,
    ),
    Mistake(
        id="unembedding-flattened",
        component=PART,
        old=_BIAS,
        new=("            + self.b_U\n        ).flatten(0, 1)\n"),
        sentence="flattens batch and seq",
        hints=_EVERY_HINTS,
    ),
    Mistake(
        id="unembedding-vocabulary-first",
        component=PART,
        old=_BIAS,
        new=("            + self.b_U\n        ).transpose(1, 2)\n"),
        sentence="returns [batch d_vocab seq]",
        hints=_EVERY_HINTS,
    ),
    Mistake(
        id="unembedding-normalizes",
        component=PART,
        old=_PRODUCT,
        new=(
            'einsum(F.layer_norm(residual, residual.shape[-1:]), self.W_U, "batch '
            'seq d_model, d_model d_vocab -> batch seq d_vocab")'
        ),
        sentence="normalizes its input, which the Transformer's last norm does",
        hints=_AFFINE_HINTS,
    ),
    Mistake(
        id="unembedding-detached",
        component=PART,
        old=_PRODUCT,
        new=(
            'einsum(residual, self.W_U.detach(), "batch seq d_model, d_model d_vocab '
            '-> batch seq d_vocab")'
        ),
        sentence="cuts W_U off from the gradient, so that it never learns",
        hints=(
            "The output is right. What is the gradient of W_U?",
            "W_U is learned as well.",
            "logits = x @ W_U + b_U, without detach or .data",
        ),
    ),
    Mistake(
        id="unembedding-transposed",
        component=PART,
        old=_W_U,
        new=("self.W_U = normal_parameter(config.d_vocab, config.d_model, std=config.init_std)"),
        also=(
            (
                _PRODUCT,
                (
                    'einsum(residual, self.W_U, "batch seq d_model, d_vocab d_model -> batch '
                    'seq d_vocab")'
                ),
            ),
        ),
        sentence="stores W_U as [d_vocab d_model], as nn.Linear does",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="unembedding-other-name",
        component=PART,
        old=_W_U,
        new=("self.weight = normal_parameter(config.d_model, config.d_vocab, std=config.init_std)"),
        also=((_PRODUCT, "residual @ self.weight"),),
        sentence="calls its weight other than W_U, so that GPT-2's weights do not load",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="unembedding-no-bias",
        component=PART,
        old=_B_U,
        new="self.b_U = torch.zeros(config.d_vocab)",
        sentence="has no trainable b_U",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="unembedding-init-standard-normal",
        component=PART,
        old=_W_U,
        new="self.W_U = normal_parameter(config.d_model, config.d_vocab, std=1.0)",
        sentence="draws W_U with a standard deviation of 1",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="unembedding-init-fixed",
        component=PART,
        old=_W_U,
        new="self.W_U = normal_parameter(config.d_model, config.d_vocab, std=0.02)",
        sentence="draws W_U with 0.02 whatever init_std says",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="unembedding-init-zeros",
        component=PART,
        old=_W_U,
        new="self.W_U = nn.Parameter(torch.zeros(config.d_model, config.d_vocab))",
        sentence="starts W_U at 0",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="unembedding-init-by-width",
        component=PART,
        old=_W_U,
        new=(
            "self.W_U = normal_parameter(config.d_model, config.d_vocab, std=config.d_model**-0.5)"
        ),
        sentence="draws W_U with 1/sqrt(d_model) instead of init_std",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="unembedding-init-like-residual",
        component=PART,
        old=_W_U,
        new=(
            "self.W_U = normal_parameter(config.d_model, config.d_vocab, std=residual_std(config))"
        ),
        sentence="draws W_U as narrow as the matrices that write into the stream",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="unembedding-bias-random",
        component=PART,
        old=_B_U,
        new="self.b_U = normal_parameter(config.d_vocab, std=config.init_std)",
        sentence="draws b_U at random instead of starting at 0",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="unembedding-by-matmul",
        component=PART,
        old=_PRODUCT,
        new="residual @ self.W_U",
        sentence="is a plain matrix product",
        equivalent=True,
    ),
    Mistake(
        id="unembedding-bias-for-every-position",
        component=PART,
        old=_BIAS,
        new="            + self.b_U * residual.shape[1]\n        )\n",
        sentence="adds b_U once for every position",
        hints=_AFFINE_HINTS,
    ),
    Mistake(
        id="unembedding-b-u-twice",
        component=PART,
        old=_BIAS,
        new="            + 2 * self.b_U\n        )\n",
        sentence="adds b_U twice",
        hints=_AFFINE_HINTS,
    ),
    Mistake(
        id="unembedding-logits-centred",
        component=PART,
        old=_BIAS,
        new=(
            "            + self.b_U\n        )\n"
            "        return logits - logits.mean(dim=-1, keepdim=True)\n"
        ),
        also=(
            (
                "        return (\n            einsum(residual, self.W_U",
                "        logits = (\n            einsum(residual, self.W_U",
            ),
        ),
        sentence="subtracts the mean of the logits",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="unembedding-logits-capped",
        component=PART,
        old=_BIAS,
        new="            + self.b_U\n        )\n        return 30 * torch.tanh(logits / 30)\n",
        also=(
            (
                "        return (\n            einsum(residual, self.W_U",
                "        logits = (\n            einsum(residual, self.W_U",
            ),
        ),
        sentence="limits the logits by 30 tanh(x / 30)",
        hints=_LOGITS_HINTS,
    ),
    Mistake(
        id="unembedding-weights-reshaped",
        component=PART,
        old=_PRODUCT,
        new="F.linear(residual, self.W_U.reshape(self.W_U.shape[1], -1))",
        sentence="reshapes W_U where it should be transposed",
        hints=_SHAPE_HINTS,
    ),
    *initialisations(
        PART,
        "unembedding",
        {_W_U: ("config.d_model, config.d_vocab", "config.d_model")},
        _INIT_HINTS,
        leave_out=(
            "all-standard-normal",
            "all-zeros",
            "all-fixed",
            "all-by-width",
            "all-like-linear",
        ),
    ),
]
