"""Test stop signals: the step ends, a checkpoint is saved, and the run resumes bit for bit."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from default_share import slowly
from forked import Fork, the_forks, wait_until
from injected_programs import block_before_step
from processes import ROOT, children_of, send_all
from small_runs import flags, logged, play, state_at, steps_kept

pytestmark = pytest.mark.timeout(300)
BOTH = [signal.SIGINT, signal.SIGTERM]
NAMES = [number.name for number in BOTH]
ECHOES = "from gpt2_small.training import signals\nsignals.ECHO_SECONDS = {}\n"


def open_gate(gate: Path) -> str:
    """Unblock a blocked process when this process gets a stop signal."""
    return f"""
from pathlib import Path
from gpt2_small.training.signals import StopRequest

make = StopRequest.make

def opening_gate(request):
    make(request)
    Path({str(gate)!r}).touch()

StopRequest.make = opening_gate
"""


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return play(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def begin(text):
    """Return the arguments that begin the small run in a folder."""
    return lambda out: ["train", "--preset", "characters", "--data", text, "--out", out, *flags()]


@pytest.fixture(scope="module")
def finished(begin, tmp_path_factory):
    """Train uninterrupted runs of one process and of two."""
    folder = tmp_path_factory.mktemp("finished")
    for processes in (1, 2):
        fork = the_forks().run(*begin(folder / str(processes)), processes=processes)
        assert (fork.code, fork.err) == (0, "")
    return folder


@pytest.fixture
def waiting(begin, tmp_path):
    """Start a run that blocks before its sixth step, and return it once it is blocked."""
    started = []

    def start(before="", rank=0, **how):
        program = before + block_before_step(6, tmp_path / "gate", rank)
        fork = the_forks().start(*begin(tmp_path / "run"), before=program, **how)
        started.append(fork)
        wait_until(lambda: fork.poll() is not None or is_at_step_five(tmp_path / "run"))
        assert fork.poll() is None, fork.err
        return fork

    yield start
    for fork in started:
        if fork.poll() is None:
            send_all([*workers_of(fork), fork.pid], signal.SIGKILL)
            fork.wait()


def is_at_step_five(run):
    """Return whether a run has logged its fifth step and saved its third."""
    log = run / "log.jsonl"
    return log.exists() and log.read_text().count("\n") == 5 and steps_kept(run) == [3]


def assert_goes_on_as_if_never_stopped(run, finished, processes):
    assert [record["step"] for record in logged(run)] == [1, 2, 3, 4, 5, 6]
    assert steps_kept(run)[-1] == 6
    again = the_forks().run("train", "--out", run, "--resume", processes=processes)
    assert (again.code, again.err) == (0, "")
    assert "resuming from step 6" in again.out
    uninterrupted = finished / str(processes or 1)
    assert state_at(run, 12) == state_at(uninterrupted, 12)
    assert [record["step"] for record in logged(run)] == list(range(1, 13))


def workers_of(fork: Fork) -> list[int]:
    """Return the child processes in the order of their ranks."""
    return children_of(fork.pid)


# One process


@pytest.mark.parametrize("number", [signal.SIGINT, slowly(signal.SIGTERM)], ids=NAMES)
def test_a_stopped_process_finishes_and_saves_its_step_and_resumes_bit_for_bit(
    waiting, finished, tmp_path, number
):
    fork = waiting()
    fork.send(number)
    (tmp_path / "gate").touch()
    assert (fork.wait(), fork.err) == (0, "")
    assert "Interrupted after step 6; everything is saved." in fork.out
    assert re.search(r"^Resume with: gpt2-small train --out \S+ --resume$", fork.out, re.MULTILINE)
    assert_goes_on_as_if_never_stopped(tmp_path / "run", finished, 0)


@pytest.mark.parametrize("number", BOTH, ids=NAMES)
def test_a_second_signal_ends_a_process_at_once_during_a_step(waiting, tmp_path, number):
    fork = waiting()

    def ended():
        fork.send(number)
        return fork.poll() is not None

    wait_until(ended)
    assert fork.code == 128 + number
    assert len(logged(tmp_path / "run")) == 5
    assert steps_kept(tmp_path / "run") == [3]


def test_a_process_ended_by_a_second_signal_restores_the_terminals_cursor(waiting, tmp_path):
    ours, theirs = pty.openpty()
    terminal = (
        f"import os\nfor n in (1, 2): os.dup2(os.open({os.ttyname(theirs)!r}, os.O_RDWR), n)\n"
    )
    fork = waiting(terminal + "os.environ['TERM'] = 'xterm'\n")
    os.set_blocking(ours, False)
    shown = bytearray()

    def ended():
        fork.send(signal.SIGINT)
        try:
            shown.extend(os.read(ours, 65536))
        except BlockingIOError:
            return fork.poll() is not None

    wait_until(ended)
    os.close(ours)
    os.close(theirs)
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l") > -1


def test_another_process_is_refused_until_the_first_is_killed(waiting, begin, finished, tmp_path):
    first = waiting()
    for arguments in (begin(tmp_path / "run"), ["train", "--out", tmp_path / "run", "--resume"]):
        other = the_forks().run(*arguments)
        assert other.code == 2
        assert other.err.splitlines()[-1].startswith("error: ")
    assert "run is in use by another process; wait for it" in other.err
    first.send(signal.SIGKILL)
    first.wait()
    again = the_forks().run("train", "--out", tmp_path / "run", "--resume")
    assert again.code == 0
    assert state_at(tmp_path / "run", 12) == state_at(finished / "1", 12)


def test_a_signal_repeated_by_torchrun_does_not_count_as_a_second_one(waiting, tmp_path):
    fork = waiting(ECHOES.format(3600), processes=1)
    [worker] = workers_of(fork)
    for _ in range(3):
        os.kill(worker, signal.SIGINT)
    (tmp_path / "gate").touch()
    assert fork.wait() == 0
    assert steps_kept(tmp_path / "run")[-1] == 6


# Several processes


def test_a_signal_to_one_worker_stops_all_after_the_same_step(waiting, finished, tmp_path):
    fork = waiting(open_gate(tmp_path / "gate"), processes=2)
    os.kill(workers_of(fork)[1], signal.SIGTERM)
    assert (fork.wait(), fork.err) == (0, "")
    assert_goes_on_as_if_never_stopped(tmp_path / "run", finished, 2)


@pytest.mark.parametrize("number", BOTH, ids=NAMES)
@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, True], ids=["the agent", "the group"])
def test_a_signal_to_torchrun_stops_all_workers_after_the_same_step(
    waiting, finished, tmp_path, number, whole_group
):
    # If the group is signalled, workers get the signal twice: the agent forwards its own.
    fork = waiting(ECHOES.format(3600) + open_gate(tmp_path / "gate"), processes=2)
    send_all([*workers_of(fork), fork.pid] if whole_group else [fork.pid], number)
    assert fork.wait() == 1
    assert "SignalException" in fork.err
    assert_goes_on_as_if_never_stopped(tmp_path / "run", finished, 2)


def test_a_second_signal_ends_a_worker_that_waits_for_another_worker(waiting, tmp_path):
    fork = waiting(ECHOES.format(0), rank=1, processes=2)
    first, _ = workers_of(fork)

    def ended():
        if fork.poll() is None and first in workers_of(fork):
            send_all([first], signal.SIGTERM)
            return False
        (tmp_path / "gate").touch()  # unblocks the other worker, for which the agent waits
        return fork.poll() is not None

    wait_until(ended)
    assert fork.code == 1
    assert "exitcode  : 143" in fork.err
    assert len(logged(tmp_path / "run")) == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("whom", "number", "code"),
    [
        ("torchrun", signal.SIGINT, 1),
        ("torchrun", signal.SIGTERM, 1),
        ("a worker", signal.SIGTERM, 0),
        ("everybody", signal.SIGINT, 1),
    ],
)
def test_the_command_torchrun_behaves_like_its_forked_agent(
    begin, finished, tmp_path, whom, number, code
):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    gate = tmp_path / "gate"
    (tmp_path / "train.py").write_text(
        f"{ECHOES.format(3600)}{open_gate(gate)}{block_before_step(6, gate)}\n"
        "from gpt2_small.cli import main\nmain()\n"
    )
    with (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(
            [*torchrun, "--nproc-per-node", "2", tmp_path / "train.py", *begin(tmp_path / "run")],
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=err,
            start_new_session=True,
        )
        wait_until(lambda: process.poll() is not None or is_at_step_five(tmp_path / "run"))
        workers = children_of(process.pid)
        send_all(
            {"torchrun": [process.pid], "a worker": workers[1:]}.get(whom, [*workers, process.pid]),
            number,
        )
        assert process.wait(timeout=120) == code, (tmp_path / "err").read_text()
    assert_goes_on_as_if_never_stopped(tmp_path / "run", finished, 2)
