"""Detect saves of an edited file, and the parts that a save changed."""

import ast
import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpt2_small import binding, notebooks
from gpt2_small.checker.parts import PARTS
from gpt2_small.errors import UserError

# Polls before reporting, because editors write in two steps or remove the old file first.
_PATIENCE = 6


@dataclass(frozen=True)
class Saved:
    """A new version of the file; for a notebook, the code of its cells.

    sha256: the file's hash.
    problem: why it is no Python text or notebook; empty if it is one.
    """

    text: bytes
    sha256: str = field(default="", compare=False)
    problem: str = ""


@dataclass(frozen=True)
class Gone:
    """The file is missing.

    now: its new path if it was renamed in its folder.
    """

    now: Path | None


class SavedFile:
    """Polls a file for changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text: bytes | None = None
        self._signature: tuple[int, ...] | None = None
        self._inode: int | None = None
        self._missed = 0
        self._unfinished = 0

    def look(self) -> Saved | Gone | None:
        """The change since the last poll, if any.

        Invalid Python and a missing file are reported only if they last for several polls.
        """
        try:
            stat = self.path.stat()
            signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if signature == self._signature and not self._unfinished and not self._missed:
                return None
            content = self.path.read_bytes()
        except OSError:
            return self._miss()
        text, problem = self._python(content)
        self._missed = 0
        if text == self._text:
            self._signature, self._inode, self._unfinished = signature, stat.st_ino, 0
            return None
        if not text.strip() or not is_python(text):
            self._unfinished = 1 if signature != self._signature else self._unfinished + 1
            self._signature = signature
            if self._unfinished < _PATIENCE:
                return None
        self._signature, self._inode, self._unfinished = signature, stat.st_ino, 0
        self._text = text
        return Saved(text, hashlib.sha256(content).hexdigest(), problem)

    def _python(self, content: bytes) -> tuple[bytes, str]:
        """The code of the file, and why it has none; half-saved, it may have none for a moment."""
        try:
            return binding.python_of(self.path, content), ""
        except UserError as error:
            return b"" if notebooks.is_notebook(self.path) else content, str(error)

    def _miss(self) -> Gone | None:
        self._missed += 1
        if self._missed != _PATIENCE:
            return None
        self._text = None
        return Gone(self._renamed())

    def _renamed(self) -> Path | None:
        try:
            for other in self.path.absolute().parent.iterdir():
                if other.suffix == ".py" and other.stat().st_ino == self._inode:
                    return other
        except OSError:
            pass
        return None


def is_python(text: bytes) -> bool:
    """Whether a text can be parsed as Python."""
    try:
        _parsed(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _parsed(text: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def changed_parts(before: bytes | None, after: bytes, parts: Sequence[str] = PARTS) -> list[str]:
    """The parts whose code differs between two texts, in learning order; all if a text is invalid.

    A changed helper changes the parts that name it. Comments, blank lines and docstrings are
    ignored.
    """
    if before is None or not is_python(after):
        return list(parts)
    old, new = _pieces(before), _pieces(after)
    differing = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    helpers = {name for name in differing if name not in parts}
    if "" in helpers:
        return list(parts)
    return [
        part
        for part in parts
        if part in differing or any(f"'{helper}'" in new.get(part, "") for helper in helpers)
    ]


def _pieces(text: bytes) -> dict[str, str]:
    """The file's classes and functions by name, the rest under "", without positions."""
    pieces: dict[str, str] = {"": ""}
    for node in _parsed(text).body:
        name = getattr(node, "name", "")
        pieces[name] = pieces.get(name, "") + ast.dump(node)
    return pieces
