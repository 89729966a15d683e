"""Test training on two machines: one is disconnected, and rejoins.

The machines are network namespaces (network_namespaces.py), so only root can run these tests.
"""

import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from network_namespaces import Machine, Running, joined_machines, why_no_machines
from pages import block
from processes import ROOT, run_fresh_python
from small_runs import PLAY, SMALL, flags, logged, state_at

pytestmark = pytest.mark.slow

STEPS = 60
CUT_AFTER = 12
PATIENCE = 15
RUN = "runs/plays"
ON_EACH = block("distributed.md", "sh machines")
SMALLER = ["--device", "cpu", *flags(SMALL, max_steps=STEPS, batch_size=8)]


def torchrun(machine: Machine, *further: object, nodes: str = "2") -> Running:
    """Start a machine's two processes with the page's command and further flags."""
    (machine.folder / "play.txt").write_text(PLAY)
    command = ON_EACH.strip().replace("--nnodes 2", f"--nnodes {nodes}")
    flags = shlex.join(map(str, [*SMALLER, *further]))
    return machine.start("bash", "-c", f"{command} {flags}", GPT2_SMALL_TIMEOUT=PATIENCE)


def steps_logged(run: Path) -> int:
    """Return the number of lines in the log."""
    log = run / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def until_the_middle(running: Running, run: Path) -> None:
    """Wait until a checkpoint is written and the run is some steps further."""
    running.until(lambda: steps_logged(run) >= CUT_AFTER)
    assert steps_logged(run) < STEPS, "the run ended before the fault"


@pytest.fixture
def two_machines(tmp_path: Path) -> Iterator[list[Machine]]:
    """Return `host-a` and `host-b`, connected by a cable; skip the test if this is impossible."""
    reason = why_no_machines()
    if reason is not None:
        pytest.skip(reason)
    with joined_machines(tmp_path, "host-a", "host-b") as made:
        yield made


@pytest.fixture(scope="module")
def uncut(tmp_path_factory) -> Path:
    """Train the undisturbed run with as many processes on one machine."""
    folder = tmp_path_factory.mktemp("uncut")
    (folder / "play.txt").write_text(PLAY)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4"]
    train = ["-m", "gpt2_small", "train", "--preset", "shakespeare-cpu", "--data", "play.txt"]
    result = run_fresh_python(
        *launch, *train, "--out", "run", *SMALLER, cwd=folder, PYTHONPATH=str(ROOT)
    )
    assert result.returncode == 0, result.stderr
    return folder / "run"


def assert_same_run(run: Path, other: Path) -> None:
    """Assert the same log, and bit for bit the same weights and optimiser at the end."""
    assert [record["step"] for record in logged(run)] == list(range(1, STEPS + 1))
    assert logged(run) == logged(other)
    assert state_at(run, STEPS) == state_at(other, STEPS)


def test_a_run_resumes_after_a_machine_loses_power_and_restarts(uncut, two_machines):
    a, b = two_machines
    on_a, on_b = torchrun(a), torchrun(b)
    until_the_middle(on_a, a.folder / RUN)
    b.unplug()
    on_b.kill()
    on_a.until(lambda: "error: " in on_a.said)
    b.plug_in()
    back = torchrun(b)
    assert (on_a.wait(), back.wait()) == (0, 0), on_a.said + back.said
    assert f"host-a: another process did not answer for {PATIENCE} seconds" in on_a.said
    assert "resuming from step " in on_a.said
    assert "Traceback" not in on_a.said
    assert_same_run(a.folder / RUN, uncut)
    assert not (b.folder / RUN).exists()


def test_a_short_disconnection_only_delays_the_run(uncut, two_machines):
    a, b = two_machines
    on_a, on_b = torchrun(a), torchrun(b)
    until_the_middle(on_a, a.folder / RUN)
    b.unplug()
    before = steps_logged(a.folder / RUN)
    time.sleep(PATIENCE / 4)
    assert steps_logged(a.folder / RUN) <= before + 1
    b.plug_in()
    assert (on_a.wait(), on_b.wait()) == (0, 0), on_a.said + on_b.said
    assert "resuming from step" not in on_a.said
    assert_same_run(a.folder / RUN, uncut)


def test_a_run_resumes_after_the_machine_with_its_folder_was_killed(uncut, two_machines, tmp_path):
    a, b = two_machines
    shared = tmp_path / "shared"
    on_a, on_b = torchrun(a, "--out", shared), torchrun(b, "--out", shared)
    until_the_middle(on_a, shared)
    on_a.kill()
    assert on_b.wait() == 1
    assert "host-b: another process was lost (" in on_b.said
    again = [torchrun(machine, "--out", shared) for machine in (a, b)]
    assert [running.wait() for running in again] == [0, 0], again[0].said + again[1].said
    assert "resuming from step " in again[0].said
    assert_same_run(shared, uncut)


def test_with_elastic_nodes_one_machine_continues_alone_and_the_other_rejoins(two_machines):
    a, b = two_machines
    long = ["--set", "max_steps=1000000"]
    on_a, on_b = (torchrun(machine, *long, nodes="1:2") for machine in (a, b))
    run = a.folder / RUN

    def until_it_goes_on_with(processes: int, times: int) -> None:
        """Wait until the run has started this often, the last time with this many processes."""
        on_a.until(lambda: len(begun()) >= times and begun()[-1] == processes)
        before = steps_logged(run)
        on_a.until(lambda: steps_logged(run) > before + CUT_AFTER)

    def begun() -> list[int]:
        return [int(number) for number in re.findall(r"(\d+) processes, float32", on_a.said)]

    until_it_goes_on_with(4, times=1)
    on_b.kill()
    until_it_goes_on_with(2, times=2)
    torchrun(b, *long, nodes="1:2")
    until_it_goes_on_with(4, times=3)
    steps = [record["step"] for record in logged(run)]
    assert steps == list(range(1, len(steps) + 1))
