"""Simulate machines with network namespaces: each with a network, a name and processes of its own.

A machine is a set of Linux namespaces, kept open by a process that reads from a pipe of the test:
when the test ends in any way, the pipe closes and the kernel removes the machine with its network.
Its commands run in a process namespace of their own; killing that one process acts as a power cut.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from processes import ROOT

from gpt2_small import binding

LINK = "link0"
LONGEST_WAIT = 240.0
SET_UP = """
set -e
ip link set lo up
echo "$1" > /proc/sys/kernel/hostname
mount --bind "$2" /etc/hosts
echo ready
exec cat
"""


def why_no_machines() -> str | None:
    """Return the reason why namespaces cannot be created here, or None."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    missing = [name for name in ("ip", "unshare", "nsenter") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} (of iproute2 and util-linux) are missing"
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    probe = "ip link add probe0 type veth peer name probe1 && mount --bind /etc/hosts /etc/hosts"
    tried = subprocess.run(
        ["unshare", "--net", "--uts", "--mount", "--pid", "--kill-child", "sh", "-c", probe],
        capture_output=True,
        text=True,
        timeout=LONGEST_WAIT,
    )
    return f"namespaces cannot be made here: {tried.stderr.strip()}" if tried.returncode else None


def _dies_with_the_test() -> None:
    """Have the kernel kill this process when the test's process ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@dataclass
class Running:
    """A command on a machine, and its output so far."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        """Return the output of it and its processes, errors included."""
        return self.output.read_text(errors="replace")

    def wait(self) -> int:
        """Return its exit code; fail the test if it does not end."""
        try:
            return self.process.wait(LONGEST_WAIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end; its output:\n{self.said}") from None

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds; fail the test if the command ends before."""
        begun = time.monotonic()
        while not holds():
            ended = self.process.poll() is not None or time.monotonic() - begun > LONGEST_WAIT
            assert not ended or holds(), f"timed out; its output:\n{self.said}"
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it and all of its processes at once, as a power cut would."""
        self.process.kill()
        self.process.wait()


@dataclass
class Machine:
    """A simulated machine.

    folder: the working directory of its commands, on a disk that no other machine reads.
    """

    name: str
    holder: int
    folder: Path
    commands: list[Running] = field(default_factory=list)

    def start(self, *command: object, **variables: object) -> Running:
        """Start a command on it, with additional environment variables."""
        output = self.folder / f"output-{len(self.commands)}.txt"
        inside = ["nsenter", "--target", str(self.holder), "--net", "--uts", "--mount"]
        there = ["env", "--chdir", str(self.folder)]
        alone = ["unshare", "--pid", "--kill-child", "--mount-proc"]
        inherited = {
            key: value for key, value in os.environ.items() if key != binding.SOLUTION_VARIABLE
        }
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*inside, *there, *alone, *map(str, command)],
                env=inherited
                | {"OMP_NUM_THREADS": "1", "COLUMNS": "80", "PYTHONPATH": str(ROOT), "PATH": path}
                | {name: str(value) for name, value in variables.items()},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                preexec_fn=_dies_with_the_test,
            )
        self.commands.append(Running(process, output))
        return self.commands[-1]

    def ip(self, command: str) -> None:
        """Run `ip` in its network namespace."""
        inside = ["nsenter", "--target", str(self.holder), "--net"]
        subprocess.run([*inside, "ip", *command.split()], check=True, timeout=LONGEST_WAIT)

    def unplug(self) -> None:
        """Disconnect its cable."""
        self.ip(f"link set {LINK} down")

    def plug_in(self) -> None:
        """Connect its cable."""
        self.ip(f"link set {LINK} up")


@contextmanager
def joined_machines(folder: Path, *names: str) -> Iterator[list[Machine]]:
    """Connect two machines by a cable; they resolve each other by these names."""
    addresses = {name: f"10.77.0.{number}" for number, name in enumerate(names, start=1)}
    hosts = folder / "hosts"
    lines = [f"{address} {name}\n" for name, address in addresses.items()]
    hosts.write_text("".join(["127.0.0.1 localhost\n", *lines]))
    with ExitStack() as stack:
        made = [stack.enter_context(_held(folder / name, name, hosts)) for name in names]
        ends = [f"{LINK} netns {machine.holder}" for machine in made]
        cable = f"ip link add {ends[0]} type veth peer name {ends[1]}"
        subprocess.run(cable.split(), check=True, timeout=LONGEST_WAIT)
        for machine in made:
            machine.ip(f"address add {addresses[machine.name]}/24 dev {LINK}")
            machine.plug_in()
        yield made


@contextmanager
def _held(folder: Path, name: str, hosts: Path) -> Iterator[Machine]:
    folder.mkdir()
    holder = subprocess.Popen(
        ["unshare", "--net", "--uts", "--mount", "sh", "-c", SET_UP, "sh", name, str(hosts)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=_dies_with_the_test,
    )
    assert holder.stdin
    assert holder.stdout
    machine = Machine(name, holder.pid, folder)
    try:
        assert holder.stdout.readline() == b"ready\n"
        yield machine
    finally:
        for command in machine.commands:
            command.kill()
        holder.communicate(timeout=LONGEST_WAIT)
