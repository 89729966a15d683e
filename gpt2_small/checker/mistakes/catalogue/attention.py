"""List the known mistakes in MultiHeadAttention."""

from gpt2_small.checker.mistakes.catalogue import (
    attention_around,
    attention_heads,
    attention_scores,
)

MISTAKES = [
    *attention_scores.MISTAKES,
    *attention_heads.MISTAKES,
    *attention_around.MISTAKES,
]
