"""Run commands and programs in forks of one Python that has loaded torch, in milliseconds.

Importing torch takes seconds, and a run that is killed fifty times starts fifty times. `Forks`
starts the fork server (`fork_server.py`) and sends it requests.
"""

import atexit
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from processes import ROOT

from gpt2_small import binding

LONGEST_WAIT = 300.0
POLL = 0.002
CHECKERS_SERVER = "gpt2_small.checker.sandbox.server"
SOCKET = "checkers"
"""Name of the socket for checkers' requests."""


def wait_until(holds: Callable[[], object], every: float = POLL) -> None:
    """Wait until a condition holds; fail the test after a timeout."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < LONGEST_WAIT, "timed out waiting for the condition"
        time.sleep(every)


class Fork:
    """A process that runs `gpt2-small` with some arguments, in a process group of its own."""

    def __init__(self, forks: "Forks", pid: int, name: Path) -> None:
        self.forks, self.pid, self.name = forks, pid, name
        self.code: int | None = None

    @property
    def out(self) -> str:
        """Return its standard output."""
        return self.name.with_suffix(".out").read_text()

    @property
    def err(self) -> str:
        """Return its standard error."""
        return self.name.with_suffix(".err").read_text()

    def send(self, number: int) -> None:
        """Send it a signal; safe after its end, since its id is not reused before it is reaped."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def poll(self) -> int | None:
        """Return its exit code, or minus the signal that ended it; None while it runs."""
        if self.code is None:
            self.code = self.forks.ask({"poll": self.pid})["code"]
        return self.code

    def wait(self) -> int:
        """Wait for its end; return its exit code, or minus the signal that ended it."""
        wait_until(lambda: self.poll() is not None, every=0.01)
        assert self.code is not None
        return self.code


class Forks:
    """The fork server. It ends with the process that started it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="forks-"))
        self._made = 0
        checkers = socket.socket(socket.AF_UNIX)
        checkers.bind(str(self.folder / SOCKET))
        checkers.listen(100)
        inherited = {
            key: value for key, value in os.environ.items() if key != binding.SOLUTION_VARIABLE
        }
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("fork_server.py"), str(checkers.fileno())],
            pass_fds=[checkers.fileno()],
            env=inherited | {"OMP_NUM_THREADS": "1", "COLUMNS": "80", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        checkers.close()
        atexit.register(self._end)

    def _end(self) -> None:
        self._process.communicate()  # exits at the end of its input
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send a request to the fork server, and return its answer."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def start(
        self,
        *arguments: object,
        before: str = "",
        largest_file: int | None = None,
        processes: int = 0,
        max_restarts: int = 0,
    ) -> Fork:
        """Start `gpt2-small` with these arguments in another process, without waiting for it.

        before: a program that runs first, to inject code into the process.
        largest_file: the most bytes that the process may write into a file, as on a full disk.
        processes: start this many workers under torchrun's agent, which then is the process.
        max_restarts: how often the agent may restart its workers.
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
        self,
        *arguments: object,
        cwd: Path,
        stdin: str = "",
        stdout: str = "",
        terminal: str = "",
        **variables: str,
    ) -> Fork:
        """Start Python with these arguments, without waiting for it.

        Unlike `python ARGUMENTS`, torch and other libraries are loaded already, and so is the
        package, unless the path has another one than this checkout's.

        stdin: its standard input.
        stdout: a file for its standard output, in place of the fork's.
        terminal: a terminal for its standard input, output and error.
        variables: environment variables beside this process's own; no solution is chosen.
        """
        inherited = {
            key: value for key, value in os.environ.items() if key != binding.SOLUTION_VARIABLE
        }
        question = {
            "python": [str(argument) for argument in arguments],
            "cwd": str(cwd),
            "stdin": stdin,
            "stdout": stdout,
            "terminal": terminal,
            "environment": inherited | variables,
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
    """Return the one fork server that all tests of this process share."""
    return Forks()


class ForkedServer:
    """A forked checker's server, with the part of Popen's interface that `Checker` uses."""

    def __init__(
        self, folder: Path, descriptor: int, errors: IO[bytes], env: dict[str, str]
    ) -> None:
        self._socket = str(folder / SOCKET)
        question = {"environment": env, "cwd": os.getcwd()}
        self.pid: int = self._ask(question, descriptor, errors.fileno())
        self.returncode: int | None = None

    def _ask(self, question: dict[str, Any], *descriptors: int) -> Any:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(self._socket)
            message = json.dumps(question).encode()
            sent = socket.send_fds(asking, [message], descriptors)
            asking.sendall(message[sent:])
            asking.shutdown(socket.SHUT_WR)
            return json.loads(asking.recv(100))

    def poll(self) -> int | None:
        """Return its exit code, or minus the signal that ended it; None while it runs."""
        if self.returncode is None:
            try:
                self.returncode = self._ask({"poll": self.pid})
            except (ConnectionError, FileNotFoundError):  # the fork server has exited
                self.returncode = 0
        return self.returncode

    def wait(self, timeout: float = LONGEST_WAIT) -> int:
        """Wait for its end, and return its exit code. Raises subprocess.TimeoutExpired."""
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(CHECKERS_SERVER, timeout)
            time.sleep(POLL)
        return code


STARTING_POPEN = subprocess.Popen


class ForkingPopen(subprocess.Popen[Any]):
    """A Popen that forks the server of a checker of this checkout and starts everything else."""

    _folder: Path | None = None

    @classmethod
    def fork_from(cls, folder: Path | None = None) -> None:
        """Make this the process's Popen; it forks from the `Forks` with this folder, or its own."""
        cls._folder = folder
        vars(subprocess).update(Popen=cls)

    def __new__(cls, args: Sequence[Any], *more: Any, **options: Any) -> Any:
        paths = (options.get("env") or {}).get("PYTHONPATH", "").split(os.pathsep)
        if list(args[1:4]) != ["-P", "-m", CHECKERS_SERVER] or paths[0] != str(ROOT):
            return super().__new__(cls)
        return ForkedServer(
            cls._folder or the_forks().folder, int(args[4]), options["stderr"], options["env"]
        )


@contextmanager
def nothing_forked() -> Iterator[None]:
    """Start a checker's server as a new process instead of forking it."""
    forking = subprocess.Popen
    vars(subprocess).update(Popen=STARTING_POPEN)
    try:
        yield
    finally:
        vars(subprocess).update(Popen=forking)
