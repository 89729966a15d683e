"""Make variants of GPT-2 of named edits, and check that a file is one."""

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
