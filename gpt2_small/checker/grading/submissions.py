"""Find and read the files of a class."""

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gpt2_small import binding
from gpt2_small.checker import exercise_sets
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.grading import student_names
from gpt2_small.checker.grading.student_folders import (
    MOST_BYTES,
    SUFFIXES,
    entries_of,
    python_files,
    solution_in,
)
from gpt2_small.errors import UserError

_ARCHIVES = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar")
# Forty times the reference; the syntax tree of 1 MB can take 1 GB of memory.
_MOST_CODE = 1_000_000
_TOO_LARGE = "larger than 10 MB; clear the outputs of a notebook"


@dataclass(frozen=True)
class Submission:
    """A student's submission when grading began.

    student: the file's name without suffix, or its folder's name.
    file: the chosen file, or the entry without one.
    problem: why it is not graded; None if it is.
    content: the file's bytes.
    source: its Python; for a notebook, the code of its cells.
    exercises: its exercise set.
    link: the target of a symbolic link.
    is_alone: whether the file has a folder of its own.
    helpers: the texts of that folder's other Python files, by their path in it.
    notes: remarks on how it was handed in.
    """

    student: str
    file: Path
    problem: str | None = None
    content: bytes | None = None
    source: bytes = b""
    exercises: ExerciseSet = GPT2
    link: str | None = None
    is_alone: bool = False
    helpers: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str | None:
        """The hash of the file's bytes; None if it could not be read."""
        return None if self.content is None else hashlib.sha256(self.content).hexdigest()

    def alarm(self) -> str | None:
        """The file's change on disk since it was read; None without one."""
        if self.content is None:
            return None
        try:
            now = self.file.read_bytes()
        except FileNotFoundError:
            return "ALARM: the file disappeared during grading; its text from before was graded"
        except OSError as error:
            return f"ALARM: the file became unreadable during grading ({error.strerror})"
        if now != self.content:
            return "ALARM: the file changed during grading; its text from before was graded"
        helpers = _helpers(self.file) if self.is_alone else {}
        changed = {name for name, _ in self.helpers.items() ^ helpers.items()}
        if changed:
            return f"ALARM: {min(changed)}, which the file can import, changed during grading"
        return None


def submissions(folder: Path) -> list[Submission]:
    """Read a folder's submissions, one per student by name, also those that cannot be graded.

    Raises UserError for a missing folder, and for one without submissions.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {what}; give the folder with the students' files")
    try:
        entries = entries_of(folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from error
    found = [_read(_chosen(entry)) for entry in entries]
    if all(submission.content is None for submission in found):
        besides = f" (not gradable: {', '.join(e.name for e in entries[:5])})" if entries else ""
        raise UserError(
            f"{folder} contains no Python files{besides}; put in it a .py file or a notebook, or a "
            "folder with one, for each student"
        )
    return _named_apart(found, [entry.name for entry in entries])


def _chosen(entry: Path) -> Submission:
    """The file of an entry in the class's folder, or why it has none."""
    if entry.is_dir():
        student, chosen = student_names.of_folder(entry.name), solution_in(entry)
        link = os.fspath(entry.resolve()) if entry.is_symlink() else None
        if isinstance(chosen, str):
            return Submission(student, entry, chosen, link=link)
        return Submission(student, chosen, link=link, is_alone=True)
    suffix = entry.suffix.lower()
    if entry.name.startswith("."):
        return Submission(entry.name, entry, "a hidden file; rename it to have it graded")
    if suffix in SUFFIXES:
        student, notes = student_names.of_file(entry.stem)
        return Submission(student, entry, notes=notes)
    if suffix in _ARCHIVES:
        problem = f"a {suffix} archive; unpack it into a folder of the student's name"
    else:
        kind = f"a {suffix} file" if suffix else "a file without a suffix"
        problem = f"{kind}, neither Python (.py) nor a notebook (.ipynb)"
    return Submission(entry.stem, entry, problem)


def _read(submission: Submission) -> Submission:
    """A submission with its content, or with a problem."""
    if submission.problem is not None:
        return submission
    file = submission.file
    link = os.fspath(file.resolve()) if file.is_symlink() else submission.link
    try:
        if file.exists() and not file.is_file():
            return replace(submission, problem="not a regular file", link=link)
        if file.stat().st_size > MOST_BYTES:
            return replace(submission, problem=_TOO_LARGE, link=link)
        content = file.read_bytes()
    except OSError as error:
        broken = "a link to a file that does not exist"
        problem = broken if link and not file.exists() else f"cannot be read: {error.strerror}"
        return replace(submission, problem=problem, link=link)
    submission = replace(submission, content=content, link=link)
    if submission.is_alone:
        submission = replace(submission, helpers=_helpers(file))
    try:
        source = binding.python_of(file, content)
        if len(source) > _MOST_CODE:
            return replace(submission, problem="more than 1 MB of code")
        return replace(submission, source=source, exercises=exercise_sets.of_source(source))
    except UserError as error:
        return replace(submission, problem=str(error).removeprefix(f"{file} "))


def _helpers(file: Path) -> dict[str, bytes]:
    """The other Python files of a file's folder, which it can import, by their path in it."""
    found = {}
    for path in python_files(file.parent):
        with contextlib.suppress(OSError):
            if path != file and path.is_file() and path.stat().st_size <= MOST_BYTES:
                found[str(path.relative_to(file.parent))] = path.read_bytes()
    return found


def _named_apart(found: Sequence[Submission], files: Sequence[str]) -> list[Submission]:
    """Submissions with unique names, and with a remark on those of one student."""
    counts = Counter(one.student for one in found if one.problem is None)
    names = student_names.told_apart([one.student for one in found], files)
    return [
        replace(
            one,
            student=name,
            notes=(*one.notes, f"one of {counts[one.student]} files of {one.student}")
            if counts[one.student] > 1
            else one.notes,
        )
        for one, name in zip(found, names, strict=True)
    ]
