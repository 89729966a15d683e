"""Read the code of a notebook as one Python text whose lines lead back to its cells.

The format is nbformat 4 (JSON). The code cells are joined in order; IPython's magics and shell
commands (%, !, ? at the beginning of a line, and the lines that a backslash continues) become
comments, and so do cells without definitions that are not Python.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError

# The beginning of the comment in a learner's file of a lesson.
LESSON_MARK = "# gpt2-small lesson: "
_MARK = "# %% code cell {}"
_MARKED = re.compile(rb"^# %% code cell (\d+)\r?$")
_MAGIC = re.compile(r"^(\s*)([%!?].*|[\w.]+\?{1,2}\s*)$")
# `files = !ls`: the output lines of a shell command, or the result of a magic.
_ASSIGNED = re.compile(r"^(\s*[\w, ]+=\s*)([%!].*)$")
# Commands that IPython runs without a % or !, in the default setting %automagic.
_COMMAND = re.compile(
    r"^(pip|conda|mamba|uv|cd|ls|ll|pwd|cat|cp|mv|mkdir|rm|clear|matplotlib) [^=(]*$"
)
_DEFINITION = re.compile(r"^\s*(class|def|async def|@)\b", re.MULTILINE)
# Magics whose cells are Python.
_PYTHON_CELLS = ("%%time", "%%timeit", "%%capture", "%%prun", "%%python", "%%python3")


def is_notebook(path: Path) -> bool:
    """Whether a file is a notebook, by its name."""
    return path.suffix == ".ipynb"


def python_of(path: Path, content: bytes) -> bytes:
    """The code of a notebook as Python, with a comment before each cell.

    Raises UserError for a file that is not a notebook or has no code cell.
    """
    try:
        notebook = json.loads(content)
        cells = notebook["cells"]
        texts = [_text_of(cell) for cell in cells if cell["cell_type"] == "code"]
        code = joined(dict(enumerate(texts, start=1)))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} is not a notebook of format 4 ({type(error).__name__}); save it again in "
            "Jupyter, or export it as a .py file"
        ) from error
    if not texts:
        raise UserError(f"{path} has no code cells")
    return code


def joined(cells: Mapping[int, str]) -> bytes:
    """Join cells into one Python text, each after a comment with its number."""
    return "\n".join(f"{_MARK.format(n)}\n{text}" for n, text in cells.items()).encode()


def _text_of(cell: dict[str, Any]) -> str:
    source = cell["source"]
    text = source if isinstance(source, str) else "".join(source)
    lines = re.split(r"\r\n|\r|\n", text)  # Python's own line ends; str.splitlines has more
    if not lines[-1]:
        lines.pop()
    words = lines[0].split() if lines else []
    if words and words[0].startswith("%%") and words[0] not in _PYTHON_CELLS:
        return "\n".join(f"# {line}" for line in lines) + "\n"
    text = "\n".join(lines) + "\n"
    if _is_python(text):
        return text  # a line that begins with % may continue an expression
    text = "\n".join(_without_commands(lines)) + "\n"
    if _is_python(text) or _DEFINITION.search(text):
        return text
    return "\n".join(f"# {line}" for line in lines) + "\n"


def _without_commands(lines: list[str]) -> Iterator[str]:
    """The lines, with magics and shell commands as comments."""
    is_continued = False
    for line in lines:
        plain = _MAGIC.sub(r"\1pass  # \2", _ASSIGNED.sub(r"\1[]  # \2", line))
        plain = _COMMAND.sub(r"pass  # \g<0>", plain)
        yield f"# {line}" if is_continued else plain
        is_continued = (is_continued or plain != line) and line.endswith("\\")


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def place(source: bytes, line: int) -> str:
    """Name the place of a line of a Python text: `line 14`, or `code cell 3, line 5`."""
    cell, number = _cell_and_line(source, line)
    return f"line {number}" if cell is None else f"code cell {cell}, line {number}"


def line_in_cell(source: bytes, line: int) -> int:
    """The number of a Python text's line, counted in its cell if the text is a notebook's."""
    return _cell_and_line(source, line)[1]


def _cell_and_line(source: bytes, line: int) -> tuple[int | None, int]:
    lines = source.split(b"\n")
    for index in range(min(line, len(lines)) - 1, -1, -1):
        marked = _MARKED.match(lines[index])
        if marked is not None:
            return int(marked[1]), line - index - 1
    return None, line
