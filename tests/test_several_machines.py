"""Test training on two machines: one is disconnected, and rejoins.

The machines are network namespaces of this one (tests/network_namespaces.py), so only root can run
these.
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
    """Start the two processes of a machine, as the page says, with further flags."""
    (machine.folder / "play.txt").write_text(PLAY)
    command = ON_EACH.strip().replace("--nnodes 2", f"--nnodes {nodes}")
    flags = shlex.join(map(str, [*SMALLER, *further]))
    return machine.start("bash", "-c", f"{command} {flags}", GPT2_SMALL_TIMEOUT=PATIENCE)


def steps_logged(run: Path) -> int:
    """How many lines the log has."""
    log = run / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def until_the_middle(running: Running, run: Path) -> None:
    """Come back once a checkpoint is written and the run is some steps further."""
    running.until(lambda: steps_logged(run) >= CUT_AFTER)
    assert steps_logged(run) < STEPS, "the run has ended before anything could happen to it"


@pytest.fixture
def two_machines(tmp_path: Path) -> Iterator[list[Machine]]:
    """`host-a` and `host-b`, joined by a cable; a test that cannot have them is skipped."""
    reason = why_no_machines()
    if reason is not None:
        pytest.skip(reason)
    with joined_machines(tmp_path, "host-a", "host-b") as made:
        yield made


@pytest.fixture(scope="module")
def uncut(tmp_path_factory) -> Path:
    """The run of as many processes on one machine, to which nothing happened."""
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
    """The same log, and bit for bit the same weights and optimiser at the end."""
    assert [record["step"] for record in logged(run)] == list(range(1, STEPS + 1))
    assert logged(run) == logged(other)
    assert state_at(run, STEPS) == state_at(other, STEPS)


def test_a_run_goes_on_when_a_machine_loses_power_and_comes_back(uncut, two_machines):
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


def test_a_cable_that_is_out_for_a_moment_costs_only_the_moment(uncut, two_machines):
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


def test_a_run_goes_on_when_the_machine_that_keeps_it_was_killed(uncut, two_machines, tmp_path):
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


def test_machines_that_need_not_wait_go_on_alone_and_take_one_back(two_machines):
    a, b = two_machines
    long = ["--set", "max_steps=1000000"]
    on_a, on_b = (torchrun(machine, *long, nodes="1:2") for machine in (a, b))
    run = a.folder / RUN

    def until_it_goes_on_with(processes: int, times: int) -> None:
        """Come back once the run was begun so often, the last time with so many processes."""
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
