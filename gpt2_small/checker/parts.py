"""List the fifteen parts of `solution.py`, in learning order, and find the module about a part."""

from importlib import import_module
from types import ModuleType

from gpt2_small import binding


class NotWrittenYet(Exception):
    """A tested part is missing in the solution, or raises NotImplementedError."""


PARTS = binding.PARTS

# The parts of a model.
MODULES = PARTS[: PARTS.index("next_token_loss")]

# A part's file in modules/ or functions/ of `claims/` and of `mistakes/catalogue/`.
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


def import_about(part: str, room: str) -> ModuleType:
    """The module about a part in a room: claims, or the catalogue of mistakes."""
    kind = "modules" if part in MODULES else "functions"
    return import_module(f"gpt2_small.checker.{room}.{kind}.{FILE_OF[part]}")
