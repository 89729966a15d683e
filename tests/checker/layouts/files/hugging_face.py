"""Import transformers' own GPT-2."""

from transformers import GPT2LMHeadModel

__all__ = ["GPT2LMHeadModel"]
