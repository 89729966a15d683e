"""Make the tokenizer of a corpus: a fixed one, or one trained on its text."""

from collections.abc import Iterable

from gpt2_small.data.byte_pair_process import train_byte_pairs
from gpt2_small.data.corpora.corpus import Corpus, HeldOut, Piece, divided
from gpt2_small.tokenizers.protocol import DOCUMENT_GAP, Tokenizer
from gpt2_small.tokenizers.registry import make_tokenizer

MOST_CHARACTERS = 20_000_000  # of the training text, for training byte pairs


def learn_tokenizer(spec: str, corpus: Corpus, held_out: HeldOut) -> Tokenizer:
    """Make a tokenizer by its name.

    `char` has every character of the corpus; `bpe:SIZE` is trained on the beginning of the training
    documents.

    Raises:
        UserError: a text that is too short.
    """
    if spec == "stories":
        from gpt2_small.stories import StoriesTokenizer  # imports torch

        return StoriesTokenizer()
    if spec == "char":
        return make_tokenizer(spec, _alphabet(corpus.pieces()))
    if spec.startswith("bpe:"):
        text = _training_text(corpus.pieces(), held_out)
        return train_byte_pairs(text, int(spec.removeprefix("bpe:")))
    return make_tokenizer(spec)


def _alphabet(pieces: Iterable[Piece]) -> str:
    characters: set[str] = set()
    for piece in pieces:
        characters.update(piece.text)
        if piece.ends:
            characters.update(DOCUMENT_GAP)
    return "".join(sorted(characters))


def _training_text(pieces: Iterable[Piece], held_out: HeldOut) -> str:
    """The first MOST_CHARACTERS of the training text, up to the end of a piece."""
    texts, left = [], MOST_CHARACTERS
    for piece in pieces:
        if left <= 0:
            break
        for split, text in divided(piece, held_out):
            if split == "train":
                texts += [text, DOCUMENT_GAP] if piece.ends else [text]
                left -= len(text)
    return "".join(texts)
