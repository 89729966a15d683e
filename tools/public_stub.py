"""Write gpt2_small/__init__.pyi, which shows editors and type checkers the public names.

`gpt2_small.__getattr__` looks up the names of the bound solution at first use, where no type
checker follows. The stub declares them with the reference's signatures and docstrings. Run
`python tools/public_stub.py` after changing either.
"""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STUB = ROOT / "gpt2_small" / "__init__.pyi"


def public_stub() -> str:
    """Return the stub's formatted text."""
    sys.path.insert(0, str(ROOT))
    import gpt2_small

    tree = ast.parse((ROOT / "solution.py").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    declared = [
        _declaration(node)
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and _is_needed(node, tree)
    ]
    lines = [
        '"""The public names for type checkers and editors, generated from solution.py."""',
        *map(ast.unparse, imports),
        "from types import ModuleType",
        *(
            f"from {home} import {name} as {name}"
            for name, home in [
                ("bind", "gpt2_small.binding"),
                ("load", "gpt2_small.binding"),
                ("UserError", "gpt2_small.errors"),
                *vars(gpt2_small)["_MODULE_OF"].items(),
            ]
        ),
        "__version__: str",
        f"__all__ = {sorted(gpt2_small.__all__)!r}",
        *declared,
    ]
    return _formatted("\n".join(lines))


def _is_needed(node: ast.ClassDef | ast.FunctionDef, tree: ast.Module) -> bool:
    """Whether a name is public or a default of a public signature."""
    from gpt2_small import binding

    return node.name in (*binding.SOLUTION_NAMES, "batch_loss")


def _declaration(node: ast.ClassDef | ast.FunctionDef) -> str:
    """A class or function with its signatures and docstrings, without its bodies."""
    if isinstance(node, ast.FunctionDef):
        return ast.unparse(ast.fix_missing_locations(_signature(node)))
    body: list[ast.stmt] = []
    docstring = ast.get_docstring(node, clean=False)
    if docstring is not None:
        body.append(ast.Expr(ast.Constant(docstring)))
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign):
            if isinstance(statement.value, ast.Constant) and statement.value.value is None:
                statement.value = ast.Constant(...)  # set by the constructor
            body.append(statement)
        elif isinstance(statement, ast.FunctionDef) and statement.name != "__post_init__":
            if statement.name == "__init__":
                body.extend(_attributes(statement))
            body.append(_signature(statement))
    declared = ast.ClassDef(node.name, node.bases, [], body, node.decorator_list)
    return ast.unparse(ast.fix_missing_locations(declared))


def _signature(node: ast.FunctionDef) -> ast.FunctionDef:
    body: list[ast.stmt] = [ast.Expr(ast.Constant(...))]
    docstring = ast.get_docstring(node, clean=False)
    if docstring is not None:
        body = [ast.Expr(ast.Constant(docstring)), *body]
    return ast.FunctionDef(node.name, node.args, body, node.decorator_list, node.returns)


def _attributes(init: ast.FunctionDef) -> list[ast.stmt]:
    """Return the parameters, submodules and taps that `__init__` assigns, with their types."""
    found: list[ast.stmt] = []
    for node in init.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Attribute):
            continue
        annotation = _type_of(node.value)
        if annotation is not None:
            name = node.targets[0].attr
            found.append(ast.parse(f"{name}: {annotation}").body[0])
    return found


def _type_of(value: ast.expr) -> str | None:
    if isinstance(value, ast.IfExp):
        return f"{_type_of(value.orelse)} | None"
    if isinstance(value, ast.Name):
        return {"config": "TransformerConfig", "d_head": "int"}.get(value.id)
    if isinstance(value, ast.Attribute):
        return "float" if value.attr == "layer_norm_eps" else "int"
    called = ast.unparse(value.func) if isinstance(value, ast.Call) else None
    return "nn.Parameter" if called == "normal_parameter" else called


def _formatted(text: str) -> str:
    for command in (["check", "--fix-only", "--select", "I,F401,RUF022,PIE790"], ["format"]):
        line = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(STUB), "-"]
        result = subprocess.run(line, input=text, capture_output=True, text=True, check=True)
        text = result.stdout
    return text


if __name__ == "__main__":
    STUB.write_text(public_stub(), encoding="utf-8")
