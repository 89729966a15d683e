"""The parts of a solution, in learning order."""

import difflib
from collections.abc import Iterable

from gpt2_small.errors import UserError

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

# The files in `checks/` and `mistakes/` that are about a part.
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


def find_part(name: str) -> str:
    """The part that a name means, whatever its case. Raises UserError with the nearest."""
    by_lower = {part.lower().replace("_", ""): part for part in PARTS}
    asked = name.lower().replace("_", "").replace("-", "")
    if asked in by_lower:
        return by_lower[asked]
    near = difflib.get_close_matches(asked, by_lower, n=1)
    hint = f"did you mean {by_lower[near[0]]}?" if near else f"the parts are {', '.join(PARTS)}"
    raise UserError(f"there is no part {name!r}; {hint}")


def in_learning_order(names: Iterable[str]) -> list[str]:
    """These parts, each once, in the order of PARTS. Raises UserError for an unknown name."""
    wanted = {find_part(name) for name in names}
    return [part for part in PARTS if part in wanted]
