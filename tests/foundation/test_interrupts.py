"""Test Ctrl-C during imports: a silent end."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from processes import ROOT

from gpt2_small.entry_point import INTERRUPTED
from gpt2_small.interrupts import loading

SLOW_TORCH = """
import time
print("torch begins to load", flush=True)
try:
    time.sleep(60)
except BaseException:
    pass  # as some library on the way does
"""
ENDED_BY_IT = (-signal.SIGINT, INTERRUPTED)


@pytest.fixture(autouse=True)
def _interrupts_are_heard():
    """Handle SIGINT, which background jobs and their children ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "words",
    [
        [ROOT / "demos" / "generate_demo.py"],
        ["-m", "gpt2_small", "sample", "--model", "runs/one", "--prompt", "A"],
        ["-m", "gpt2_small", "export", "runs/one", "out"],
    ],
    ids=["generate_demo", "sample", "export"],
)
def test_ctrl_c_while_torch_is_imported_ends_the_command_without_a_traceback(tmp_path, words):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(SLOW_TORCH)
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "torch begins to load\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode in ENDED_BY_IT


def test_after_the_import_ctrl_c_raises_keyboard_interrupt_again():
    with loading():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_process_that_ignores_interrupts_continues_to_ignore_them():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with loading():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_torch_can_be_imported_in_another_thread():
    seen = []

    def load():
        with loading():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
