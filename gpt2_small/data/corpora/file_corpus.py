"""Read a file or a folder of files as a corpus."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from gpt2_small.data.corpora.corpus import (
    FEW_DOCUMENTS,
    Piece,
    Place,
    RowCounts,
    always_held_out,
    limited,
)
from gpt2_small.data.corpora.folders import list_folder
from gpt2_small.data.corpora.row_files import ObjectWithoutText, RowFile, row_format
from gpt2_small.data.corpora.rows import (
    SKIPPED_SHARE,
    check_skipped,
    documents_of,
    guessed_column,
    rounded_up,
)
from gpt2_small.data.corpora.text_files import EmptyText, NotText, TextFile
from gpt2_small.errors import UserError, printable
from gpt2_small.files.hashes import stamp

SHOWN_NAMES = 20


class FileCorpus:
    """The documents of a file, or of all files of a folder in the order of their paths.

    A text file is one document, and so is each row of a file of rows.

    Args:
        name: as given by the user.
        column: of text, in files of rows.
        limit: the number of documents to read; None for all.
        skipped_share: the fraction of rows, and of a folder's files, that may be unreadable.

    is_one_text: whether it is a single document, without an end of text.

    Raises UserError for a file or folder that cannot be read or has no text.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str | None = None,
        column: str | None = None,
        limit: int | None = None,
        skipped_share: float = SKIPPED_SHARE,
    ) -> None:
        self.name, self.limit = name or str(path), limit
        self._path, self._skipped_share = path, skipped_share
        self.left_out: dict[str, str] = {}
        self._files = self._open_all(column)
        self._stamps = [stamp(file.path) for file in self._files]
        self.is_one_text = len(self._files) == 1 and isinstance(self._files[0], TextFile)
        hashes = chain.from_iterable(file.hashes() for file in self._files)
        self.always_held_out = always_held_out(islice(hashes, limit))
        self.cuts_documents = self.always_held_out is None
        self.origin = self._origin(column)
        self.documents, self.bytes = limited(*self._size(), limit)
        self.remarks = self._remarks(column)
        self.place: Place = {}
        self.counts = RowCounts()

    @property
    def has_rows(self) -> bool:
        """Whether any file contains rows."""
        return any(isinstance(file, RowFile) for file in self._files)

    def pieces(self, place: Place | None = None) -> Iterator[Piece]:
        """The documents; a long text in several pieces.

        Raises:
            UserError: a changed file, or too many unreadable rows.
        """
        first, at, number = (place["file"], place["at"], place["number"]) if place else (0, None, 0)
        self.counts = RowCounts.from_json(place["counts"]) if place else RowCounts()
        for index in range(first, len(self._files)):
            if number == self.limit:
                break
            file = self._files[index]
            if isinstance(file, TextFile):
                ends = not self.is_one_text
                for piece, after in file.pieces(at, cut=self.cuts_documents, ends=ends):
                    self._set_place(index, after, number)
                    yield piece
                number += 1
            else:
                rows = documents_of(
                    file.rows(at), printable(file.path), self.counts, self._skipped_share
                )
                for row in islice(rows, None if self.limit is None else self.limit - number):
                    number += 1
                    self._set_place(index, row.place, number)
                    yield Piece(row.text, "cut" if self.cuts_documents else None)
            self._check_unchanged(index)
            at = None
        check_skipped(self.counts, self._skipped_share)

    def _set_place(self, index: int, at: Place, number: int) -> None:
        self.place = {"file": index, "at": at, "number": number, "counts": self.counts.as_json()}

    def _open_all(self, column: str | None) -> list[TextFile | RowFile]:
        if not self._path.is_dir():
            return [_open(self._path, column)]
        paths, self.left_out = list_folder(self._path)
        files: list[TextFile | RowFile] = []
        problems: dict[str, UserError] = {}
        for path in paths:
            name = str(path.relative_to(self._path))
            try:
                files.append(_open(path, column))
            except EmptyText:
                self.left_out[name] = "empty"
            except ObjectWithoutText:
                self.left_out[name] = "a JSON object without text"
            except UserError as error:
                problems[name] = error
        if len(problems) > self._skipped_share * len(paths):
            first = str(next(iter(problems.values()))).rstrip(".")
            raise UserError(
                f"{len(problems):,} of the {len(paths):,} files of {self._path} cannot be read "
                f"({_shown(list(problems))}; {first}); fix them or move them elsewhere, or leave "
                f"them out with --skip-bad-rows {rounded_up(len(problems) / len(paths))}"
            )
        for name, problem in problems.items():
            self.left_out[name] = problem.reason if isinstance(problem, NotText) else str(problem)
        if not files:
            listed = "; ".join(_grouped(self.left_out)) or "it is empty"
            raise UserError(f"{self._path} holds no text ({listed}); give a folder of text files")
        return files

    def _origin(self, column: str | None) -> dict[str, Any]:
        if self._path.is_dir():
            hashes = {str(f.path.relative_to(self._path)): f.sha256 for f in self._files}
            origin: dict[str, Any] = {"files": hashes}
        else:
            origin = {"file": self._path.name, "sha256": self._files[0].sha256}
        if self.has_rows:
            columns = {file.column for file in self._files if isinstance(file, RowFile)}
            origin["column"] = column or ", ".join(sorted(map(str, columns)))
        return origin

    def _size(self) -> tuple[int | None, int]:
        documents = sum(file.documents for file in self._files)
        return None if self.is_one_text else documents, sum(file.bytes for file in self._files)

    def _remarks(self, column: str | None) -> list[str]:
        texts = [file for file in self._files if isinstance(file, TextFile)]
        remarks = []
        if self._path.is_dir():
            kinds = {"text file": len(texts), "file of rows": len(self._files) - len(texts)}
            counted = " and ".join(_counted(n, kind) for kind, n in kinds.items() if n)
            remarks.append(f"{printable(self.name)} has {counted}.")
        remarks += [f"Left out: {group}." for group in _grouped(self.left_out)]
        remarks += guessed_column(column, (file.column for file in self._files))
        if self.cuts_documents and not self.is_one_text:
            remarks.append(
                f"Fewer than {FEW_DOCUMENTS} different documents: "
                "the last tenth of each is held out for validation."
            )
        if marks := sum(file.facts.end_marks for file in texts):
            remarks.append(
                f"<|endoftext|> occurs {marks:,} times in the text: it is encoded as plain "
                "characters and does not end a document. For several documents, give JSON lines."
            )
        if lines := sum(file.facts.windows_lines for file in texts):
            remarks.append(f"{lines:,} lines end with CR LF (Windows), which is not changed.")
        return remarks

    def _check_unchanged(self, index: int) -> None:
        path = self._files[index].path
        if stamp(path) != self._stamps[index]:
            raise UserError(f"{path} was changed while it was read; give the command again")


def _open(path: Path, column: str | None) -> TextFile | RowFile:
    return RowFile(path, column) if row_format(path) else TextFile(path)


def _grouped(left_out: dict[str, str]) -> list[str]:
    """The names of skipped files, grouped by reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason.partition(" (")[0].rstrip("."), []).append(name)
    return [f"{_shown(names)} ({reason})" for reason, names in by_reason.items()]


def _shown(names: list[str]) -> str:
    more = len(names) - SHOWN_NAMES
    return ", ".join(map(printable, names[:SHOWN_NAMES])) + (
        f" and {more:,} more" if more > 0 else ""
    )


def _counted(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun.replace('file', 'files', 1)}"
