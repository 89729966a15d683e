"""List the known mistakes in MultiHeadAttention."""

from gpt2_small.checker.mistakes.catalogue.modules.attention import (
    dropout_and_parameters,
    heads,
    scores,
)

MISTAKES = [*scores.MISTAKES, *heads.MISTAKES, *dropout_and_parameters.MISTAKES]
