"""Find the line of parameter_groups that puts the first parameter into a wrong group."""

import ast

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.mistakes.lines.effects.effect_comparison import of_kind, placed_at
from gpt2_small.checker.mistakes.lines.effects.used_up_iterator import used_up_iterator
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.sandbox.tracing import Trace, record
from gpt2_small.checker.sandbox.tracing.group_effects import ONE_LIST


def groups(seed: int, trace: Trace, _case: str, source: bytes) -> Location | None:
    """The location of the first parameter in a wrong group."""
    right = record(reference(), "parameter_groups", seed)
    if shared := of_kind(trace, ONE_LIST):
        return placed_at(shared[0].line, "both groups have the same list")
    decays = {effect.what: effect.numbers[0] for effect in right.effects}
    for name, decay in decays.items():
        mine = of_kind(trace, name)
        for number, effect in enumerate(mine):
            if not effect.numbers:
                said = f"{name} is in no group"
            elif number:
                said = f"{name} is added to a second group"
            elif effect.numbers[0] == decay:
                continue
            elif (decay and effect.numbers[0]) or effect.numbers[0] < 0:
                found = effect.numbers[0]
                said = f"{name} decays with {found:.4g} instead of {decay:.4g}"
                if found < 0:
                    said = f"the group of {name} has no weight_decay"
                return placed_at(_group_at(int(effect.numbers[1]), source) or effect.line, said)
            else:
                what = "does not decay" if effect.numbers[0] == 0 else "decays"
                said = f"{name} {what}, and should{' not' if decay == 0 else ''}"
            if not effect.numbers and (again := used_up_iterator(source, "parameter_groups")):
                return placed_at(*again)
            group = int(effect.numbers[1]) if effect.numbers else None
            line = effect.line
            if group is None:
                was_passed = bool(line)
                line, group = _sibling(trace, decays, name) or (line, None)
                if not was_passed:
                    return placed_at(_loop_around(line, source), said)
            return placed_at(_deciding(line, group, source), said)
    return None


def _group_at(number: int, source: bytes) -> int | None:
    """The line of a group's decay: of the only dictionaries with this key, one a group."""
    lines = [
        key.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == "parameter_groups"
        for group in ast.walk(node)
        if isinstance(group, ast.Dict)
        and any(isinstance(key, ast.Constant) and key.value == "params" for key in group.keys)
        for key in [_decay_of(group)]
    ]
    return sorted(lines)[number] if len(lines) == _GROUPS else None


def _decay_of(group: ast.Dict) -> ast.expr:
    """The value of a group's decay, or its parameters' key."""
    for key, value in zip(group.keys, group.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == "weight_decay":
            return value
    return next(key for key in group.keys if key is not None)


_GROUPS = 2


def _loop_around(line: int, source: bytes) -> int:
    """The innermost loop that a line is in, or the line itself."""
    loops = [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.For) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return max(loops, default=line)


def _sibling(trace: Trace, decays: dict[str, float], name: str) -> tuple[int, int] | None:
    """Line and group of another parameter of the same right group."""
    for effect in trace.effects:
        if effect.numbers and decays.get(effect.what) == decays[name] == effect.numbers[0]:
            return effect.line, int(effect.numbers[1])
    return None


def _deciding(line: int, group: int | None, source: bytes) -> int:
    """The line of the condition around a line; for a returned list, the group's line."""
    tree = ast.parse(source)
    conditions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and any(n.lineno <= line <= (n.end_lineno or 0) for n in [*node.body, *node.orelse])
    ]
    if conditions:
        return max(conditions, key=lambda node: node.lineno).lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and node.lineno <= line <= (node.end_lineno or 0):
            groups = node.value.elts if isinstance(node.value, (ast.List, ast.Tuple)) else []
            if group is not None and group < len(groups):
                return groups[group].lineno
    return line
