"""Record which line of parameter_groups puts each parameter into which group."""

import sys
from collections.abc import Sequence
from types import FrameType, ModuleType
from typing import Any

from gpt2_small.checker.claims.modules.transformer import UNTIED
from gpt2_small.checker.sandbox.tracing.trace import Effect, Trace

ONE_LIST = "one list in several groups"
DECAY = 0.3
# Of lists in lists: a list of groups, a group, its parameters.
_DEPTH = 2


def grouping(module: ModuleType, file: str, seed: int) -> Trace:
    """Record each parameter's group with the line that added it.

    An effect's numbers are the weight decay and the group's index; none for a parameter without a
    group, whose line is 0 if no variable ever held it.
    """
    trace = Trace()
    model = UNTIED.build(module, seed)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    watcher = _Containers(file, names)
    before = sys.gettrace()
    sys.settrace(watcher.entered)
    try:
        groups = module.parameter_groups(model, weight_decay=DECAY)
    except Exception:
        return trace
    finally:
        sys.settrace(before)
    try:
        members = [{id(p) for p in list(group["params"])} for group in groups]
    except Exception:
        return trace
    if (line := watcher.shared([group["params"] for group in groups])) is not None:
        trace.effects.append(Effect(line, ONE_LIST))
    for identity, name in names.items():
        homes = [index for index, group in enumerate(members) if identity in group]
        if not homes:
            trace.effects.append(Effect(watcher.passed.get(identity, 0), name))
        for home in homes:
            decay = groups[home].get("weight_decay", -1.0)
            line = watcher.line_of(identity, members[home])
            trace.effects.append(Effect(line, name, (float(decay), float(home))))
    return trace


class _Containers:
    """Records the line that adds a parameter to a list, set or dictionary.

    passed: by id, the last executed line while a variable referred to the parameter. last: the
    line of the return.
    """

    def __init__(self, file: str, names: dict[int, str]) -> None:
        self._file, self._names = file, names
        self._put: dict[tuple[int, str], dict[int, int]] = {}
        self._line: dict[int, int] = {}
        self._first: dict[int, int] = {}
        self._alive: list[Any] = []
        self.passed: dict[int, int] = {}
        self.last = 0

    def entered(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        return self._at_line if frame.f_code.co_filename == self._file else None

    def _at_line(self, frame: FrameType, event: str, _argument: Any) -> Any:
        line = self._line.get(id(frame))
        if line is not None:
            for name, value in frame.f_locals.items():
                self._note((id(frame), name), value, line)
        if event == "line":
            self.last = self._line[id(frame)] = frame.f_lineno
            for value in frame.f_locals.values():
                if id(value) in self._names:
                    self.passed[id(value)] = frame.f_lineno
        return self._at_line

    def _note(self, variable: tuple[int, str], value: Any, line: int, depth: int = 0) -> None:
        if not isinstance(value, (list, set, tuple, dict)):
            return
        if id(value) not in self._first:
            self._first[id(value)] = line
            self._alive.append(value)
        if isinstance(value, dict):
            value = [*value.values(), *value]
        if depth < _DEPTH:
            nested = (inner for inner in value if not isinstance(inner, tuple))  # not named pairs
            for number, inner in enumerate(nested):
                self._note((variable[0], f"{variable[1]}[{number}]"), inner, line, depth + 1)
        put = self._put.setdefault(variable, {})
        for item in value:
            if id(item) in self._names:
                put.setdefault(id(item), line)

    def shared(self, members: Sequence[Any]) -> int | None:
        """The line that made a list that several groups share; None if there is none."""
        seen = [id(one) for one in members]
        return next((self._first.get(i, self.last) for i in seen if seen.count(i) > 1), None)

    def line_of(self, identity: int, members: set[int]) -> int:
        """The line that added a parameter to the variable that became its group."""
        for put in self._put.values():
            if identity in put and put.keys() <= members:
                return put[identity]
        return self.last
