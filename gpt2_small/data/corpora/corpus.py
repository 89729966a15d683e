"""Define a corpus: documents in a fixed order, some of which are held out for validation."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from gpt2_small.tokenizers.surrogates import text_to_bytes

Place = dict[str, Any]
Hash = bytes

PIECE_CHARACTERS = 2**19
FEW_DOCUMENTS = 10  # with fewer different ones, the end of each is held out instead
HELD_OUT_OF_EACH = 10  # of which a tenth, the last


class Piece(NamedTuple):
    """A document, or a piece of one that encodes to what it does within the whole.

    split: `train` or `val`; `cut` for a document whose last tenth is held out; None where the hash
        of the document decides.
    hash: of the whole document, for a piece of one; None for a whole one.
    begins, ends: whether a document begins or ends with it.
    """

    text: str
    split: str | None = None
    hash: Hash | None = None
    begins: bool = True
    ends: bool = True


@dataclass(frozen=True)
class HeldOut:
    """Which documents are held out for validation, all copies of one alike.

    share: of the documents, by the hash of their text.
    always: the hash of a document that is held out whatever the share.
    """

    share: float
    always: Hash | None = None

    def split_of(self, hash: bytes) -> str:
        """`val` or `train`, for the document with this hash."""
        held_out = hash == self.always or int.from_bytes(hash, "big") < self.share * 2**64
        return "val" if held_out else "train"


@dataclass
class RowCounts:
    """Counts of the rows of files and data sets that were read, empty or unreadable.

    empty: without text, which adds nothing.
    unreadable: left out because no text could be read from them.
    examples: of those, a sentence each.
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
        """A sentence for each kind of row that was not read."""
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
        """The counts as JSON values, which `from_json` restores."""
        return {
            "rows": self.rows,
            "empty": self.empty,
            "unreadable": self.unreadable,
            "examples": list(self.examples),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "RowCounts":
        """Restore what `as_json` gave."""
        return cls(**{**values, "examples": list(values["examples"])})


class Corpus(Protocol):
    """Documents in an order that is always the same.

    name: what the user asked for.
    origin: how to recognise it, as JSON values.
    documents, bytes: about how many and how much text, where that is known.
    limit: how many documents are read, where not all are.
    cuts_documents: whether the last tenth of each document is held out, because they are few.
    always_held_out: as in `HeldOut`; None where documents are cut.
    left_out: files that are not read, each with the reason.
    remarks: what a user should know about how it is read.
    place: where the piece last given ends, as JSON values.
    counts: of the rows up to there.
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
        """The pieces after a place, or all of them."""


def document_hash(text: bytes) -> bytes:
    """The hash by which documents are told apart and held out: 8 bytes of BLAKE2b."""
    return hashlib.blake2b(text, digest_size=8).digest()


def always_held_out(hashes: Iterable[bytes]) -> bytes | None:
    """The hash of the tenth different document; None where there are fewer."""
    seen: set[bytes] = set()
    for hash in hashes:
        seen.add(hash)
        if len(seen) == FEW_DOCUMENTS:
            return hash
    return None


def train_characters(characters: int) -> int:
    """How many characters of a document are for training, where its last tenth is held out."""
    return characters - characters // HELD_OUT_OF_EACH


def divided(piece: Piece, held_out: HeldOut) -> list[tuple[str, str]]:
    """The text of a piece by what it is for, `train` or `val`."""
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
    """About how many documents and bytes are left when only the first documents are read."""
    if limit is None:
        return documents, bytes
    if documents is None:
        return limit, None
    kept = min(limit, documents)
    return kept, None if bytes is None else bytes * kept // max(documents, 1)
