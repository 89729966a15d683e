"""Tokenizers: GPT-2's, byte pairs, bytes, characters, and tokenizer files of Hugging Face."""
