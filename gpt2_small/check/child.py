"""A process for the checks of one part, with limits, and the server's side of it."""

import ast
import contextlib
import difflib
import faulthandler
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from gpt2_small import binding
from gpt2_small.check.checks import Check
from gpt2_small.check.diagnosis import diagnose
from gpt2_small.check.frames import read_frame, write_frame
from gpt2_small.check.judge import RAISED, Judged, behind, judge_each, stand_in
from gpt2_small.check.observation import pack, unpack
from gpt2_small.check.parts import PARTS
from gpt2_small.check.verdict import Result
from gpt2_small.errors import UserError

_GRACE = 2.0
_CRASHES = 3
_PRINTED = 4000
_LARGEST_FILE = 64 << 20
_MODULE = "gpt2_small_checked"


@dataclass(frozen=True)
class Task:
    """A file's text, and what it may use."""

    path: Path
    source: bytes
    seed: int
    seconds: float
    loading_seconds: float
    memory: int


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
    diagnosis: str = ""
    printed: str = ""


class Process:
    """A forked child: a pipe from it, and the files of what it prints and of its last trace."""

    def __init__(self, work: Callable[[int], None], task: Task) -> None:
        self.printed: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
        self.trace: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
        self.frames, sender = os.pipe()
        self.status: int | None = None
        self.process = os.fork()
        if self.process == 0:
            _be_the_child(work, task, sender, self)
        os.close(sender)

    def read(self, seconds: float) -> dict[str, Any] | None:
        """The next message; None when the child has ended. Raises TimeoutError after a while."""
        try:
            frame = read_frame(self.frames, time.monotonic() + seconds + _GRACE)
        except TimeoutError:
            self.end()
            raise
        return None if frame is None else json.loads(frame)

    def read_bytes(self, seconds: float) -> bytes:
        return read_frame(self.frames, time.monotonic() + seconds + _GRACE) or b""

    def end(self) -> None:
        """End the child and whatever it started."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process, signal.SIGKILL)
            _, self.status = os.waitpid(self.process, 0)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process, signal.SIGKILL)
            os.close(self.frames)

    def last_words(self) -> str:
        """The trace that was written when it was stopped or crashed."""
        self.trace.seek(0)
        return self.trace.read(1 << 16).decode(errors="replace")

    def prints(self) -> str:
        """The beginning of what it printed."""
        self.printed.seek(0)
        return self.printed.read(_PRINTED).decode(errors="replace")


def _be_the_child(work: Callable[[int], None], task: Task, sender: int, process: Process) -> None:
    """Do the work as a process of its own, and never come back."""
    try:
        os.setsid()
        kept = os.dup(sender), os.dup(process.trace.fileno())
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(process.printed.fileno(), 1)
        os.dup2(process.printed.fileno(), 2)
        top = max(*kept, 2)
        for descriptor in range(3, top + 64):
            if descriptor not in kept:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
        _limit_memory(task.memory)
        trace = os.fdopen(kept[1], "w")
        faulthandler.enable(trace, all_threads=False)
        _STOPWATCH.append(trace)
        work(kept[0])
    except BaseException as error:
        with contextlib.suppress(BaseException):
            _STOPWATCH[0].write(f"{type(error).__name__}: {error}\n")
            _STOPWATCH[0].flush()
        os._exit(1)
    os._exit(0)


_STOPWATCH: list[Any] = []


def _stop_after(seconds: float) -> None:
    """End this process with a trace unless it is called again within so many seconds."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=_STOPWATCH[0])


def _limit_memory(extra: int) -> None:
    """Let this process have so much more address space than it has now, where that can be said."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + extra
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


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
        _stop_after(task.loading_seconds)
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
            elif "diagnosis" in message:
                outcome.diagnosis, done = message["diagnosis"], True
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
    _stop_after(task.loading_seconds)
    module = load(task)
    stand_in(module, parts)
    failed = False

    def told(number: int, check: Check) -> Check:
        seconds = max(task.seconds, check.seconds)
        write_frame(sender, json.dumps({"start": number, "seconds": seconds}).encode())
        _stop_after(seconds)
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
    _stop_after(task.seconds)
    said = diagnose(module, parts[-1], task.seed) if failed else ""
    sys.stdout.flush()
    write_frame(sender, json.dumps({"diagnosis": said}).encode())


def how_it_ended(process: Process, seconds: float) -> str:
    """Why a child ended, as a sentence."""
    words = process.last_words()
    if "Timeout (" in words or process.status is None:
        return f"it did not finish within {seconds:g} seconds"
    if os.WIFSIGNALED(process.status):
        number = os.WTERMSIG(process.status)
        if number == signal.SIGKILL:
            return (
                f"it did not finish within {seconds:g} seconds, or took all memory, and was ended"
            )
        return f"it crashes the Python interpreter ({signal.Signals(number).name})"
    code = os.WEXITSTATUS(process.status)
    if "MemoryError" in words or "bad_alloc" in words:
        return "it needs more memory than it may have"
    if words:
        return f"it ends with {words.splitlines()[-1].rstrip(': ')}"
    return f"it ends the Python process (os._exit, code {code})"


def line_of(task: Task, trace: str) -> int | None:
    """The innermost line of the file in a trace of faulthandler, where that comes first."""
    places = re.findall(r'File "(.*)", line (\d+)', trace)
    here = str(task.path.absolute())
    return next((int(line) for file, line in places if file == here), None)
