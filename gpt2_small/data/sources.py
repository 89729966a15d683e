"""What shards are made from: documents in an order that is always the same."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from gpt2_small.data.hub_datasets import COMPRESSED, DataSet, Place
from gpt2_small.data.text_files import BLOCK_BYTES, read_pieces, scan_text
from gpt2_small.files import sha256

PIECE_CHARACTERS = 2**19
ALWAYS_VALIDATION = 10  # this document, counted from 1, so that ten are enough


class Piece(NamedTuple):
    """A document, or a piece of one that encodes to what it does within the whole.

    split: `train` or `val`, or None where the text itself decides.
    begins, ends: whether a document begins or ends with it.
    """

    text: str
    split: str | None = None
    begins: bool = True
    ends: bool = True


class Source(Protocol):
    """Where text comes from.

    name: what the user asked for.
    origin: how to know it again, as JSON values.
    documents, bytes: how much there is, about, where that is known.
    limit: how many documents are read, where not all are.
    has_own_split: whether it says of each piece what it is for.
    place: where the piece last given ends, as JSON values.
    """

    name: str
    limit: int | None
    has_own_split: bool
    origin: dict[str, Any]
    documents: int | None
    bytes: int | None
    place: Place

    def pieces(self, place: Place | None = None) -> Iterator[Piece]:
        """The pieces after a place, or all of them."""


class TextFile:
    """A file of UTF-8 text: one document, whose last tenth of characters is for validation.

    Raises UserError for a file that is not there or is not text.
    """

    documents: int | None = None
    limit: int | None = None
    has_own_split = True

    def __init__(self, path: Path, name: str | None = None) -> None:
        facts = scan_text(path)
        self.path, self.name = path, name or str(path)
        self.origin: dict[str, Any] = {"file": path.name, "sha256": facts.sha256}
        self.bytes: int | None = facts.size - facts.begin
        self.place: Place = {}
        self._begin, self._characters = facts.begin, facts.characters

    def pieces(self, place: Place | None = None) -> Iterator[Piece]:
        """The text up to its last tenth, then its last tenth."""
        offset, character = (place["byte"], place["character"]) if place else (self._begin, 0)
        cut = self._characters - self._characters // 10
        for split, first, last in (("train", 0, cut), ("val", cut, self._characters)):
            left = last - max(first, character)
            for text in read_pieces(
                self.path, begin=offset, characters=left, size=PIECE_CHARACTERS
            ):
                begins = character == first
                offset, character = offset + len(text.encode()), character + len(text)
                self.place = {"byte": offset, "character": character}
                yield Piece(text, split, begins=begins, ends=False)


class Documents:
    """The documents of a data set.

    Args:
        name: what the user asked for.
        limit: how many are read; all when None.
        documents, bytes: how much there is, where the data set itself does not say.
    """

    has_own_split = False

    def __init__(
        self,
        data: DataSet,
        name: str,
        *,
        limit: int | None = None,
        documents: int | None = None,
        bytes: int | None = None,
    ) -> None:
        self.name = name
        self.place: Place = {}
        self.limit = limit
        self._data = data
        self.origin: dict[str, Any] = {"data_set": data.name, "revision": data.revision}
        path = Path(data.name)
        if path.exists():
            files = [path] if path.is_file() else _files(path)
            self.origin = _known_by(path, files)
            documents, bytes = _size(files)
        self.origin |= {"split": data.split, "column": data.column}
        documents, bytes = data.documents or documents, data.bytes or bytes
        self.documents, self.bytes = _limited(documents, bytes, limit)

    def pieces(self, place: Place | None = None) -> Iterator[Piece]:
        """One piece a document."""
        number = place["number"] if place else 0
        if number == self.limit:
            return
        for text in self._data.read(place["data"] if place else None):
            number += 1
            self.place = {"data": self._data.place, "number": number}
            yield _document(text, number)
            if number == self.limit:
                return


class Stories:
    """The training text of the embedded grammar, one story a document."""

    name = "stories"
    has_own_split = False

    def __init__(self, *, seed: int = 0, limit: int | None = None) -> None:
        from gpt2_small import stories  # which needs torch

        self.limit = limit
        written = stories.training_stories(seed)[:limit]
        self._texts = [stories.join_words(words) for words in written]
        self.origin: dict[str, Any] = {
            "stories_seed": seed,
            "sha256": hashlib.sha256("\n".join(self._texts).encode()).hexdigest(),
        }
        self.documents: int | None = len(self._texts)
        self.bytes: int | None = sum(map(len, self._texts))
        self.place: Place = {}

    def pieces(self, place: Place | None = None) -> Iterator[Piece]:
        """One piece a story."""
        first = place["number"] if place else 0
        for number, text in enumerate(self._texts[first:], start=first + 1):
            self.place = {"number": number}
            yield _document(text, number)


def _document(text: str, number: int) -> Piece:
    return Piece(text, "val" if number == ALWAYS_VALIDATION else None)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _known_by(path: Path, files: list[Path]) -> dict[str, Any]:
    if path.is_file():
        return {"file": path.name, "sha256": sha256(path)}
    return {"files": {str(file.relative_to(path)): sha256(file) for file in files}}


def _size(files: list[Path]) -> tuple[int | None, int | None]:
    """About how many documents are in the files and how many bytes of text, where it is known."""
    if any(file.suffix.lower() in COMPRESSED for file in files):
        return None, None
    if all(file.suffix.lower() == ".parquet" for file in files):
        import pyarrow.parquet  # type: ignore[import-untyped]

        all_metadata = [pyarrow.parquet.read_metadata(file) for file in files]
        groups = [m.row_group(i) for m in all_metadata for i in range(m.num_row_groups)]
        return sum(m.num_rows for m in all_metadata), sum(g.total_byte_size for g in groups)
    is_lines = all(file.suffix.lower() == ".jsonl" for file in files)
    lines = sum(_count_lines(file) for file in files) if is_lines else None
    return lines, sum(file.stat().st_size for file in files)


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK_BYTES), b""))


def _limited(
    documents: int | None, bytes: int | None, limit: int | None
) -> tuple[int | None, int | None]:
    """What is left of a data set's documents and bytes when only the first are read."""
    if limit is None:
        return documents, bytes
    if documents is None:
        return limit, None
    kept = min(limit, documents)
    return kept, None if bytes is None else bytes * kept // max(documents, 1)
