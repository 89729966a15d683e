"""A part's checks in processes of their own: the child's side, and what the server makes of it."""

import ast
import difflib
import faulthandler
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import Any

from gpt2_small import binding
from gpt2_small.checker.claims import Check
from gpt2_small.checker.claims.observation import pack, unpack
from gpt2_small.checker.claims.runner import RAISED, Judged, behind, judge_each, stand_in
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.messages import write_frame
from gpt2_small.checker.sandbox.process import Process, Task, how_it_ended, line_of, stop_after
from gpt2_small.checker.sandbox.tracing import Trace, record
from gpt2_small.checker.sandbox.tracing import pack as pack_trace
from gpt2_small.checker.sandbox.tracing import unpack as unpack_trace
from gpt2_small.checker.verdict import Result
from gpt2_small.errors import UserError

_CRASHES = 3
_MODULE = "gpt2_small_checked"


@dataclass(frozen=True)
class Loaded:
    """What running a file told: the error's sentence, or the names that it has."""

    error: str | None = None
    names: frozenset[str] = frozenset()
    lines: dict[str, int] = field(default_factory=dict)

    def hint(self, part: str) -> str:
        """That another name of the file looks as if this part were meant."""
        others = {name.lower(): name for name in self.lines if name not in PARTS}
        near = difflib.get_close_matches(part.lower(), others, n=1, cutoff=0.75)
        if not near:
            return ""
        name = others[near[0]]
        return f"; is {name}, in line {self.lines[name]}, meant? Then rename it"


@dataclass
class Outcome:
    """What a part's process, or processes, told."""

    judged: list[Judged] = field(default_factory=list)
    trace: Trace | None = None
    printed: str = ""


def load(task: Task) -> ModuleType:
    """Run the file, in a child."""
    sys.argv = [str(task.path)]
    sys.path.insert(0, str(task.path.absolute().parent))
    module = binding.execute(task.source, task.path, _MODULE)
    sys.modules[_MODULE] = module
    return module


def load_in_child(task: Task) -> Loaded:
    """Run the file once, to see whether it can be run, and what it defines."""

    def work(sender: int) -> None:
        stop_after(task.loading_seconds)
        try:
            told: dict[str, Any] = {"names": list(vars(load(task)))}
        except UserError as error:
            told = {"error": str(error)}
        except KeyboardInterrupt:
            told = {"error": f"{task.path}: KeyboardInterrupt"}
        write_frame(sender, json.dumps(told).encode())

    process = Process(work, task)
    try:
        told = process.read(task.loading_seconds)
    except TimeoutError:
        told = None
    process.end()
    if told is None:
        line = line_of(task, process.last_words())
        place = f"{task.path}, line {line}" if line else str(task.path)
        return Loaded(
            f"{place}: while the file is run, {how_it_ended(process, task.loading_seconds)}"
        )
    if "error" in told:
        return Loaded(told["error"])
    tree = ast.parse(task.source)
    lines = {
        node.name: node.lineno
        for node in tree.body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef))
    }
    return Loaded(None, frozenset(told["names"]), lines)


def run_in_child(
    task: Task,
    parts: Sequence[str],
    checks: Sequence[Check],
    on_result: Callable[[Result], None],
) -> Outcome:
    """Run checks of one part in a child, or in several when one does not survive."""
    outcome, crashes = Outcome(), 0
    while len(outcome.judged) < len(checks):
        rest = checks[len(outcome.judged) :]
        stopped = _run_some(task, parts, rest, outcome, on_result)
        if stopped is None:
            return outcome
        crashes += 1
        check = checks[len(outcome.judged)]
        _keep(outcome, Judged(stopped, {RAISED: "the end of the process"}), on_result)
        if check.gate or crashes == _CRASHES or "within" in stopped.message:
            for later in checks[len(outcome.judged) :]:
                _keep(outcome, Judged(behind(stopped, later), {}), on_result)
    return outcome


def _keep(outcome: Outcome, judged: Judged, on_result: Callable[[Result], None]) -> None:
    outcome.judged.append(judged)
    on_result(judged.result)


def _run_some(
    task: Task,
    parts: Sequence[str],
    checks: Sequence[Check],
    outcome: Outcome,
    on_result: Callable[[Result], None],
) -> Result | None:
    """Run checks until the child ends; the result of the check that ended it, if one did."""
    process = Process(lambda sender: _child_work(task, parts, checks, sender), task)
    seconds, running, started = task.loading_seconds, 0, time.perf_counter()
    done = False
    try:
        while not done and (message := process.read(seconds)) is not None:
            if "start" in message:
                running, seconds = message["start"], message["seconds"]
                started = time.perf_counter()
            elif "trace" in message:
                done = True
                outcome.trace = unpack_trace(process.read_bytes(seconds))
            else:
                seen = unpack(process.read_bytes(seconds))
                _keep(outcome, Judged(Result(**message["result"]), seen), on_result)
    except (TimeoutError, ValueError):
        pass
    process.end()
    outcome.printed = outcome.printed or process.prints()
    if done or len(outcome.judged) >= running + len(checks) or running >= len(checks):
        return None
    check, words = checks[running], process.last_words()
    return Result(
        check.component,
        check.name,
        "failed",
        message=how_it_ended(process, seconds),
        seconds=time.perf_counter() - started,
        line=line_of(task, words),
    )


def _child_work(task: Task, parts: Sequence[str], checks: Sequence[Check], sender: int) -> None:
    """Load the file and run the checks, telling of each before and after."""
    stop_after(task.loading_seconds)
    module = load(task)
    stand_in(module, parts)
    failed = False

    def told(number: int, check: Check) -> Check:
        seconds = max(task.seconds, check.seconds)
        write_frame(sender, json.dumps({"start": number, "seconds": seconds}).encode())
        stop_after(seconds)
        return check

    for judged in judge_each((told(n, c) for n, c in enumerate(checks)), module, task.seed):
        try:
            seen = pack(judged.seen)
        except Exception:
            seen = pack({})
        faulthandler.cancel_dump_traceback_later()
        write_frame(sender, json.dumps({"result": asdict(judged.result)}).encode())
        write_frame(sender, seen)
        failed = failed or judged.result.status == "failed"
    start = {"start": len(checks), "seconds": task.seconds}
    write_frame(sender, json.dumps(start).encode())
    stop_after(task.seconds)
    trace = record(module, parts[-1], task.seed) if failed else Trace()
    sys.stdout.flush()
    write_frame(sender, json.dumps({"trace": len(trace.events)}).encode())
    write_frame(sender, pack_trace(trace))
