"""The tokenizer for a source of text: one that is the same everywhere, or learned from the text."""

from collections.abc import Iterable

from gpt2_small.data.parallel_encoding import split_of
from gpt2_small.data.sources import Piece, Source
from gpt2_small.tokenizers.protocol import DOCUMENT_GAP, Tokenizer, text_to_bytes
from gpt2_small.tokenizers.registry import make_tokenizer

MOST_CHARACTERS = 20_000_000  # of the training text, from which byte pairs are learned


def learn_tokenizer(spec: str, source: Source, validation_share: float) -> Tokenizer:
    """The tokenizer that `spec` names.

    `char` has every character of the source; `bpe:SIZE` is learned from the beginning of the
    training documents.

    Raises:
        UserError: the text does not suffice.
    """
    if spec == "stories":
        from gpt2_small.stories import StoriesTokenizer  # which needs torch

        return StoriesTokenizer()
    if spec == "char":
        return make_tokenizer(spec, _alphabet(source.pieces()))
    if spec.startswith("bpe:"):
        return make_tokenizer(spec, _beginning(source.pieces(), validation_share))
    return make_tokenizer(spec)


def _alphabet(pieces: Iterable[Piece]) -> str:
    characters: set[str] = set()
    for piece in pieces:
        characters.update(piece.text)
        if piece.ends:
            characters.update(DOCUMENT_GAP)
    return "".join(sorted(characters))


def _beginning(pieces: Iterable[Piece], validation_share: float) -> str:
    kept, left = [], MOST_CHARACTERS
    for piece in pieces:
        if left <= 0:
            break
        split = piece.split or split_of(text_to_bytes(piece.text), validation_share)
        if split == "train":
            kept += [piece.text, DOCUMENT_GAP] if piece.ends else [piece.text]
            left -= len(piece.text)
    return "".join(kept)
