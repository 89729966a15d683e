"""Build variants of GPT-2 from named edits, and check files against them."""

from gpt2_small.checker.variants.edits import EDITS, VariantEdit
from gpt2_small.checker.variants.variant import (
    edits,
    find_edit,
    variant_set,
    variant_text,
)

__all__ = [
    "EDITS",
    "VariantEdit",
    "edits",
    "find_edit",
    "variant_set",
    "variant_text",
]
