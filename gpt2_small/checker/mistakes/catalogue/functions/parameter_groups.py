"""List the known mistakes in parameter_groups."""

from gpt2_small.checker.mistakes.mistake import Mistake

PART = "parameter_groups"
_MATRIX = 'is_matrix = name.split(".")[-1].startswith("W")'
_APPEND = "(matrices if is_matrix else vectors).append(parameter)"
_DECAY = '{"params": matrices, "weight_decay": weight_decay},'
_NO_DECAY = '{"params": vectors, "weight_decay": 0.0},'

_WHICH_HINTS = (
    "Which decay does blocks.0.attn.b_Q get, and which embed.W_E?",
    (
        "Matrices decay: those whose own name begins with W, embeddings too. Gains and biases "
        "do not, also those stored one row a head."
    ),
    'name.split(".")[-1].startswith("W")',
)
_ONCE_HINTS = (
    "Count the parameters in all groups, and compare with the model's.",
    "Every parameter is in exactly one group.",
    "(matrices if is_matrix else vectors).append(parameter)",
)
_VALUES_HINTS = (
    "Print the weight decay of both groups.",
    "The matrices get the weight_decay that was passed in, the vectors 0.0, said explicitly.",
    (
        '[{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, '
        '"weight_decay": 0.0}]'
    ),
)

MISTAKES = [
    Mistake(
        id="parameter-groups-by-axes",
        component=PART,
        old=_MATRIX,
        new="is_matrix = parameter.ndim >= 2",
        sentence=("takes everything with two axes for a matrix, so that the heads' biases decay"),
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-three-axes",
        component=PART,
        old=_MATRIX,
        new="is_matrix = parameter.ndim >= 3",
        sentence="takes only parameters with three axes for matrices",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-by-size",
        component=PART,
        old=_MATRIX,
        new="is_matrix = parameter.numel() > 100",
        sentence="takes everything with many numbers for a matrix, biases too in a wide model",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-sets",
        component=PART,
        old="matrices: list[nn.Parameter] = []\n    vectors: list[nn.Parameter] = []",
        new="matrices: set[nn.Parameter] = set()\n    vectors: set[nn.Parameter] = set()",
        also=((_APPEND, "(matrices if is_matrix else vectors).add(parameter)"),),
        sentence=(
            "returns sets of parameters, which optimisers refuse: their order changes between runs"
        ),
        hints=_ONCE_HINTS,
    ),
    Mistake(
        id="parameter-groups-all-decay",
        component=PART,
        old=_MATRIX,
        new="is_matrix = True",
        sentence="lets everything decay",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-none-decays",
        component=PART,
        old=_MATRIX,
        new="is_matrix = False",
        sentence="lets nothing decay",
        hints=(
            "Print the names of named_parameters(). What do they begin with?",
            *_WHICH_HINTS[1:],
        ),
    ),
    Mistake(
        id="parameter-groups-gains-decay",
        component=PART,
        old=_MATRIX,
        new='is_matrix = name.split(".")[-1].lower().startswith("w")',
        sentence="lets the gains decay as well",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-gains-forgotten",
        component=PART,
        old=_APPEND,
        new=(
            'if name.split(".")[-1] != "w":\n'
            "            (matrices if is_matrix else vectors).append(parameter)"
        ),
        sentence="puts the gains of LayerNorm into no group",
        hints=_ONCE_HINTS,
    ),
    Mistake(
        id="parameter-groups-biases-decay",
        component=PART,
        old=_MATRIX,
        new='is_matrix = not name.split(".")[-1] == "w"',
        sentence="lets the biases decay as well",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-embeddings-do-not",
        component=PART,
        old=_MATRIX,
        new='is_matrix = name.split(".")[-1].startswith("W") and "embed" not in name',
        sentence="lets the embeddings not decay",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-both-embeddings-do-not",
        component=PART,
        old=_MATRIX,
        new=(
            'is_matrix = name.split(".")[-1].startswith("W") and '
            'not name.startswith(("embed", "pos_embed"))'
        ),
        sentence="lets W_E and W_pos not decay",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-positions-do-not",
        component=PART,
        old=_MATRIX,
        new='is_matrix = name.split(".")[-1].startswith("W") and "W_pos" not in name',
        sentence="lets W_pos not decay",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-token-embedding-does-not",
        component=PART,
        old=_MATRIX,
        new='is_matrix = name.split(".")[-1].startswith("W") and "W_E" not in name',
        sentence="lets W_E not decay",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-by-any-b",
        component=PART,
        old=_MATRIX,
        new='is_matrix = "b" not in name',
        sentence="looks for a b in the whole name, which embed, unembed and all blocks have",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-by-first-letter",
        component=PART,
        old=_MATRIX,
        new='is_matrix = not name.startswith("b")',
        sentence="looks at the first letter of the whole name, which is b for all blocks",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-by-bias",
        component=PART,
        old=_MATRIX,
        new='is_matrix = "bias" not in name and "ln" not in name',
        sentence="lets the biases outside of the layer norms decay",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-inverted",
        component=PART,
        old=_MATRIX,
        new='is_matrix = not name.split(".")[-1].startswith("W")',
        sentence="lets vectors decay and matrices not",
        hints=_WHICH_HINTS,
    ),
    Mistake(
        id="parameter-groups-vectors-forgotten",
        component=PART,
        old=_APPEND,
        new="matrices.append(parameter) if is_matrix else None",
        sentence="leaves vectors out of both groups",
        hints=_ONCE_HINTS,
    ),
    Mistake(
        id="parameter-groups-matrices-twice",
        component=PART,
        old=_APPEND,
        new=(
            "(matrices if is_matrix else vectors).append(parameter)\n"
            "        if is_matrix:\n"
            "            vectors.append(parameter)"
        ),
        sentence="puts matrices into both groups",
        hints=_ONCE_HINTS,
    ),
    Mistake(
        id="parameter-groups-one-list",
        component=PART,
        old="matrices: list[nn.Parameter] = []\n    vectors: list[nn.Parameter] = []",
        new="matrices: list[nn.Parameter] = []\n    vectors = matrices",
        sentence="has one list for both groups, so that every parameter is in both",
        hints=(
            "Are your two lists two? Print matrices is vectors.",
            "a = b = [] gives two names to one list.",
            "matrices, vectors = [], []",
        ),
    ),
    Mistake(
        id="parameter-groups-embeddings-forgotten",
        component=PART,
        old=_APPEND,
        new=(
            'if not name.startswith(("embed", "pos_embed")):\n'
            "            (matrices if is_matrix else vectors).append(parameter)"
        ),
        sentence="leaves the embeddings out of both groups",
        hints=_ONCE_HINTS,
    ),
    Mistake(
        id="parameter-groups-unembedding-forgotten-too",
        component=PART,
        old=_APPEND,
        new=(
            'if "embed" not in name:\n'
            "            (matrices if is_matrix else vectors).append(parameter)"
        ),
        sentence="leaves all that has embed in its name out of both groups, W_U and b_U as well",
        hints=_ONCE_HINTS,
    ),
    Mistake(
        id="parameter-groups-embedding-matrices-forgotten",
        component=PART,
        old=_APPEND,
        new=(
            'if "embed" not in name or not is_matrix:\n'
            "            (matrices if is_matrix else vectors).append(parameter)"
        ),
        sentence="leaves the embeddings' and the unembedding's matrices out of both groups",
        hints=_ONCE_HINTS,
    ),
    Mistake(
        id="parameter-groups-last-forgotten",
        component=PART,
        old=_DECAY,
        new='{"params": matrices[:-1], "weight_decay": weight_decay},',
        sentence="leaves out the last matrix",
        hints=_ONCE_HINTS,
    ),
    Mistake(
        id="parameter-groups-blocks-only",
        component=PART,
        old=_APPEND,
        new=(
            'if name.startswith("blocks"):\n'
            "            (matrices if is_matrix else vectors).append(parameter)"
        ),
        sentence="has the blocks' parameters only",
        hints=_ONCE_HINTS,
    ),
    Mistake(
        id="parameter-groups-decay-fixed",
        component=PART,
        old=_DECAY,
        new='{"params": matrices, "weight_decay": 0.1},',
        sentence="always lets matrices decay with 0.1",
        hints=_VALUES_HINTS,
    ),
    Mistake(
        id="parameter-groups-vectors-by-default",
        component=PART,
        old=_NO_DECAY,
        new='{"params": vectors},',
        sentence="gives the vectors' group no weight_decay, so that AdamW's default acts",
        hints=_VALUES_HINTS,
    ),
    Mistake(
        id="parameter-groups-matrices-by-default",
        component=PART,
        old=_DECAY,
        new='{"params": matrices},',
        sentence="gives the matrices' group no weight_decay, so that AdamW's default acts",
        hints=_VALUES_HINTS,
    ),
    Mistake(
        id="parameter-groups-both-decay",
        component=PART,
        old=_NO_DECAY,
        new='{"params": vectors, "weight_decay": weight_decay},',
        sentence="lets both groups decay",
        hints=_VALUES_HINTS,
        same_as="parameter-groups-all-decay",
    ),
    Mistake(
        id="parameter-groups-halved",
        component=PART,
        old=_DECAY,
        new='{"params": matrices, "weight_decay": weight_decay / 2},',
        sentence="halves the decay",
        hints=_VALUES_HINTS,
    ),
    Mistake(
        id="parameter-groups-copies",
        component=PART,
        old=_APPEND,
        new=(
            "(matrices if is_matrix else vectors).append(nn.Parameter(parameter.detach().clone()))"
        ),
        sentence=(
            "puts other tensors than the model's parameters into the groups, so that the "
            "model itself never learns"
        ),
        hints=_ONCE_HINTS,
    ),
]
