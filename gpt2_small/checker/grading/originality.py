"""What a file's text tells about where it comes from: imports of the reference, copied bodies.

It reads the text alone and is easily misled by who wants to; it helps an instructor to look.
"""

import ast
import difflib
import warnings
from collections.abc import Iterable, Iterator
from functools import cache

from gpt2_small.checker.learner.skeleton import function_of
from gpt2_small.checker.mistakes.mistake import reference_text
from gpt2_small.checker.parts import PARTS

_REFERENCES = {"solution": "the reference", "gpt2_small": "the kit"}
_OTHER_GPT2S = ("transformers", "transformer_lens")
_BUILTINS = ("exec", "eval", "open", "__import__", "compile")
_METHODS = ("import_module", "getsource", "read_text", "read_bytes", "run_path", "exec_module")
# Bodies shorter than this are alike because there is hardly another way to write them.
_LONG_ENOUGH = 120
# Correct files written by others share from 0.07 to 0.51 with the reference, a part.
_ALIKE = 0.9


def parsed(text: bytes) -> ast.Module | None:
    """The syntax tree of a file; None when it is no Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def remarks(tree: ast.Module) -> list[str]:
    """Sentences about a file that an instructor should know of."""
    found = sorted({*_imports(tree), *_reaches(tree)}, key=lambda remark: remark[0])
    said = [f"{what} (line {line})" for line, what in found]
    likes = [f"{part} {share:.0%}" for part, share in likenesses(tree).items()]
    return said + ([f"reads like the reference: {', '.join(likes)}"] if likes else [])


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        for name in _imported(node):
            root = name.split(".")[0]
            if root in _REFERENCES:
                yield _line(node), f"imports {root}, {_REFERENCES[root]}"
            elif root in _OTHER_GPT2S:
                yield _line(node), f"imports {root}, which has a GPT-2"


def _imported(node: ast.AST) -> list[str]:
    """The modules that a piece of code imports by itself."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            return [module or "", *(alias.name for alias in names if level)]
        case ast.Call() if _called(node) in ("import_module", "__import__"):
            return [str(a.value) for a in node.args if isinstance(a, ast.Constant)]
    return []


def _reaches(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Where a file reads other files, or runs other code."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _BUILTINS:
                yield _line(node), f"calls {name}"
            case ast.Call(func=ast.Attribute(attr=name)) if name in _METHODS:
                yield _line(node), f"calls {name}"
            case ast.Attribute(value=ast.Name(id="sys"), attr="modules"):
                yield _line(node), "uses sys.modules"
            case ast.Constant(value=str(value)) if value.endswith("solution.py"):
                yield _line(node), "names solution.py"


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 1))


def _called(node: ast.Call) -> str:
    function = node.func
    return str(getattr(function, "attr", getattr(function, "id", "")))


def undefined(tree: ast.Module, parts: Iterable[str]) -> list[str]:
    """Those of these parts that no class or function of the file has the name of."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    defined = {node.name for node in tree.body if isinstance(node, kinds)}
    return [part for part in parts if part not in defined]


def likenesses(tree: ast.Module) -> dict[str, float]:
    """The longer parts whose code is that of the reference but for names, and how much of it."""
    found = {}
    for part in PARTS:
        reference, own = _reference_code(part), _code(tree, part)
        if len(reference) >= _LONG_ENOUGH and 0 < len(own) < 2 * len(reference):
            share = difflib.SequenceMatcher(None, reference, own, autojunk=False).ratio()
            if share >= _ALIKE:
                found[part] = share
    return found


def fingerprint(tree: ast.Module) -> str:
    """The code of all parts without names, comments and layout, to find two files that are one."""
    return "\n".join(" ".join(_code(tree, part)) for part in PARTS)


@cache
def _reference_code(part: str) -> list[str]:
    return _code(ast.parse(reference_text()), part)


def _code(tree: ast.Module, part: str) -> list[str]:
    """A part's body as a list of words in which local names are numbered; [] without one."""
    try:
        function = function_of(tree, part)
    except (ValueError, AssertionError):
        return []
    body = function.body[ast.get_docstring(function) is not None :]
    numbers: dict[str, str] = {}
    words = []
    for node in (inner for statement in body for inner in _in_order(statement)):
        words.append(type(node).__name__)
        if isinstance(node, ast.Name):
            words.append(numbers.setdefault(node.id, f"name{len(numbers)}"))
        elif isinstance(node, ast.Attribute):
            words.append(node.attr)
        elif isinstance(node, ast.Constant):
            words.append(repr(node.value))
    return words


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """A piece of code and what it is made of, in the order of the text."""
    left = [node]
    while left:
        node = left.pop()
        yield node
        children = [c for c in ast.iter_child_nodes(node) if not isinstance(c, ast.expr_context)]
        left += reversed(children)
