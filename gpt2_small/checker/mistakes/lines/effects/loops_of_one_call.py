"""Find two loops over a variable that one call of a function runs, the second after the first."""

import ast
import itertools
from collections.abc import Iterator

# From a function to a node inside of it: each parent, its field, and the place in that field.
_Path = tuple[tuple[ast.AST, str, int], ...]
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def loops_of_one_call(name: str, function: ast.FunctionDef) -> list[tuple[int, int]]:
    """The lines of pairs of loops or comprehensions over a variable, neither inside the other.

    A loop that another branch has, that follows a return, or that follows a loop which may end
    early, is not the second of a pair.
    """
    loops = [
        (node, path)
        for node, path in _inside(function)
        if isinstance(node, (ast.For, ast.comprehension))
        if isinstance(node.iter, ast.Name) and node.iter.id == name
    ]
    return [
        (first.iter.lineno, second.iter.lineno)
        for (first, before), (second, after) in itertools.combinations(loops, 2)
        if not _may_end_early(first) and _may_follow(before, after)
    ]


def _inside(node: ast.AST, path: _Path = ()) -> Iterator[tuple[ast.AST, _Path]]:
    """The nodes inside of a node in their order, each with its path."""
    for field, value in ast.iter_fields(node):
        for place, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST):
                below = (*path, (node, field, place))
                yield child, below
                yield from _inside(child, below)


def _may_end_early(loop: ast.For | ast.comprehension) -> bool:
    return any(isinstance(node, (ast.Break, ast.Return)) for node in ast.walk(loop))


def _may_follow(before: _Path, after: _Path) -> bool:
    """Whether a call that has run the loop at one path may then run the loop at another."""
    shared = sum(1 for _ in itertools.takewhile(_is_same, zip(before, after, strict=False)))
    if shared in (len(before), len(after)):
        return False
    (node, field, _), (_, other, later) = before[shared], after[shared]
    if isinstance(node, _COMPREHENSIONS) or (isinstance(node, ast.Match) and field == other):
        return False
    if isinstance(node, (ast.If, ast.IfExp)) and {field, other} == {"body", "orelse"}:
        return False
    passed = [_from(step) for step in before[shared:]]
    if field == other:
        passed[0] = passed[0][: later - before[shared][2]]
    return not any(map(_ends, itertools.chain(*passed)))


def _is_same(steps: tuple[tuple[ast.AST, str, int], tuple[ast.AST, str, int]]) -> bool:
    (a, field, place), (b, other, later) = steps
    return a is b and (field, place) == (other, later)


def _from(step: tuple[ast.AST, str, int]) -> list[ast.AST]:
    """The statement of a step's block that a path goes through, and those after it."""
    node, field, place = step
    block = getattr(node, field)
    return block[place:] if isinstance(block, list) else []


def _ends(node: ast.AST) -> bool:
    """Whether a statement ends its function, or the pass of a loop."""
    if isinstance(node, ast.With):
        return any(map(_ends, node.body))
    if isinstance(node, ast.If):
        return any(map(_ends, node.body)) and any(map(_ends, node.orelse))
    return isinstance(node, (ast.Return, ast.Raise, ast.Continue, ast.Break))
