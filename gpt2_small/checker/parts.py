"""List the fifteen parts of `solution.py`, in learning order."""


class NotWrittenYet(Exception):
    """A tested part is missing in the solution, or raises NotImplementedError."""


PARTS = (
    "LayerNorm",
    "Embedding",
    "PositionalEmbedding",
    "MultiHeadAttention",
    "MLP",
    "TransformerBlock",
    "Unembedding",
    "Transformer",
    "next_token_loss",
    "sample",
    "generate",
    "learning_rate",
    "parameter_groups",
    "train_step",
    "train",
)

# The parts of a model.
MODULES = PARTS[: PARTS.index("next_token_loss")]

# A part's file name in `claims/` and in `mistakes/catalogue/`.
FILE_OF = {
    "LayerNorm": "layer_norm",
    "Embedding": "embedding",
    "PositionalEmbedding": "positional_embedding",
    "MultiHeadAttention": "attention",
    "MLP": "mlp",
    "TransformerBlock": "block",
    "Unembedding": "unembedding",
    "Transformer": "transformer",
    "next_token_loss": "loss",
    "sample": "sampling",
    "generate": "generation",
    "learning_rate": "schedule",
    "parameter_groups": "parameter_groups",
    "train_step": "training_step",
    "train": "training",
}
