"""Decide whether a report may be written to a file: it replaces an earlier report alone."""

import re
from pathlib import Path

from gpt2_small.errors import UserError

# In the metadata of `grade --picture`.
PICTURE_TITLE = "gpt2-small: the grades of a class"

_JSON = (
    rb'\s*\{\s*"format": "gpt2-small-(?:chat|evaluation|grades|lm-eval|plan|sample)/\d+"'
    rb'|\s*\{\s*"solution": "(?:[^"\\]|\\.)*",\s*"sha256": '
)
_GRADESCOPE = rb'\s*\{\s*"tests": \[\s*\{\s*"name": "[^"]*",\s*"score": '
# The beginnings of earlier reports, by kind.
_BEGINNINGS = {
    "json": _JSON,
    "junit": rb'<\?xml [^>]*>\s*<testsuites name="gpt2-small ',
    "gradescope": _GRADESCOPE,
    "csv": rb"student,points,parts,",
    "picture": rb"(?s)(?:\x89PNG|%PDF|<\?xml).*" + PICTURE_TITLE.encode(),
}
_LONGEST_BEGINNING = 1 << 16


def writable(**reports: Path | None) -> None:
    """Raise UserError if a report could not be written later, or would replace something else.

    reports: the file of every kind of report: json, junit, gradescope, csv or picture.
    """
    seen: set[Path] = set()
    for kind, path in reports.items():
        if path is None:
            continue
        if path.is_dir():
            raise UserError(f"{path} is a folder; give the name of a file for the report")
        folder = path.absolute().parent
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder} for the report {path.name}")
        if path.resolve() in seen:
            raise UserError(f"{path} is given for two reports; give each its own file")
        seen.add(path.resolve())
        if path.is_file() and not _is_report(path, kind):
            raise UserError(
                f"{path} exists and is not a report of this kind; "
                "give another name, or remove it first"
            )


def _is_report(path: Path, kind: str) -> bool:
    """Whether a file begins like a report, or is empty. A PDF has its title at its end."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_LONGEST_BEGINNING)
            if beginning.startswith(b"%PDF"):
                beginning += file.read()
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); give another name") from None
    return not beginning or bool(re.match(_BEGINNINGS[kind], beginning))
