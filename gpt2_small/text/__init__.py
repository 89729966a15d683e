"""Text in and out of the model: tokenizers, corpora, batches.

Nothing here knows the model; a tokenizer is anything that fits `protocol.Tokenizer`.
"""
