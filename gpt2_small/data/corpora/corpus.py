"""Define a corpus: documents in a fixed order, some of them held out for validation."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from gpt2_small.tokenizers.surrogates import text_to_bytes

Place = dict[str, Any]
Hash = bytes

SPLITS = ("train", "val")
SPLIT_NAMES = {"train": "training", "val": "validation"}
PIECE_CHARACTERS = 2**19
FEW_DOCUMENTS = 10  # with fewer distinct documents, the last part of each is held out instead
HELD_OUT_OF_EACH = 10  # the inverse of this part: a tenth


class Piece(NamedTuple):
    """A document, or a piece of one that can be encoded separately.

    split: `train` or `val`; `cut` for a document whose last tenth is held out; None for a split by
        the document's hash.
    hash: of the whole document, for a piece of one; None for a whole document.
    begins, ends: whether it contains the beginning or the end of a document.
    """

    text: str
    split: str | None = None
    hash: Hash | None = None
    begins: bool = True
    ends: bool = True


@dataclass(frozen=True)
class HeldOut:
    """Selects the documents held out for validation, by the hashes of their texts.

    share: the fraction of held-out documents.
    always: the hash of a document that is always held out.
    """

    share: float
    always: Hash | None = None

    def split_of(self, hash: bytes) -> str:
        """The split, `val` or `train`, of the document with this hash."""
        held_out = hash == self.always or int.from_bytes(hash, "big") < self.share * 2**64
        return "val" if held_out else "train"


@dataclass
class RowCounts:
    """Counts of the rows of files and data sets.

    empty: rows without text.
    unreadable: rows left out because their text cannot be read.
    examples: a sentence on each of the first unreadable rows.
    """

    rows: int = 0
    empty: int = 0
    unreadable: int = 0
    examples: list[str] = field(default_factory=list)

    MOST_EXAMPLES = 3

    def skip(self, reason: str) -> None:
        """Count an unreadable row."""
        self.unreadable += 1
        if len(self.examples) < self.MOST_EXAMPLES:
            self.examples.append(reason)

    def remarks(self) -> list[str]:
        """A sentence for each kind of skipped row."""
        remarks = []
        if self.empty:
            remarks.append(f"Skipped {self.empty:,} of {self.rows:,} rows without text.")
        if self.unreadable:
            more = " ..." if self.unreadable > len(self.examples) else "."
            remarks.append(
                f"Left out {self.unreadable:,} of {self.rows:,} rows that cannot be read: "
                f"{'; '.join(self.examples)}{more}"
            )
        return remarks

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON values, for `from_json`."""
        return {
            "rows": self.rows,
            "empty": self.empty,
            "unreadable": self.unreadable,
            "examples": list(self.examples),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "RowCounts":
        """Restore counts from `as_json`."""
        return cls(**{**values, "examples": list(values["examples"])})


class Corpus(Protocol):
    """Documents in a fixed order.

    name: as given by the user.
    origin: identifies the corpus, as JSON values.
    documents, bytes: the approximate size, if it is known.
    limit: the number of documents to read; None for all.
    cuts_documents: whether the last tenth of each document is held out, because they are few.
    always_held_out: as in `HeldOut`; None if documents are cut.
    left_out: skipped files, each with the reason.
    remarks: notes for the user about how it is read.
    place: the position after the last piece, as JSON values.
    counts: of the rows up to this position.
    """

    name: str
    origin: dict[str, Any]
    documents: int | None
    bytes: int | None
    limit: int | None
    cuts_documents: bool
    always_held_out: Hash | None
    left_out: dict[str, str]
    remarks: list[str]
    place: Place
    counts: RowCounts

    def pieces(self, place: Place | None = None) -> Iterator[Piece]:
        """The pieces after a position, or all of them."""


def document_hash(text: bytes) -> bytes:
    """The hash that identifies a document: 8 bytes of BLAKE2b."""
    return hashlib.blake2b(text, digest_size=8).digest()


def always_held_out(hashes: Iterable[bytes]) -> bytes | None:
    """The hash of the tenth distinct document; None with fewer."""
    seen: set[bytes] = set()
    for hash in hashes:
        seen.add(hash)
        if len(seen) == FEW_DOCUMENTS:
            return hash
    return None


def train_characters(characters: int) -> int:
    """The number of training characters of a document whose last tenth is held out."""
    return characters - characters // HELD_OUT_OF_EACH


def divided(piece: Piece, held_out: HeldOut) -> list[tuple[str, str]]:
    """Divide the text of a piece into `train` and `val`."""
    if piece.split == "cut":
        end = train_characters(len(piece.text))
        parts = [("train", piece.text[:end]), ("val", piece.text[end:])]
        return [(split, text) for split, text in parts if text]
    if piece.split:
        return [(piece.split, piece.text)]
    hash = piece.hash or document_hash(text_to_bytes(piece.text))
    return [(held_out.split_of(hash), piece.text)]


def limited(
    documents: int | None, bytes: int | None, limit: int | None
) -> tuple[int | None, int | None]:
    """The approximate numbers of documents and bytes after applying a limit of documents."""
    if limit is None:
        return documents, bytes
    if documents is None:
        return limit, None
    count = min(limit, documents)
    return count, None if bytes is None else bytes * count // max(documents, 1)
