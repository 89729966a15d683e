"""Find and read the files of a class."""

import contextlib
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gpt2_small import binding
from gpt2_small.checker import exercise_sets
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.errors import UserError

PREFERRED = ("my_gpt2.py", "my_gpt2.ipynb")
_SUFFIXES = (".py", ".ipynb")
_ARCHIVES = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar")
# Files of operating systems, editors and this kit, which are not submissions.
_LEFT_BEHIND = (
    ".DS_Store", ".git", ".gitattributes", ".gitignore", ".idea", ".ipynb_checkpoints",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", ".vscode", "Thumbs.db", "__MACOSX",
    "__pycache__", "desktop.ini",
)  # fmt: skip
_MOST_BYTES = 10_000_000
_MOST_HELPERS = 1000


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
        entries = _entries(folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from error
    found = [_read(_chosen(entry)) for entry in entries]
    if all(submission.content is None for submission in found):
        besides = f" (not gradable: {', '.join(e.name for e in entries[:5])})" if entries else ""
        raise UserError(
            f"{folder} contains no Python files{besides}; put in it a .py file or a notebook, or a "
            "folder with one, for each student"
        )
    return _named_apart(found)


def _entries(folder: Path) -> list[Path]:
    return sorted(
        folder / name
        for name in os.listdir(folder)
        if name not in _LEFT_BEHIND
        and not name.startswith("._")
        and not name.endswith(".progress.json")
    )


def _chosen(entry: Path) -> Submission:
    """The file of an entry in the class's folder, or why it has none."""
    if entry.is_dir():
        found = replace(_inside(entry), student=_without_suffix(entry.name), is_alone=True)
        link = os.fspath(entry.resolve()) if entry.is_symlink() else None
        return replace(found, link=link)
    suffix = entry.suffix.lower()
    if entry.name.startswith("."):
        return Submission(entry.name, entry, "a hidden file; rename it to have it graded")
    if suffix in _SUFFIXES:
        return Submission(entry.stem, entry)
    if suffix in _ARCHIVES:
        problem = f"a {suffix} archive; unpack it into a folder of the student's name"
    else:
        kind = f"a {suffix} file" if suffix else "a file without a suffix"
        problem = f"{kind}, neither Python (.py) nor a notebook (.ipynb)"
    return Submission(entry.stem, entry, problem)


def _without_suffix(name: str) -> str:
    """A folder's name without Moodle's suffix after the student's name and number."""
    return re.sub(r"(?<=.)_assignsubmission_file_?$", "", name)


def _inside(folder: Path) -> Submission:
    """The solution in a student's folder, at its top or in an inner folder."""
    try:
        entries = _entries(folder)
        files = [file for file in entries if file.suffix in _SUFFIXES and not file.is_dir()]
        if not files:
            files = [
                file
                for file in sorted(folder.rglob("*"))
                if file.suffix in _SUFFIXES
                and not file.is_dir()
                and not any(name in _LEFT_BEHIND for name in file.relative_to(folder).parts)
                and not file.name.startswith("._")
            ]
    except OSError as error:
        return Submission(folder.name, folder, f"the folder cannot be read: {error.strerror}")
    for name in PREFERRED:
        preferred = [file for file in files if file.name == name]
        if len(preferred) == 1:
            return Submission(folder.name, preferred[0])
    if len(files) == 1:
        return Submission(folder.name, files[0])
    if files:
        problem = f"the folder holds {len(files)} Python files, not one of them {PREFERRED[0]}"
    elif entries:
        problem = f"no Python file in the folder, which holds {_listed(entries)}"
    else:
        problem = "the folder is empty"
    return Submission(folder.name, folder, problem)


def _listed(entries: Sequence[Path], most: int = 3) -> str:
    names = ", ".join(entry.name for entry in entries[:most])
    return names if len(entries) <= most else f"{names} and {len(entries) - most} more"


def _read(submission: Submission) -> Submission:
    """A submission with its content, or with a problem."""
    if submission.problem is not None:
        return submission
    file = submission.file
    link = os.fspath(file.resolve()) if file.is_symlink() else submission.link
    try:
        if file.exists() and not file.is_file():
            return replace(submission, problem="not a regular file", link=link)
        if file.stat().st_size > _MOST_BYTES:
            return replace(submission, problem="larger than 10 MB", link=link)
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
        return replace(submission, source=source, exercises=exercise_sets.of_source(source))
    except UserError as error:
        return replace(submission, problem=str(error).removeprefix(f"{file} "))


def _helpers(file: Path) -> dict[str, bytes]:
    """The other Python files of a file's folder, which it can import, by their path in it."""
    found = {}
    for path in sorted(file.parent.rglob("*.py"))[:_MOST_HELPERS]:
        with contextlib.suppress(OSError):
            if path != file and path.is_file() and path.stat().st_size <= _MOST_BYTES:
                found[str(path.relative_to(file.parent))] = path.read_bytes()
    return found


def _named_apart(found: Iterable[Submission]) -> list[Submission]:
    """Submissions with unique names: `anna.py` beside `anna.ipynb` keep their suffixes."""
    found = list(found)
    counts = Counter(submission.student for submission in found)
    return [
        replace(one, student=one.file.name) if counts[one.student] > 1 else one for one in found
    ]
