"""Explain an exception from a solution file's code in one sentence, with its line and advice."""

import ast
import codecs
import traceback
from pathlib import Path

from gpt2_small import notebooks
from gpt2_small.errors import UserError, shell_word

_DEFINING = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


def explain(path: Path, error: BaseException, source: bytes = b"") -> str:
    """An exception from the code of a solution file as a sentence with the line.

    source: the file's text; for a notebook, it maps lines to cells.
    """
    file = str(path.absolute())
    if isinstance(error, SyntaxError):
        place = path if error.filename in (None, file) else error.filename
        is_python = path.suffix in ("", ".py", ".ipynb")
        kind = "" if is_python else f"{path} is not a Python file: "
        advice = "; save the file as UTF-8" if "codec can't decode" in error.msg else ""
        return f"{kind}{place}, {notebooks.place(source, error.lineno or 1)}: {error.msg}{advice}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    place = f"{path}, {notebooks.place(source, lines[-1] or 1)}" if lines else path
    if isinstance(error, SystemExit):
        return f"{place}: the file calls exit(); remove the call"
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    sentence = f"{place}: {kind}{' '.join(str(error).split())}".rstrip(": ")
    advice = _import_advice(path, error)
    if not advice and lines and _is_script_line(source, lines[0] or 1):
        advice = (
            "; the file is run to read its classes: put a script's code under "
            'if __name__ == "__main__":'
        )
    return f"{sentence}{advice}"


def _is_script_line(source: bytes, line: int) -> bool:
    """Whether a line is in a statement of the module that runs code instead of defining names."""
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError):
        return False
    found = (s for s in statements if s.lineno <= line <= (s.end_lineno or s.lineno))
    return any(
        isinstance(s.value, ast.Call) if isinstance(s, ast.Assign) else not isinstance(s, _DEFINING)
        for s in found
    )


def _import_advice(path: Path, error: BaseException) -> str:
    """Advice for an import of the file's own package, which fails outside its root folder."""
    if not isinstance(error, ImportError):
        return ""
    if "relative import" in str(error):
        return "; a solution is one file: import by the full name, with PYTHONPATH set to its root"
    package = (error.name or "").partition(".")[0]
    for folder in path.absolute().parents:
        if folder.name == package != "":
            return f"; the file is in that package: set PYTHONPATH={shell_word(folder.parent)}"
    if isinstance(error, ModuleNotFoundError) and package:
        return f"; install {package}, or set PYTHONPATH to its folder"
    return ""


def wrong_encoding(source: bytes) -> str:
    """What shows that bytes are no text that Python reads; empty if nothing does."""
    if source.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "begins as UTF-16 does"
    return "contains null bytes" if b"\0" in source else ""
