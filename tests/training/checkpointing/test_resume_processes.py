"""Test that runs of several processes resume bit for bit, and stop together."""

import json
import os
import shutil
import signal
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from default_share import slowly
from forked import the_forks, wait_until
from injected_programs import NOTE_BATCHES, PICKLE_NOTHING, block_before_step, replace_loss
from processes import children_of
from small_runs import SMALL, flags, logged, play, state_at, steps_kept
from torch.distributed import DistStoreError, HashStore

from gpt2_small.runs.checkpoint_folders import note_checkpoint
from gpt2_small.training.distributed.rendezvous import rendezvous_store
from gpt2_small.training.training_data import open_data

pytestmark = pytest.mark.timeout(300)
STEPS = [6, 9, 12]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return play(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def begin(text):
    """Return a function of the small run's arguments; its batch suits one to four processes."""

    def arguments(out, **changes):
        fields = flags(batch_size=12, keep=9, dropout=0.2, **changes)
        return ["train", "--preset", "characters", "--data", text, "--out", out, *fields]

    return arguments


@pytest.fixture(scope="module")
def uninterrupted(begin, tmp_path_factory):
    """Train an uninterrupted run of two processes."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run_well(*begin(folder), processes=2, before=PICKLE_NOTHING)
    return folder


def run_well(*arguments, **how):
    fork = the_forks().run(*arguments, **how)
    assert (fork.code, fork.err) == (0, "")
    return fork


def drop_after(run: Path, step: int) -> None:
    """Leave the files of a run that was killed before its next checkpoint."""
    for kept in steps_kept(run):
        if kept > step:
            shutil.rmtree(run / f"checkpoints/step-{kept}")
    note_checkpoint(run, step)


def whole_run(begin, tmp_path, processes, before=""):
    run_well(*begin(tmp_path / "whole"), processes=processes, before=before)
    return tmp_path / "whole"


def assert_goes_on_with_the_same_bits(uninterrupted, tmp_path, processes, before=""):
    parts = tmp_path / "parts"
    shutil.copytree(uninterrupted, parts)
    drop_after(parts, 3)
    again = run_well("train", "--out", parts, "--resume", processes=processes, before=before)
    assert "resuming from step 3" in again.out
    assert [state_at(parts, step) for step in STEPS] == [
        state_at(uninterrupted, step) for step in STEPS
    ]
    assert logged(parts) == logged(uninterrupted)


def test_two_processes_resume_bit_for_bit_without_pickles(uninterrupted, tmp_path):
    assert_goes_on_with_the_same_bits(uninterrupted, tmp_path, 2, before=PICKLE_NOTHING)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [3, 4])
def test_three_and_more_processes_resume_bit_for_bit(begin, tmp_path, processes):
    # In another order, a float32 sum of three numbers differs in its last bit.
    uninterrupted = whole_run(begin, tmp_path, processes)
    assert_goes_on_with_the_same_bits(uninterrupted, tmp_path, processes)


@pytest.mark.slow
def test_without_a_fixed_order_of_summation_three_processes_resume_with_other_bits(begin, tmp_path):
    unsettled = (
        "from gpt2_small.training.distributed import processes\n"
        "processes._make_first_pass = print\n"
    )
    uninterrupted = whole_run(begin, tmp_path, 3, before=unsettled)
    with pytest.raises(AssertionError, match="assert"):
        assert_goes_on_with_the_same_bits(uninterrupted, tmp_path, 3, before=unsettled)


def test_a_change_in_the_number_of_processes_does_not_change_the_order_of_the_data(
    begin, text, tmp_path
):
    run = tmp_path / "run"
    run_well(*begin(run, max_steps=3), processes=2, before=NOTE_BATCHES)
    for processes, last in ((0, 6), (2, 9)):
        more = ["--max-steps", last]
        run_well("train", "--out", run, "--resume", *more, processes=processes, before=NOTE_BATCHES)
    seen: dict[tuple[int, int], list] = {}
    for path in tmp_path.glob("run.batches-*"):
        for line in path.read_text().splitlines():
            share = json.loads(line)
            assert (share["step"], share["rank"]) not in seen
            seen[share["step"], share["rank"]] = share["tokens"]
    ranks = [[rank for at, rank in sorted(seen) if at == step] for step in range(9)]
    assert ranks == [[0, 1]] * 3 + [[0]] * 3 + [[0, 1]] * 3
    data = open_data(str(text), None, SMALL.model["n_ctx"])
    for step in range(9):
        windows = data.batch(seed=0, step=step, batch_size=12, rank=0, world_size=1)
        assert [row for rank in ranks[step] for row in seen[step, rank]] == windows.tolist()
    assert [record["step"] for record in logged(run)] == list(range(1, 10))


def met(store, ranks, world_size):
    """Run the rendezvous of several ranks, each in its thread, and return their stores by rank."""
    places = {}

    def meet(rank):
        place = rendezvous_store(store, rank, world_size, timedelta(seconds=60))
        place.set(f"from {rank}", str(rank))
        places[rank] = place

    threads = [threading.Thread(target=meet, args=(rank,)) for rank in ranks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return places


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_restarted_processes_rendezvous_in_an_empty_store(order):
    store = HashStore()
    for attempt in range(3):
        places = met(store, order, 3)
        for place in places.values():
            assert [place.get(f"from {rank}") for rank in range(3)] == [b"0", b"1", b"2"]
            assert not place.check(["address"])
        places[0].set("address", f"of attempt {attempt}, soon dead")


def test_the_rendezvous_has_a_time_limit():
    with pytest.raises(DistStoreError, match=r"wait timeout after 0\.05 seconds"):
        rendezvous_store(HashStore(), 0, 2, timedelta(seconds=0.05))


SPOILT = {
    "a loss that is not finite": "loss = loss + float('inf')",
    "a loss that is not a number": "loss = loss * float('nan')",
    "a gradient that is not a number": "loss.register_hook(lambda of_loss: of_loss * float('nan'))",
}


# Each in one process; `pytest -m slow` tries it in the other.
IN_ONE = [
    ("a loss that is not finite", 1),
    slowly(("a loss that is not a number", 0)),
    ("a gradient that is not a number", 0),
]


@pytest.mark.parametrize(
    ("what", "rank"),
    [
        *IN_ONE,
        slowly(("a loss that is not finite", 0)),
        slowly(("a loss that is not a number", 1)),
        slowly(("a gradient that is not a number", 1)),
    ],
)
def test_a_nonfinite_number_in_one_process_stops_all_before_the_update(begin, tmp_path, what, rank):
    run = tmp_path / "run"
    program = replace_loss(5, rank, SPOILT[what])
    fork = the_forks().run(*begin(run, checkpoint_every=4), processes=2, before=program)
    assert fork.code == 1  # the agent's code; its report has the first failed worker's
    assert "exitcode  : 2" in fork.err
    [sentence] = [line for line in fork.err.splitlines() if line.startswith("error: ")]
    assert sentence.startswith("error: training stopped before step 5: the loss is")
    for each in (0, 1):
        assert len((tmp_path / f"run.updates-{each}").read_text().splitlines()) == 4
    assert (len(logged(run)), steps_kept(run)) == (4, [4])


@pytest.mark.parametrize("rank", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_torchrun_restarts_all_workers_after_one_is_killed_and_the_run_ends_with_the_same_bits(
    begin, uninterrupted, tmp_path, rank
):
    run = tmp_path / "run"
    fork = the_forks().start(
        *begin(run),
        before=block_before_step(6, tmp_path / "gate", rank),
        processes=2,
        max_restarts=1,
    )
    log = run / "log.jsonl"
    wait_until(lambda: log.exists() and log.read_text().count("\n") == 5 and steps_kept(run) == [3])
    os.kill(children_of(fork.pid)[rank], signal.SIGKILL)  # it is blocked at the gate
    (tmp_path / "gate").touch()
    assert fork.wait() == 0, fork.err
    assert "resuming from step 3" in fork.out
    assert state_at(run, 12) == state_at(uninterrupted, 12)
    assert logged(run) == logged(uninterrupted)
