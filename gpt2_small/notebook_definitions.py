"""Reduce a notebook's code to what its modules and parts need.

A notebook also downloads, trains, plots and prints. Checking and binding need its definitions only,
so every other statement becomes a comment, and line numbers stay. Needed are the subclasses of
torch's Module, the functions and classes of the given names, and in turn each statement that binds
or changes a global name that they use. For a function, only definitions, imports and constants
count: a part gets models and data as arguments.
"""

import ast
import builtins
import re
import symtable
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

# Calls and assignments that change another module for all that follows.
_SETTINGS = re.compile(
    r"(torch\.(set_|manual_seed|backends\b|use_deterministic)|sys\.path\b|os\.(chdir|environ)\b"
    r"|random\.seed|np\.random\.seed|numpy\.random\.seed|warnings\.)"
)
# Functions that compute constants.
_CONSTANT = re.compile(
    r"(torch\.(?!load\b|hub\b)|math\.|np\.(?!load)|float\b|int\b|dict\b|list\b|tuple\b|set\b|range\b)"
)
_IMPORTS = (ast.Import, ast.ImportFrom)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINING = (*_FUNCTIONS, ast.ClassDef, *_IMPORTS)


def needed_code(code: bytes, names: Collection[str]) -> bytes | None:
    """The code with a comment in place of each statement that no module or part needs.

    names: the functions and classes to keep, beside modules. Returns None for code without any of
    them, and for code with a syntax error.
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    lines = code.split(b"\n")
    statements = [_Statement(node, lines) for node in tree.body]
    needed = _needed(statements, names)
    if not needed:
        return None
    kept = {n for s in statements if s in needed or s.is_harmless(needed) for n in s.lines}
    for statement in statements:
        for number in statement.lines:
            if number not in kept and not lines[number - 1].startswith(b"#"):
                lines[number - 1] = b"# " + lines[number - 1]
    return b"\n".join(lines)


class _Statement:
    """A top-level statement, with the global names that it binds, changes and uses."""

    def __init__(self, node: ast.stmt, lines: Sequence[bytes]) -> None:
        self.node = node
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(each.lineno for each in decorators)])
        self.lines = range(first, (node.end_lineno or first) + 1)
        self._text = b"\n".join(lines[first - 1 : self.lines[-1]]).decode("utf-8", "replace")

    @cached_property
    def binds(self) -> set[str]:
        """The names that it assigns, imports or defines."""
        return set(_bound(self.node))

    @cached_property
    def changes(self) -> set[str]:
        """The names whose objects it changes: by an assignment to a part, a method, setattr."""
        found: set[str] = set()
        if isinstance(self.node, (*_FUNCTIONS, ast.ClassDef)):
            return found
        for node in ast.walk(self.node):
            if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(
                node.ctx, ast.Load
            ):
                found.add(_base(node))
        if isinstance(self.node, ast.Expr) and isinstance(self.node.value, ast.Call):
            call = self.node.value
            if isinstance(call.func, ast.Attribute):
                found.add(_base(call.func))
            elif _base(call.func) in ("setattr", "delattr") and call.args:
                found.add(_base(call.args[0]))
        return found - {""}

    @cached_property
    def uses(self) -> set[str]:
        """The global names that it uses, now or in its functions' bodies when they are called."""
        try:
            table = symtable.symtable(self._text, "<statement>", "exec")
        except SyntaxError:  # such as a statement after another in its line
            return {node.id for node in ast.walk(self.node) if isinstance(node, ast.Name)}
        return set(_global_names(table, is_module=True))

    @property
    def is_class_or_alias(self) -> bool:
        """Whether it defines a class, or gives something another name."""
        if isinstance(self.node, ast.Assign):
            return isinstance(self.node.value, (ast.Name, ast.Attribute))
        return isinstance(self.node, ast.ClassDef)

    @property
    def is_plain(self) -> bool:
        """Whether it is a definition, an import or a constant: it calls torch and math at most."""
        if isinstance(self.node, _DEFINING):
            return True
        if not isinstance(self.node, (ast.Assign, ast.AnnAssign)):
            return False
        calls = [node for node in ast.walk(self.node) if isinstance(node, ast.Call)]
        return all(_CONSTANT.match(ast.unparse(call.func)) for call in calls)

    @property
    def is_setting(self) -> bool:
        """Whether it changes torch, a path or a seed for all that follows."""
        if isinstance(self.node, ast.Expr) and isinstance(self.node.value, ast.Call):
            return bool(_SETTINGS.match(ast.unparse(self.node.value.func)))
        targets = self.node.targets if isinstance(self.node, ast.Assign) else []
        return any(_SETTINGS.match(ast.unparse(target)) for target in targets)

    def is_harmless(self, needed: "set[_Statement]") -> bool:
        """Whether it is a function that can be defined after the needed statements alone."""
        if not isinstance(self.node, _FUNCTIONS):
            return False
        inputs = [*self.node.decorator_list, *self.node.args.defaults, *self.node.args.kw_defaults]
        inputs += [a.annotation for a in ast.walk(self.node.args) if isinstance(a, ast.arg)]
        inputs.append(self.node.returns)
        used = {
            n.id for i in inputs if i is not None for n in ast.walk(i) if isinstance(n, ast.Name)
        }
        bound = {name for statement in needed for name in statement.binds}
        return used <= bound | set(dir(builtins))


def _needed(statements: Sequence[_Statement], names: Collection[str]) -> set[_Statement]:
    """The modules and the parts with these names, and in turn what they need."""
    modules = _modules(statements)
    functions = {n for s in statements if isinstance(s.node, _FUNCTIONS) for n in s.binds}
    others = {n for s in statements if s.is_class_or_alias for n in s.binds} & set(names)
    if not modules | others | (functions & set(names)):
        return set()
    settings = {s for s in statements if s.is_setting or _imports_all(s.node)}
    needed = _closure(statements, modules | others, settings)
    return needed | _closure(_plain(statements), functions & set(names), set())


def _plain(statements: Sequence[_Statement]) -> list[_Statement]:
    """The definitions, imports and constants, without constants made from other results."""
    bound = {name for statement in statements for name in statement.binds}
    plain = [s for s in statements if s.is_plain]
    while True:
        lacking = bound - {name for statement in plain for name in statement.binds}
        kept = [s for s in plain if isinstance(s.node, _DEFINING) or not s.uses & lacking]
        if len(kept) == len(plain):
            return plain
        plain = kept


def _closure(
    statements: Sequence[_Statement], names: set[str], needed: set[_Statement]
) -> set[_Statement]:
    """The statements that bind or change these names, or names that such statements use."""
    imported = {n for s in statements if isinstance(s.node, _IMPORTS) for n in s.binds}
    needed = set(needed)
    seen: set[str] = set()
    left = names | {name for statement in needed for name in statement.uses}
    while left:
        seen |= left
        needed |= {
            s
            for s in statements
            if s.binds & seen or s.changes & (seen - imported) or _patches(s, seen & imported)
        }
        left = {name for statement in needed for name in statement.uses} - seen
    return needed


def _modules(statements: Sequence[_Statement]) -> set[str]:
    """The classes whose first ancestors are named `...Module`."""
    found: set[str] = set()
    for statement in statements:
        if isinstance(statement.node, ast.ClassDef):
            bases = {ast.unparse(base) for base in statement.node.bases}
            if bases & found or any(base.endswith("Module") for base in bases):
                found.add(statement.node.name)
    return found


def _patches(statement: _Statement, imported: set[str]) -> bool:
    """Whether it assigns to an attribute of an imported module that is needed."""
    node = statement.node
    is_assignment = isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign))
    return is_assignment and bool(statement.changes & imported)


def _imports_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and any(each.name == "*" for each in node.names)


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds in its own scope."""
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        yield node.name
        return
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, _IMPORTS):
        yield from (each.asname or each.name.partition(".")[0] for each in node.names)
    elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    for child in ast.iter_child_nodes(node):
        yield from _bound(child)


def _base(node: ast.AST) -> str:
    """The name at the beginning of `name.attribute[index]`; empty for others."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _global_names(table: symtable.SymbolTable, *, is_module: bool = False) -> Iterator[str]:
    """The names that resolve to the module's in a scope and the scopes inside."""
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (is_module or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _global_names(child)
