"""List the known mistakes in Embedding."""

from gpt2_small.checker.mistakes.catalogue.modules.families import initialisations, plain_tensors
from gpt2_small.checker.mistakes.mistake import Mistake

PART = "Embedding"
_LOOK_UP = "return self.W_E[tokens]"
_FRESH = "self.W_E = normal_parameter(config.d_vocab, config.d_model, std=config.init_std)"

_ROW_HINTS = (
    "Compare the output for token 5 with row 5 of W_E.",
    "The vector of a token is its row of W_E, as it stands.",
    "output = W_E[tokens]",
)
_PLACE_HINTS = (
    "Is it right for a batch of one row, and wrong for two?",
    "The output has the axes batch, seq, d_model, in this order.",
    "output = W_E[tokens], which keeps the order of batch and seq",
)
_LEARNS_HINTS = (
    "The output is right. What is the gradient of W_E?",
    "Every row learns from every place where its token stands, row 0 as well.",
    "output = W_E[tokens], without detach, .data or padding_idx",
)
_INIT_HINTS = (
    "What is the standard deviation of a fresh W_E?",
    "Weights are drawn from a normal distribution of mean 0; the configuration says how wide.",
    "nn.init.normal_(W_E, std=config.init_std)",
)
_SHAPE_HINTS = (
    "Print the names and shapes of its parameters.",
    "There is one: W_E, with a row of d_model numbers for each token.",
    "W_E: [d_vocab d_model]",
)

MISTAKES = [
    Mistake(
        id="embedding-scaled",
        component=PART,
        old=_LOOK_UP,
        new="return self.W_E[tokens] * math.sqrt(self.W_E.shape[1])",
        sentence="multiplies the vectors by sqrt(d_model), which GPT-2 does not",
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="embedding-divided",
        component=PART,
        old=_LOOK_UP,
        new="return self.W_E[tokens] / math.sqrt(self.W_E.shape[1])",
        sentence="divides the vectors by sqrt(d_model)",
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="embedding-next-row",
        component=PART,
        old=_LOOK_UP,
        new="return self.W_E[(tokens + 1) % len(self.W_E)]",
        sentence="gives every token its neighbour's vector: token ids count from 0",
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="embedding-row-before",
        component=PART,
        old=_LOOK_UP,
        new="return self.W_E[tokens - 1]",
        sentence=("gives every token the vector of the one before it: token ids count from 0"),
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="embedding-first-row-of-batch",
        component=PART,
        old=_LOOK_UP,
        new="return self.W_E[tokens[0]].expand(tokens.shape[0], -1, -1)",
        sentence="looks the tokens of the first row up for all rows",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="embedding-token-0-is-zero",
        component=PART,
        old=_LOOK_UP,
        new="return self.W_E[tokens] * (tokens != 0).unsqueeze(-1)",
        sentence="gives token 0 a vector of zeros, as if it were padding",
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="embedding-padding-idx",
        component=PART,
        old=_LOOK_UP,
        new="return F.embedding(tokens, self.W_E, padding_idx=0)",
        sentence="takes token 0 for padding, so that its row never learns",
        hints=_LEARNS_HINTS,
    ),
    Mistake(
        id="embedding-padding-idx-1",
        component=PART,
        old=_LOOK_UP,
        new="return F.embedding(tokens, self.W_E, padding_idx=1)",
        sentence="takes token 1 for padding, so that its row never learns",
        hints=_LEARNS_HINTS,
    ),
    Mistake(
        id="embedding-padding-idx-last",
        component=PART,
        old=_LOOK_UP,
        new="return F.embedding(tokens, self.W_E, padding_idx=-1)",
        sentence="takes the last token for padding, so that its row never learns",
        hints=_LEARNS_HINTS,
    ),
    Mistake(
        id="embedding-last-token-lost",
        component=PART,
        old=_LOOK_UP,
        new="return self.W_E[tokens.clamp(max=len(self.W_E) - 2)]",
        sentence="gives the last token of the vocabulary the vector of the one before it",
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="embedding-unit-length",
        component=PART,
        old=_LOOK_UP,
        new="return F.normalize(self.W_E[tokens], dim=-1)",
        sentence="scales every vector to length 1",
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="embedding-max-norm",
        component=PART,
        old=_LOOK_UP,
        new="return F.embedding(tokens, self.W_E, max_norm=1.0)",
        sentence="shortens vectors to length 1 by max_norm, in W_E itself",
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="embedding-batch-and-seq-reshaped",
        component=PART,
        old=_LOOK_UP,
        new="return self.W_E[tokens.T.reshape(tokens.shape)]",
        sentence="mixes up batch and seq by a reshape, which only one row survives",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="embedding-seq-first",
        component=PART,
        old=_LOOK_UP,
        new="return self.W_E[tokens.T]",
        sentence="returns [seq batch d_model]",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="embedding-flattened",
        component=PART,
        old=_LOOK_UP,
        new="return self.W_E[tokens.flatten()]",
        sentence="returns one long row of vectors, without the batch axis",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="embedding-mean-over-batch",
        component=PART,
        old=_LOOK_UP,
        new=("return self.W_E[tokens].mean(dim=0, keepdim=True).expand(*tokens.shape, -1)"),
        sentence="gives all rows of the batch the mean of their vectors",
        hints=_PLACE_HINTS,
    ),
    Mistake(
        id="embedding-detached",
        component=PART,
        old=_LOOK_UP,
        new="return self.W_E.detach()[tokens]",
        sentence="cuts W_E off from the gradient, so that it never learns",
        hints=_LEARNS_HINTS,
    ),
    Mistake(
        id="embedding-half-detached",
        component=PART,
        old=_LOOK_UP,
        new="return (self.W_E / 2 + self.W_E.detach() / 2)[tokens]",
        sentence="lets only half of the gradient reach W_E",
        hints=_LEARNS_HINTS,
    ),
    Mistake(
        id="embedding-frozen",
        component=PART,
        old=_FRESH,
        new=(
            "self.W_E = normal_parameter(config.d_vocab, config.d_model, "
            "std=config.init_std).requires_grad_(False)"
        ),
        sentence="freezes W_E: requires_grad is False",
        hints=_LEARNS_HINTS,
    ),
    Mistake(
        id="embedding-init-standard-normal",
        component=PART,
        old=_FRESH,
        new="self.W_E = normal_parameter(config.d_vocab, config.d_model, std=1.0)",
        sentence="draws W_E with a standard deviation of 1, as nn.Embedding does",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="embedding-init-fixed",
        component=PART,
        old=_FRESH,
        new="self.W_E = normal_parameter(config.d_vocab, config.d_model, std=0.02)",
        sentence="draws W_E with 0.02 whatever init_std says",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="embedding-init-zeros",
        component=PART,
        old=_FRESH,
        new="self.W_E = nn.Parameter(torch.zeros(config.d_vocab, config.d_model))",
        sentence="starts W_E at 0, where all tokens are alike",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="embedding-init-by-width",
        component=PART,
        old=_FRESH,
        new=(
            "self.W_E = normal_parameter(config.d_vocab, config.d_model, std=config.d_model**-0.5)"
        ),
        sentence="draws W_E with 1/sqrt(d_model) instead of init_std",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="embedding-init-variance",
        component=PART,
        old=_FRESH,
        new=(
            "self.W_E = normal_parameter(config.d_vocab, config.d_model, std=config.init_std**0.5)"
        ),
        sentence="takes init_std for the variance instead of the standard deviation",
        hints=_INIT_HINTS,
    ),
    Mistake(
        id="embedding-transposed",
        component=PART,
        old=_FRESH,
        new=("self.W_E = normal_parameter(config.d_model, config.d_vocab, std=config.init_std)"),
        also=((_LOOK_UP, "return self.W_E.T[tokens]"),),
        sentence="stores W_E as [d_model d_vocab]",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="embedding-other-name",
        component=PART,
        old=_FRESH,
        new=("self.weight = normal_parameter(config.d_vocab, config.d_model, std=config.init_std)"),
        also=((_LOOK_UP, "return self.weight[tokens]"),),
        sentence="calls its parameter other than W_E, so that GPT-2's weights do not load",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="embedding-one-row-more",
        component=PART,
        old=_FRESH,
        new=(
            "self.W_E = normal_parameter(config.d_vocab + 1, config.d_model, std=config.init_std)"
        ),
        sentence="has one row more than there are tokens",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="embedding-one-hot",
        component=PART,
        old=_LOOK_UP,
        new="return F.one_hot(tokens, len(self.W_E)).to(self.W_E.dtype) @ self.W_E",
        sentence="multiplies one-hot vectors by W_E: right, and slow",
        equivalent=True,
    ),
    Mistake(
        id="embedding-by-torch",
        component=PART,
        old=_LOOK_UP,
        new="return F.embedding(tokens, self.W_E)",
        sentence="is torch's own embedding",
        equivalent=True,
    ),
    Mistake(
        id="embedding-bias",
        component=PART,
        old=_FRESH,
        new=_FRESH + "\n        self.bias = nn.Parameter(torch.zeros(config.d_model))",
        also=((_LOOK_UP, "return self.W_E[tokens] + self.bias"),),
        sentence="adds a bias to the vectors, which GPT-2 does not have",
        hints=_SHAPE_HINTS,
    ),
    Mistake(
        id="embedding-fresh-table",
        component=PART,
        old=_LOOK_UP,
        new="return nn.Embedding(*self.W_E.shape)(tokens)",
        sentence="makes a new table at every call, so that W_E is never used",
        hints=_ROW_HINTS,
    ),
    *initialisations(
        PART,
        "embedding",
        {_FRESH: ("config.d_vocab, config.d_model", "config.d_model")},
        _INIT_HINTS,
        leave_out=(
            "all-standard-normal",
            "all-zeros",
            "all-fixed",
            "all-by-width",
            "all-like-linear",
        ),
    ),
    plain_tensors(
        PART,
        "embedding-w-e",
        "W_E",
        {_FRESH: "torch.randn(config.d_vocab, config.d_model) * config.init_std"},
    ),
]
