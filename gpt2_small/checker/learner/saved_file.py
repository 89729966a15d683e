"""Detect saves of a file that is being edited, and the parts that a save changed."""

import ast
import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpt2_small import notebooks
from gpt2_small.checker.parts import PARTS
from gpt2_small.errors import UserError

# Editors write in two steps, or take the old file away first: so many looks are patience.
_PATIENCE = 6


@dataclass(frozen=True)
class Saved:
    """A new text of the file; of a notebook the code of its cells.

    sha256: of the file.
    """

    text: bytes
    sha256: str = field(default="", compare=False)


@dataclass(frozen=True)
class Gone:
    """The file is not there any more.

    now: where the same file is instead, when it was renamed inside its folder.
    """

    now: Path | None


class SavedFile:
    """Looks at a file again and again, and tells when there is something new."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text: bytes | None = None
        self._signature: tuple[int, ...] | None = None
        self._inode: int | None = None
        self._missed = 0
        self._unfinished = 0

    def look(self) -> Saved | Gone | None:
        """What is new since the last look, if anything is.

        A text that is no Python yet, or a file that is missing, is told of only when it stays so.
        """
        try:
            stat = self.path.stat()
            signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if signature == self._signature and not self._unfinished and not self._missed:
                return None
            content = self.path.read_bytes()
        except OSError:
            return self._miss()
        text = self._python(content)
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
        return Saved(text, hashlib.sha256(content).hexdigest())

    def _python(self, content: bytes) -> bytes:
        if not notebooks.is_notebook(self.path):
            return content
        try:
            return notebooks.python_of(self.path, content)
        except UserError:
            return b""  # half-saved

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
    """Whether a text can be parsed."""
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
    """The parts whose code differs between two texts, in learning order; all when in doubt.

    A part is changed, too, when a helper that it names is. Comments, blank lines and docstrings
    outside of code do not count.
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
    """The file's classes and functions by name, and under "" all the rest, without positions."""
    pieces: dict[str, str] = {"": ""}
    for node in _parsed(text).body:
        name = getattr(node, "name", "")
        pieces[name] = pieces.get(name, "") + ast.dump(node)
    return pieces
