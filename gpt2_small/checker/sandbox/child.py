"""Run a file in this forked process, and send observations."""

import json
import os
import sys
from types import ModuleType

from gpt2_small import binding
from gpt2_small.checker import exercise_sets
from gpt2_small.checker.claims.judging.runner import ObservedClaim, look, stand_in
from gpt2_small.checker.claims.modules.parameter_shapes import other_axes
from gpt2_small.checker.claims.observing.packing import pack
from gpt2_small.checker.sandbox.inert_libraries import compile_nothing, stand_in_for_colab
from gpt2_small.checker.sandbox.limits import TimeLimit
from gpt2_small.checker.sandbox.messages import access_frame, write_frame
from gpt2_small.checker.sandbox.run_time_access import report_accesses
from gpt2_small.checker.sandbox.task import ChildTask
from gpt2_small.errors import UserError

_MODULE = "gpt2_small_checked"
_OTHERS = "gpt2_small_other_parts"


def work(task: ChildTask, sender: int, time_limit: TimeLimit) -> None:
    """Execute a task, and send its results.

    The judge trusts none of them: they are observations, or the file's progress.
    """
    limits = task.limits
    time_limit.stop_after(limits.loading_seconds, limits.wall_seconds)
    _report_accesses(task, sender)
    if task.work == "load":
        write_frame(sender, json.dumps(_loaded(task)).encode())
        return
    if task.work == "propose":
        write_frame(sender, json.dumps(_proposed(task)).encode())
        return
    module = load(task)
    stand_in(module, task.parts, _other_parts(task), exercise_sets.find(task.exercises))
    if task.work == "look":
        with other_axes(task.axes):
            _look(task, module, sender, time_limit)
    else:
        _trace(task, module, sender)


def _report_accesses(task: ChildTask, sender: int) -> None:
    """Send the file's accesses, with functions that it cannot replace in this module."""
    send, frame = write_frame, access_frame
    report_accesses(task, lambda line, said: send(sender, frame(line, said)))


def load(task: ChildTask) -> ModuleType:
    """Run the file."""
    sys.argv = [str(task.path)]
    sys.dont_write_bytecode = True
    if task.has_helpers:
        sys.path.insert(0, str(task.path.absolute().parent))
    if b"google.colab" in task.source:
        stand_in_for_colab()
    if b"compile" in task.source:
        compile_nothing()
    module = binding.execute(task.source, task.path, _MODULE)
    sys.modules[_MODULE] = module
    if task.layout is not None:
        from gpt2_small.checker.layouts import adapted_module, find_layout

        return adapted_module(module, find_layout(task.layout), task.fixed)
    if task.fixed:
        from gpt2_small.checker.layouts.fixed_d_mlp import free_width

        free_width(module)
    return module


def _proposed(task: ChildTask) -> dict[str, object]:
    """The layout that fits the file, and the fitting parts."""
    from gpt2_small.checker.claims.observing.probes import config
    from gpt2_small.checker.layouts.known_layouts import proposed_layout

    found = proposed_layout(load(task), config(_other_parts(task)))
    return {} if found is None else {"layout": found[0], "parts": list(found[1])}


def _loaded(task: ChildTask) -> dict[str, object]:
    """The error of running the file, or the names that it defines."""
    try:
        return {"names": list(vars(load(task)))}
    except UserError as error:
        return {"error": str(error)}
    except KeyboardInterrupt:
        return {"error": f"{task.path}: KeyboardInterrupt"}


def _other_parts(task: ChildTask) -> ModuleType:
    """The reference without the parts under check."""
    module = ModuleType(_OTHERS)
    module.__file__ = f"<{_OTHERS}>"
    sys.modules[_OTHERS] = module  # dataclasses look up their module there
    assert task.others is not None
    exec(task.others, module.__dict__)
    return module


def _look(task: ChildTask, module: ModuleType, sender: int, time_limit: TimeLimit) -> None:
    """Observe the claims, and send a message before and after each."""
    claims = exercise_sets.find(task.exercises).claims(task.parts[-1])
    for number in task.claims:
        claim = claims[number]
        write_frame(sender, json.dumps({"start": number}).encode())
        seconds = max(task.limits.seconds, claim.seconds)
        time_limit.stop_after(seconds, max(task.limits.wall_seconds, seconds))
        sight = look(claim, module, task.seed)
        try:
            seen = pack(sight.seen)
        except Exception as error:
            sight, seen = ObservedClaim({}, f"its result cannot be compared: {error}"), pack({})
        time_limit.stop()
        told = {"problem": sight.problem, "line": sight.line, "written": sight.written}
        write_frame(sender, json.dumps({"sight": {**told, "seconds": sight.seconds}}).encode())
        write_frame(sender, seen)
    sys.stdout.flush()


def _trace(task: ChildTask, module: ModuleType, sender: int) -> None:
    """Send a failed part's traces, case by case."""
    from gpt2_small.checker.sandbox import tracing

    part = task.parts[-1]
    for case in tracing.cases_of(part):
        write_frame(sender, tracing.pack(tracing.record(module, part, task.seed, case)))


def end(code: int) -> None:
    """End this process without Python's cleanup."""
    os._exit(code)
