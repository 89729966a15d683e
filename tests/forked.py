"""Start processes in milliseconds: one Python loads torch and forks for each of them.

Loading torch takes seconds, and a run that is killed fifty times starts fifty times. A process that
has loaded everything and trained nothing forks what then runs the command's own code, from the
parsing of its flags to its exit code, alone or under torchrun's agent, or any other program.
Nothing of torch runs in the parent, which has one thread, so that no lock and no thread is lost on
the way.

Run as a program this is that parent; `Forks` starts it and talks to it.
"""

import atexit
import functools
import importlib
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from processes import ROOT

from gpt2_small import binding
from gpt2_small.errors import UserError

LONGEST_WAIT = 300.0
POLL = 0.002

LOADED = (
    "einops._torch_specific",
    "gpt2_small.cli",
    "gpt2_small.generation.loaded_model",
    "gpt2_small.training.session",
    "gpt2_small.training.display.overview",
    "torch._dynamo",  # an optimiser loads it, which takes longer than all the rest
    "torch.distributed.launcher.api",
    "torch.nn.parallel.distributed",
)


def wait_until(holds: Callable[[], object], every: float = POLL) -> None:
    """Come back once something holds; a test in which it never does fails."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < LONGEST_WAIT, "waited in vain"
        time.sleep(every)


class Fork:
    """A process that runs `gpt2-small` with some arguments, in a process group of its own."""

    def __init__(self, forks: "Forks", pid: int, name: Path) -> None:
        self.forks, self.pid, self.name = forks, pid, name
        self.code: int | None = None

    @property
    def out(self) -> str:
        """What it printed."""
        return self.name.with_suffix(".out").read_text()

    @property
    def err(self) -> str:
        """What it said of mistakes."""
        return self.name.with_suffix(".err").read_text()

    def send(self, number: int) -> None:
        """Send it a signal; it may have ended already, but its number is not another's yet."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        if self.code is None:
            self.code = self.forks.ask({"poll": self.pid})["code"]
        return self.code

    def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        wait_until(lambda: self.poll() is not None, every=0.01)
        assert self.code is not None
        return self.code


class Forks:
    """The process that forks. It ends with the process that started it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="forks-"))
        self._made = 0
        kept = {key: value for key, value in os.environ.items() if key != binding.SOLUTION_VARIABLE}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "80", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._end)

    def _end(self) -> None:
        self._process.communicate()  # it ends with its input

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Put a question to the process that forks."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(
        self,
        *arguments: object,
        before: str = "",
        largest_file: int | None = None,
        processes: int = 0,
        max_restarts: int = 0,
    ) -> Fork:
        """Run `gpt2-small` with these arguments in another process, which is not waited for.

        before: a program that is run first, with which a test reaches into the process.
        largest_file: how many bytes the process may write into a file; the disk is full then.
        processes: how many torchrun's agent shall start in its stead, which then is the process.
        max_restarts: how often it may start them again.
        """
        question = {
            "arguments": [str(argument) for argument in arguments],
            "before": before,
            "largest_file": largest_file,
            "processes": processes,
            "max_restarts": max_restarts,
        }
        return self._fork(question)

    def start_python(
        self, *arguments: object, cwd: Path, stdin: str = "", stdout: str = "", **variables: str
    ) -> Fork:
        """Run Python with these arguments, which is not waited for.

        It differs from `python ARGUMENTS` in that torch and other libraries are loaded already. The
        package is not: it comes from where the path has it.

        stdin: what it reads.
        stdout: a file that takes what it prints, in place of the fork's.
        variables: of the environment, beside this process's own; no solution is chosen.
        """
        kept = {key: value for key, value in os.environ.items() if key != binding.SOLUTION_VARIABLE}
        question = {
            "python": [str(argument) for argument in arguments],
            "cwd": str(cwd),
            "stdin": stdin,
            "stdout": stdout,
            "environment": kept | variables,
            "largest_file": None,
        }
        return self._fork(question)

    def _fork(self, question: dict[str, Any]) -> Fork:
        self._made += 1
        name = self.folder / str(self._made)
        for ending in (".out", ".err"):
            name.with_suffix(ending).touch()
        return Fork(self, self.ask(question | {"name": str(name)})["pid"], name)

    def run(self, *arguments: object, **how: Any) -> Fork:
        """Run `gpt2-small` with these arguments in another process, to its end."""
        fork = self.start(*arguments, **how)
        fork.wait()
        return fork


@functools.cache
def the_forks() -> Forks:
    """The one process that forks for all tests of this process."""
    return Forks()


def serve() -> None:
    """Fork and wait as asked, until there are no more questions."""
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any] = {}
        if "poll" in question:
            pid, status = os.waitpid(question["poll"], os.WNOHANG)
            answer["code"] = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer["pid"] = os.fork()
            if answer["pid"] == 0:
                become(question)
        print(json.dumps(answer), flush=True)


def become(question: dict[str, Any]) -> None:
    """Be the process that was asked for, and end as it ends."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, ending in ((1, "out"), (2, "err")):
        path = f"{question['name']}.{ending}"
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
    if question["largest_file"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (question["largest_file"],) * 2)
    if "python" in question:
        end_as(lambda: run_python(question))
    end_as(lambda: (launch if question["processes"] else run_the_command)(question))


def end_as(program: Callable[[], object]) -> None:
    """Run a program in a process that has just been forked, and end it with its exit code."""
    code: Any = 1
    try:
        program()
        code = 0
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run_python(question: dict[str, Any]) -> None:
    """Do what Python does with these arguments: `-c PROGRAM`, `-m MODULE` or a script first."""
    if question["stdin"]:
        file = Path(f"{question['name']}.in")
        file.write_text(question["stdin"])
        os.dup2(os.open(file, os.O_RDONLY), 0)
    if question["stdout"]:
        os.dup2(os.open(question["stdout"], os.O_WRONLY), 1)
    os.environ.clear()
    os.environ.update(question["environment"])
    os.chdir(question["cwd"])
    for module in [name for name in sys.modules if name.split(".")[0] == "gpt2_small"]:
        del sys.modules[module]
    kind, *rest = question["python"]
    first = {"-c": "", "-m": os.getcwd()}.get(kind, os.path.dirname(kind))
    named = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    own = (str(ROOT), os.path.dirname(__file__))
    sys.path[:] = [first, *named, *(folder for folder in sys.path if folder not in own), str(ROOT)]
    try:
        if kind == "-c":
            sys.argv = [kind, *rest[1:]]
            main = sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(rest[0], "<string>", "exec"), vars(main))
        elif kind == "-m":
            sys.argv = rest
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = [kind, *rest]
            runpy.run_path(kind, run_name="__main__")
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()


def run_the_command(question: dict[str, Any]) -> None:
    """Do what `gpt2-small` does with these arguments, but for the picture at a training's end."""
    from gpt2_small.training.display import overview

    overview.save_loss_curve = lambda *_, **__: None
    exec(question["before"], {})
    sys.argv = ["gpt2-small", *question["arguments"]]
    from gpt2_small.cli import app
    from gpt2_small.entry_point import run_command

    run_command(app)


def launch(question: dict[str, Any]) -> None:
    """Do what torchrun does, with an agent that forks its workers."""
    from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    class Worker:
        """A worker that is forked instead of started."""

        def __init__(self, args: Sequence[str], env: dict[str, str], **_: object) -> None:
            self.pid, self.returncode = os.fork(), None
            if self.pid == 0:
                os.setsid()
                os.environ.update(env)
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                    signal.signal(number, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                end_as(lambda: run_the_command(question))

        def poll(self) -> int | None:
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
            return self.returncode

        def wait(self, timeout: float) -> int:
            end = time.monotonic() + timeout
            while self.poll() is None:
                if time.monotonic() > end:
                    raise subprocess.TimeoutExpired("worker", timeout)
                time.sleep(POLL)
            return self.returncode

    subprocess_handler.Popen = Worker
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=question["processes"],
        run_id=os.path.basename(question["name"]),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=question["max_restarts"],
    )
    elastic_launch(config, "worker")()


def load_everything() -> None:
    """Load what a training needs."""
    for name in LOADED:
        importlib.import_module(name)
    from gpt2_small.cli import app

    with suppress(UserError):
        app(["train", "--preset", "", "--out", ""], standalone_mode=False)


if __name__ == "__main__":
    load_everything()
    serve()
