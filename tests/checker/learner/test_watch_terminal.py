"""Test `gpt2-small watch` in a process with a terminal and a saved file."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked import the_forks, wait_until

from gpt2_small.checker.learner import skeleton as exercises

PATIENCE = 120.0
WATCH = ("-m", "gpt2_small", "watch")


class Terminal:
    """A process in a terminal of 80 by 24."""

    def __init__(self, *command: str, cwd: Path, **variables: str) -> None:
        self.master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        name, variables = os.ttyname(self._slave), {"TERM": "xterm-256color"} | variables
        self.process = the_forks().start_python(*command, cwd=cwd, terminal=name, **variables)
        self.output = ""

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def screen(self) -> str:
        """Return the last screen."""
        *_, last = self.output.split("\x1b[H\x1b[2J")
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", last)

    def wait_for(self, text: str) -> str:
        """Read until the screen shows a text."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.screen():
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.screen()}"
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.output += os.read(self.master, 65536).decode(errors="replace")
                except OSError as error:
                    raise AssertionError(f"it ended:\n{self.screen()}") from error
        return self.screen()

    def end(self) -> None:
        self.process.send(signal.SIGKILL)
        self.process.wait()
        os.close(self._slave)
        os.close(self.master)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "my_gpt2.py"
    file.write_text(exercises.skeleton())
    return file


@pytest.fixture
def terminal(file: Path) -> Iterator[Terminal]:
    terminal = Terminal(*WATCH, cwd=file.parent, NO_COLOR="1")
    yield terminal
    terminal.end()


def test_watch_follows_a_learner_through_a_mistake_a_hint_a_correction_and_the_end(
    file: Path, terminal: Terminal
) -> None:
    skeleton, right = file.read_text(), exercises.reference_body("LayerNorm")
    terminal.wait_for("Next: LayerNorm. It is not written yet")
    file.write_text(exercises.with_body(skeleton, "LayerNorm", right.replace("+ self.eps", "")))
    terminal.wait_for("Mistake: layer-norm-no-epsilon")
    terminal.press("h")
    terminal.wait_for("LayerNorm, hint 1 of 3")
    file.write_text(exercises.with_body(skeleton, "LayerNorm", right))
    assert "1 of 15 parts done" in terminal.wait_for("LayerNorm is done!")
    terminal.press("q")
    assert terminal.process.wait() == 0
    assert not re.search(r"\x1b\[[0-9;]*3\d", terminal.output)


def test_without_a_terminal_it_prints_lines_until_it_is_interrupted(file: Path) -> None:
    process = the_forks().start_python(*WATCH, cwd=file.parent)
    wait_until(lambda: process.out.count("\n") == 2 or process.poll() is not None)
    process.send(signal.SIGINT)
    assert process.wait() == 130
    progress, saved = process.out.splitlines()
    assert progress == "0 of 15 parts done."
    assert ".my_gpt2.progress.json" in saved
