"""Check a solution from Python, usually in a notebook, and print the screen of `check`."""

import ast
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from gpt2_small import binding
from gpt2_small.checker.exercise_set import GPT2
from gpt2_small.checker.exercise_sets import of_source
from gpt2_small.checker.learner import verdict_screen
from gpt2_small.checker.sandbox.client import Checker
from gpt2_small.checker.verdict import Verdict
from gpt2_small.errors import UserError
from gpt2_small.notebook_definitions import needed_code
from gpt2_small.notebooks import joined

# Statements that make a cell part of a solution.
_DEFINES = (ast.ClassDef, ast.FunctionDef, ast.Import, ast.ImportFrom)


def check(
    path: str | Path | None = None, parts: str | Iterable[str] | None = None, *, seed: int = 0
) -> Verdict:
    """Check a file, or the parts defined in this notebook's cells, and print the result.

    path: a Python file or a notebook; default: the bound file, else the lesson's file that this
        notebook has loaded, else the executed cells.
    parts: a name such as LayerNorm, or several; default: those that are defined.
    seed: for the checks' random inputs.

    The check runs in separate processes and changes nothing here. Raises UserError if there is
    nothing to check.
    """
    _refuse_part(path)
    module = sys.modules.get(binding.BOUND_MODULE)
    if path is None and module is not None and not binding.is_reference(module):
        path = binding.solution_path(module)
    path = path or _loaded_file()
    if path is not None:
        return _checked(Path(path), str(path), parts, seed)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "notebook.py"
        file.write_bytes(code_run())
        return _checked(file, "this notebook", parts, seed)


def _refuse_part(path: str | Path | None) -> None:
    """Raises UserError for a part's name in place of a file."""
    if str(path) in GPT2.parts and not Path(str(path)).exists():
        raise UserError(
            f"there is no file {path}; to check that part: gpt2_small.check(parts=['{path}'])"
        )


def _namespace() -> dict[str, Any]:
    """The variables of this notebook; none outside of IPython."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return {} if shell is None else shell.user_ns


def _loaded_file() -> Path | None:
    """The lesson's file that this notebook loaded with `gpt2_small.load`."""
    for module in _namespace().values():
        text = getattr(module, "SOURCE", b"") if isinstance(module, ModuleType) else b""
        if of_source(text) is not GPT2:
            return binding.solution_path(module)
    return None


def code_run() -> bytes:
    """The code of the executed cells that the parts need, with execution numbers.

    Of a cell that was executed again, only the last text. Raises UserError outside of IPython.
    """
    namespace = _namespace()
    if not namespace:
        raise UserError(
            "there is no notebook here to check; give a file: gpt2_small.check('my_gpt2.py')"
        )
    texts = {n: text for n, text in enumerate(namespace["In"]) if _statements(text)}
    last = {name: number for number, text in texts.items() for name in _names(text)}
    kept = {n: t for n, t in texts.items() if not _names(t) or n in last.values()}
    if not any(_names(text) for text in kept.values()):
        raise UserError(
            "no cell that was run defines a part; run the cells with your classes first"
        )
    needed = needed_code(joined(kept), binding.SOLUTION_NAMES)
    return needed or joined({n: t for n, t in kept.items() if _defines(t)})


def _statements(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError):
        return []


def _defines(text: str) -> bool:
    return any(isinstance(node, _DEFINES) for node in _statements(text))


def _names(text: str) -> list[str]:
    return [
        node.name for node in _statements(text) if isinstance(node, (ast.ClassDef, ast.FunctionDef))
    ]


def _checked(file: Path, shown_as: str, parts: Iterable[str] | None, seed: int) -> Verdict:
    with Checker() as checker:
        verdict = checker.check(file, parts, seed=seed)
    verdict.solution = shown_as
    if verdict.error is not None:
        raise UserError(verdict.error.replace(str(file), shown_as))
    verdict_screen.console_for_learners().print(verdict_screen.whole(verdict))
    return verdict
