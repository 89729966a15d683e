"""Report a user's mistakes in one sentence, with the nearest known name."""

import difflib
import os
import shlex
import string
from collections.abc import Iterable
from pathlib import Path

# The least similarity of two files' names, which have their suffix in common.
_FILES_ALIKE = 0.7


class UserError(ValueError):
    """Input that cannot be used. The message is one sentence with the value and the way out.

    Commands print the message alone and exit with code 2. So does a notebook cell: IPython calls
    `_render_traceback_`.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class NameMissing(UserError, AttributeError):
    """A name that the solution file does not define."""


class ImportMissing(UserError, ImportError):
    """An import of a name that the solution file does not define."""


class MachineError(UserError):
    """A user's mistake on one machine of several; each machine prints its own."""


class ProcessLost(Exception):
    """Another worker of a training was lost. The message is one sentence.

    Commands print the message alone, once on each machine, and exit with code 1.
    """


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name most similar to `name`, ignoring case.

    Args:
        cutoff: the least similarity, from 0 to 1 (`difflib.get_close_matches`).
    """
    by_folded: dict[str, str] = {}
    for each in known:
        by_folded.setdefault(each.casefold(), each)
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[found[0]] if found else None


def did_you_mean(
    name: str, known: Iterable[str], *, otherwise: str = "", cutoff: float = 0.6
) -> str:
    """`did you mean NEAREST?`, or `otherwise` when no known name is similar."""
    found = nearest(name, known, cutoff=cutoff)
    return otherwise if found is None else f"did you mean {found}?"


def did_you_mean_beside(path: Path, names: Iterable[str], *, otherwise: str = "") -> str:
    """`did you mean PATH?` with the most similar name in the path's folder, or `otherwise`."""
    found = nearest(path.name, names, cutoff=_FILES_ALIKE)
    return otherwise if found is None else f"did you mean {path.with_name(found)}?"


def package_missing(task: str, package: str) -> UserError:
    """The error for a task that needs a package that is not installed."""
    return UserError(f"{task} needs the `{package}` package: pip install {package}")


def counted(number: int, noun: str, plural: str = "s") -> str:
    """`1 process`, `2 processes`, `3,000 steps`."""
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def first_line(error: BaseException) -> str:
    """The first line of another library's error, without its full stop; its type if it is empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def shell_word(name: object) -> str:
    """A file's name quoted for a shell, whatever bytes it contains."""
    text = str(name)
    if text.isprintable():
        return shlex.quote(text)
    plain = set(string.printable.encode()) - set(string.whitespace.encode()) - set(b"\\'")
    return "".join(
        ["$'", *(chr(b) if b in plain else f"\\x{b:02x}" for b in os.fsencode(text)), "'"]
    )


def printable(name: object) -> str:
    """A file's name on one line, with line breaks and invalid UTF-8 escaped."""
    text = str(name)
    return text if text.isprintable() else repr(text)[1:-1]
