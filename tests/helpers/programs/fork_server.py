"""Fork processes for tests from a Python that has loaded torch.

A fork runs the command's own code, from parsing flags to the exit code, alone or under torchrun's
agent, or any other program. This process runs no code of torch and has one thread, so that forking
is safe.

`forked.Forks` starts it and sends requests; a forked command requests a checker's server too.
"""

import atexit
import gc
import importlib
import io
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from _pytest.config import default_plugins
from forked import POLL, ForkingPopen
from processes import ROOT

from gpt2_small import binding
from gpt2_small.errors import UserError

LOADED = (
    "einops._torch_specific",
    "gpt2_small.checker.sandbox.server",
    "gpt2_small.cli",
    "gpt2_small.generation.loaded_model",
    "gpt2_small.training.session",
    "gpt2_small.training.display.overview",
    "pytest",
    *(f"_pytest.{name}" for name in default_plugins),
    "torch._dynamo",  # imported by optimisers; takes longer than all the rest
    "torch.distributed.launcher.api",
    "torch.nn.parallel.distributed",
)
AGENTS_POLL = 0.02
"""Polling interval of torchrun's agent, in seconds."""
SHORT_EXCERPT = 20
"""Length of a training's samples in tokens; no test reads more."""


def serve(checkers: socket.socket) -> None:
    """Execute requests to fork and wait until the parent process has exited."""
    questions = io.FileIO(0, closefd=False)
    both: list[Any] = [questions, checkers]
    while True:
        ready, _, _ = select.select(both, [], [])
        if checkers in ready:
            answer_a_checker(checkers)
        if questions in ready:
            line = questions.readline()
            if not line:
                return
            print(json.dumps(answer_to(json.loads(line))), flush=True)


def answer_to(question: dict[str, Any]) -> dict[str, Any]:
    """Return the exit code of a finished process, or the id of a new one."""
    if "poll" in question:
        return {"code": ended(question["poll"])}
    process = os.fork()
    if process == 0:
        become(question)
    return {"pid": process}


def ended(process: int) -> int | None:
    """Return a process's exit code, or minus the signal that ended it; None while it runs."""
    pid, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def answer_a_checker(checkers: socket.socket) -> None:
    """Fork a server for a checker, or return its server's exit code."""
    checker, _ = checkers.accept()
    with checker:
        message, descriptors, _, _ = socket.recv_fds(checker, 1 << 18, 2)
        while more := checker.recv(1 << 18):
            message += more
        question = json.loads(message)
        if "poll" in question:
            answer = ended(question["poll"])
        else:
            answer = os.fork()
            if answer == 0:
                become_a_checkers_server(question, *descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
        checker.send(json.dumps(answer).encode())


def become_a_checkers_server(question: dict[str, Any], descriptor: int, errors: int) -> None:
    """Run as `python -m gpt2_small.checker.sandbox.server` would, with its exit code."""
    os.setsid()
    os.dup2(errors, 2)
    os.environ.clear()
    os.environ.update(question["environment"])
    os.chdir(question["cwd"])
    sys.path[:] = [question["cwd"], *paths_of_python(), *installed_paths()]
    from gpt2_small.checker.sandbox import server

    end_as(lambda: server.main(descriptor))


def paths_of_python() -> list[str]:
    """Return the folders of PYTHONPATH."""
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def installed_paths() -> list[str]:
    """Return the module search path without this checkout and its tests."""
    return [path for path in sys.path if path not in (str(ROOT), os.path.dirname(__file__))]


def become(question: dict[str, Any]) -> None:
    """Run as the requested process, and exit with its code."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup
    ForkingPopen.fork_from(Path(question["name"]).parent)
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
    """Run a program in a newly forked process, and exit with its code."""
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
    """Run Python's arguments: `-c PROGRAM`, `-m MODULE` or a script first."""
    if question["stdin"]:
        file = Path(f"{question['name']}.in")
        file.write_text(question["stdin"])
        os.dup2(os.open(file, os.O_RDONLY), 0)
    if question["stdout"]:
        os.dup2(os.open(question["stdout"], os.O_WRONLY), 1)
    if question["terminal"]:
        terminal = os.open(question["terminal"], os.O_RDWR | os.O_NOCTTY)
        for number in (0, 1, 2):
            os.dup2(terminal, number)
    os.environ.clear()
    os.environ.update(question["environment"])
    os.chdir(question["cwd"])
    kind, *rest = question["python"]
    first = {"-c": "", "-m": os.getcwd()}.get(kind, os.path.dirname(kind))
    sys.path[:] = [first, *paths_of_python(), *installed_paths(), str(ROOT)]
    homes = (path for path in sys.path if os.path.isdir(os.path.join(path, "gpt2_small")))
    sys.modules.pop(binding.BOUND_MODULE, None)
    if next(homes) != str(ROOT):
        for module in [name for name in sys.modules if name.split(".")[0] == "gpt2_small"]:
            del sys.modules[module]
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
        vars(threading)["_shutdown"]()
        atexit._run_exitfuncs()


def run_the_command(question: dict[str, Any]) -> None:
    """Run `gpt2-small` with these arguments.

    A training draws no plot at its end, and generates a short sample.
    """
    from gpt2_small.training.display import overview, samples

    vars(overview).update(save_loss_curve=lambda *_, **__: None)
    vars(samples).update(EXCERPT_TOKENS=SHORT_EXCERPT)
    exec(question["before"], {})
    sys.argv = ["gpt2-small", *question["arguments"]]
    from gpt2_small.cli import app
    from gpt2_small.entry_point import run_command

    run_command(app)


def launch(question: dict[str, Any]) -> None:
    """Run as torchrun with one agent, which forks its workers."""
    from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler
    from torch.distributed.elastic.rendezvous import dynamic_rendezvous
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    class Worker:
        """A torchrun worker that is forked instead of started."""

        def __init__(self, args: Sequence[str], env: dict[str, str], **_: object) -> None:
            self.returncode: int | None = None
            self.pid = os.fork()
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
            assert self.returncode is not None
            return self.returncode

    vars(subprocess_handler).update(Popen=Worker)
    vars(dynamic_rendezvous).update(_delay=lambda *_, **__: time.sleep(AGENTS_POLL))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=question["processes"],
        run_id=os.path.basename(question["name"]),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=question["max_restarts"],
        monitor_interval=AGENTS_POLL,
    )
    elastic_launch(config, "worker")()


def load_everything() -> None:
    """Import the libraries that training needs."""
    for name in LOADED:
        importlib.import_module(name)
    from gpt2_small.checker.claims import all_claims
    from gpt2_small.cli import app

    all_claims()
    with suppress(UserError):
        app(["train", "--preset", "", "--out", ""], standalone_mode=False)
    leave_the_libraries_as_they_are()


def leave_the_libraries_as_they_are() -> None:
    """Exempt loaded libraries from garbage collection in forks, and drop torch's exit handlers."""
    from torch._dynamo.utils import dump_compile_times

    gc.freeze()
    atexit.unregister(dump_compile_times)
    for finalizer in list(vars(weakref.finalize)["_registry"]):
        finalizer.atexit = False


if __name__ == "__main__":
    load_everything()
    serve(socket.socket(fileno=int(sys.argv[1])))
