"""List the fifteen parts of `solution.py`, in learning order."""


class NotWrittenYet(Exception):
    """A part that a test is about is not in the solution, or raises NotImplementedError."""


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

# Those that a model is made of.
MODULES = PARTS[: PARTS.index("next_token_loss")]

# The file in `claims/`, and the one in `mistakes/catalogue/`, about a part.
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
