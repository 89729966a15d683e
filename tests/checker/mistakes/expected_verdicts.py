"""Read a teacher's verdict on a wrong file: names in its docstring, lines marked by a comment.

The docstring has a line for each wrong part: `MLP: mlp-exact-gelu; mlp-dropout-missing`. `unknown`
stands for a mistake that the catalogue does not have. A line that the checker should quote ends
with `# <-`; a marked line outside every part counts for all parts.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from gpt2_small.checker.parts import PARTS

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Opinion:
    """A teacher's verdict on a part.

    named: ids of mistakes. has_unknown: whether something else is wrong too. lines: the acceptable
    lines to quote; empty if there is none.
    """

    part: str
    named: frozenset[str]
    has_unknown: bool
    lines: frozenset[int]


def opinions(path: Path) -> list[Opinion]:
    """Return the teacher's verdict on each wrong part of a file."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    marked = [n for n, line in enumerate(text.splitlines(), start=1) if line.endswith("# <-")]
    ranges = {
        node.name: range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for node in tree.body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name in PARTS
    }
    marked = [n for line in marked for n in _statement_at(tree, line)]
    found = []
    for part, said in re.findall(r"^(\w+): (.+)$", ast.get_docstring(tree) or "", re.MULTILINE):
        ids = {one.strip() for one in said.split(";")}
        others = [rows for name, rows in ranges.items() if name != part]
        lines = {n for n in marked if not any(n in rows for rows in others)}
        found.append(Opinion(part, frozenset(ids - {UNKNOWN}), UNKNOWN in ids, frozenset(lines)))
    return found


def _statement_at(tree: ast.Module, line: int) -> range:
    """Return the lines of the innermost statement that contains a line."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    inner = max(around, key=lambda node: (node.lineno, -(node.end_lineno or 0)))
    return range(inner.lineno, line + 1)
