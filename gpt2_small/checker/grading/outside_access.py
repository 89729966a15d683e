"""List a file's accesses to other libraries' names, the interpreter and other files.

It reads only the text and is easy to deceive; it helps an instructor to review. Assignments to
torch's names cannot change the verdict, which is computed in another process.
"""

import ast
from collections.abc import Iterator

from gpt2_small.checker.sandbox.run_time_access import GPT2S

# End the sentences about a complete GPT-2.
_GPT2 = (", the reference", ", the kit", ", which contains a GPT-2")
_INTERPRETER = (
    "atexit", "builtins", "code", "ctypes", "faulthandler", "gc", "importlib", "inspect", "marshal",
    "mmap", "multiprocessing", "os", "pickle", "resource", "runpy", "shutil", "signal", "socket",
    "subprocess", "threading", "traceback",
)  # fmt: skip
# Modules reachable through other modules' imports: `torch.os`.
_THROUGH = frozenset(_INTERPRETER) - {"code", "resource", "signal"} | {"sys"}
_BUILTINS = ("exec", "eval", "open", "__import__", "compile", "globals")
_METHODS = (
    "import_module", "getsource", "read_text", "read_bytes", "write_text", "write_bytes",
    "run_path", "exec_module", "safe_open", "load_file", "from_file",
)  # fmt: skip
_OF_SYS = ("modules", "path", "meta_path", "path_hooks")
_ATTRIBUTES = (
    "_getframe", "_current_frames", "f_back", "f_globals", "f_locals", "__globals__", "__closure__",
    "__code__", "__subclasses__", "__builtins__", "__loader__", "__spec__",
)  # fmt: skip


def outside_accesses(tree: ast.Module) -> list[tuple[int, str]]:
    """Lines with an access, in source order."""
    return sorted({*_imports(tree), *_calls(tree), *_assignments(tree)})


def is_grave(what: str) -> bool:
    """Whether an access is to a complete GPT-2, or changes an imported module."""
    return what.startswith(("assigns to", "changes", "names", "writes")) or (
        what.startswith(("imports", "reads")) and what.endswith(_GPT2)
    )


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        for name in _imported(node):
            root = name.split(".")[0]
            if root in GPT2S:
                yield _line(node), GPT2S[root]
            elif root in _INTERPRETER:
                yield _line(node), f"imports {root}"


def _imported(node: ast.AST) -> list[str]:
    """The modules that a node imports."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            return [module or "", *(alias.name for alias in names if level)]
        case ast.Call() if _called(node) in ("import_module", "__import__"):
            return [str(a.value) for a in node.args if isinstance(a, ast.Constant)]
    return []


def _calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Calls that read files, run code, or inspect the interpreter."""
    imported, systems = _names_imported(tree), _names_of_sys(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _BUILTINS:
                yield _line(node), f"calls {name}"
            case ast.Call() if _called(node) in _METHODS:
                yield _line(node), f"calls {_called(node)}"
            case ast.Call(func=ast.Name(id="vars"), args=[first]) if _root(first) in imported:
                yield _line(node), f"calls vars({ast.unparse(first)})"
            case ast.Attribute(value=value, attr=name) if name in _OF_SYS and _is_sys(
                value, systems
            ):
                yield _line(node), f"uses sys.{name}"
            case ast.ImportFrom(module="sys", names=names):
                for alias in names:
                    if alias.name in _OF_SYS:
                        yield _line(node), f"uses sys.{alias.name}"
            case ast.Attribute(attr=name) if name in _THROUGH and _root(node) in imported:
                yield _line(node), f"uses {ast.unparse(node)}"
            case ast.Attribute(attr=name) if name in _ATTRIBUTES:
                yield _line(node), f"uses {name}"
            case ast.Constant(value=str(value)) if value in _ATTRIBUTES:
                yield _line(node), f"uses {value}"
            case ast.Constant(value=str(value)) if value.endswith("solution.py"):
                yield _line(node), "names solution.py"


def _names_of_sys(tree: ast.Module) -> set[str]:
    """The names under which a file has imported `sys`."""
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import))
    aliases = (alias for node in imports for alias in node.names if alias.name == "sys")
    return {"sys", *(alias.asname or alias.name for alias in aliases)}


def _is_sys(node: ast.expr, names: set[str]) -> bool:
    """Whether an expression is `sys`, under one of these names, or another module's."""
    return getattr(node, "id", None) in names or getattr(node, "attr", None) == "sys"


def _assignments(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Assignments to imported names: `torch.where = ...`, `setattr(Tensor, ...)`.

    Not of a constant: that is a setting, as in `torch.backends.cudnn.benchmark = True`.
    """
    known = _names_imported(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[first, *_]):
                if _root(first) in known:
                    yield _line(node), f"changes {ast.unparse(first)}"
        is_setting = isinstance(getattr(node, "value", None), ast.Constant)
        for target in () if is_setting else _flat(_targets(node)):
            is_inside = isinstance(target, (ast.Attribute, ast.Subscript))
            if is_inside and _root(target) in known:
                yield _line(node), f"assigns to {ast.unparse(target)}"


def _names_imported(tree: ast.Module) -> set[str]:
    return {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }


def _targets(node: ast.AST) -> list[ast.expr]:
    """The targets that a statement assigns to or deletes."""
    if isinstance(node, (ast.Assign, ast.Delete)):
        return list(node.targets)
    return [node.target] if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else []


def _flat(targets: list[ast.expr]) -> Iterator[ast.expr]:
    for target in targets:
        if isinstance(target, (ast.Tuple, ast.List)):
            yield from _flat(target.elts)
        else:
            yield target


def _root(node: ast.expr) -> str | None:
    """The `name` of `name.a[b].c`."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 1))


def _called(node: ast.Call) -> str:
    function = node.func
    return str(getattr(function, "attr", getattr(function, "id", "")))
