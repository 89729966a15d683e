"""Read the documents of files, folders and data sets in a fixed order."""

from gpt2_small.data.corpora.corpus import Corpus, HeldOut, Piece
from gpt2_small.data.corpora.named_corpora import open_corpus

__all__ = ["Corpus", "HeldOut", "Piece", "open_corpus"]
