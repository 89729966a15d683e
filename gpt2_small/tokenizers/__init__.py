"""Encode text as token ids: GPT-2's tokenizer, byte pairs, bytes, characters, words."""
