"""GPT-2 of transformers itself."""

from transformers import GPT2LMHeadModel

__all__ = ["GPT2LMHeadModel"]
