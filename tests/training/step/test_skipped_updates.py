"""Test float16's scaled gradients, skipped updates, and windows without replacement."""

import statistics

import numpy as np
import pytest
import torch
from forked import the_forks
from small_runs import ALONE, SMALL, flags, logged, play, state_at, steps_kept, train

from gpt2_small.data.epoch_order import epoch_batch_at, epoch_positions, permuted
from gpt2_small.training.distributed import Processes
from gpt2_small.training.loop import Training
from gpt2_small.training.run_loop import train_run
from gpt2_small.training.session import open_run
from gpt2_small.training.step import skipped_updates
from gpt2_small.training.step.skipped_updates import FIRST_SCALE, UpdateGuard, norms_in


@pytest.fixture
def spoil(monkeypatch):
    """Return a function that multiplies one step's gradients by a factor before unscaling."""

    def at(step, factor):
        now, advance, begin = [0], Training.advance, UpdateGuard.__init__

        def counting(training, *asked):
            now[0] = training.step + 1
            return advance(training, *asked)

        def with_a_hook_before(guard, model, *others):
            model.ln_final.w.register_hook(lambda grad: grad * factor if now[0] == step else grad)
            begin(guard, model, *others)

        monkeypatch.setattr(Training, "advance", counting)
        monkeypatch.setattr(UpdateGuard, "__init__", with_a_hook_before)

    return at


def test_float16_training_has_about_the_losses_of_float32(solution, tmp_path):
    for dtype in ("float32", "float16"):
        train(solution, tmp_path / dtype, dtype=dtype)
    low, high = (logged(tmp_path / dtype) for dtype in ("float16", "float32"))
    assert [record["loss"] for record in low] == pytest.approx(
        [record["loss"] for record in high], abs=5e-3
    )
    assert low[0]["grad_norm"] == pytest.approx(high[0]["grad_norm"], rel=0.02)


def test_only_gradients_inside_the_backward_pass_are_scaled(solution, tmp_path, monkeypatch):
    seen = []
    original = UpdateGuard._unscaled

    def watching(guard, grad):
        seen.append((grad.abs().max().item(), original(guard, grad).abs().max().item()))
        return original(guard, grad)

    monkeypatch.setattr(UpdateGuard, "_unscaled", watching)
    train(solution, tmp_path / "run", dtype="float16", last=1)
    scaled, unscaled = map(max, zip(*seen, strict=True))
    assert scaled == pytest.approx(FIRST_SCALE * unscaled)
    assert logged(tmp_path / "run")[0]["loss"] < 10


def test_an_overflow_skips_its_update_halves_the_scale_and_is_logged(
    solution, tmp_path, spoil, monkeypatch
):
    spoil(step=4, factor=float("inf"))
    weights = {}
    original = Training.advance

    def advance(training, *asked):
        record = original(training, *asked)
        weights[record.step] = training.model.embed.W_E.detach().clone()
        weights["scale"] = training.guard.scale
        return record

    monkeypatch.setattr(Training, "advance", advance)
    train(solution, tmp_path / "run", dtype="float16")
    assert torch.equal(weights[4], weights[3])
    assert not torch.equal(weights[5], weights[4])
    assert weights["scale"] == FIRST_SCALE / 2
    skipped = {record["step"]: record.get("skipped") for record in logged(tmp_path / "run")}
    assert [step for step, why in skipped.items() if why] == [4]
    assert skipped[4] == "overflow"


def test_the_scale_doubles_after_many_steps_without_overflow(solution, tmp_path, monkeypatch):
    monkeypatch.setattr(skipped_updates, "STEPS_TO_DOUBLE", 5)
    scales = []
    original = Training.advance

    def advance(training, *asked):
        record = original(training, *asked)
        scales.append(training.guard.scale / FIRST_SCALE)
        return record

    monkeypatch.setattr(Training, "advance", advance)
    train(solution, tmp_path / "run", dtype="float16")
    assert scales == [1] * 4 + [2] * 5 + [4] * 3


def test_a_stopped_float16_run_resumes_bit_for_bit(solution, tmp_path, spoil):
    spoil(step=3, factor=float("inf"))
    train(solution, tmp_path / "original", dtype="float16")
    train(solution, tmp_path / "parts", dtype="float16", last=5)
    train(solution, tmp_path / "parts", resume=True)
    assert state_at(tmp_path / "parts", 12) == state_at(tmp_path / "original", 12)
    assert logged(tmp_path / "parts") == logged(tmp_path / "original")


SPOIL_ONE_RANK = """
from gpt2_small.training.loop import Training
from gpt2_small.training.step.skipped_updates import UpdateGuard
advance, begin, now = Training.advance, UpdateGuard.__init__, [0]

def counting(training, *asked):
    now[0] = training.step + 1
    return advance(training, *asked)

def with_a_hook_before(guard, model, optimizer, recipe, processes):
    here = processes.rank == 1
    model.ln_final.w.register_hook(
        lambda grad: grad * float("inf") if here and now[0] == 4 else grad
    )
    begin(guard, model, optimizer, recipe, processes)

Training.advance, UpdateGuard.__init__ = counting, with_a_hook_before
"""


def test_an_overflow_in_one_process_skips_the_update_of_all(tmp_path):
    arguments = ["train", "--preset", "characters", "--data", play(tmp_path)]
    fields = [*flags(dtype="float16"), "--out", tmp_path / "run"]
    fork = the_forks().run(*arguments, *fields, before=SPOIL_ONE_RANK, processes=2)
    assert (fork.code, fork.err) == (0, "")
    skipped = [r["step"] for r in logged(tmp_path / "run") if r.get("skipped") == "overflow"]
    assert skipped == [4]
    assert steps_kept(tmp_path / "run")[-1] == 12


SPOIL_THE_LOSS_OF_ONE_RANK = """
import os
from gpt2_small.training.step.objective import Objective
loss, calls = Objective.loss, []

def spoilt(objective, module, batch):
    calls.append(batch)
    value = loss(objective, module, batch)
    return value * float("nan") if os.environ["RANK"] == "1" and len(calls) == 4 else value

Objective.loss = spoilt
"""


def test_a_float16_loss_that_is_not_finite_in_one_process_stops_all_with_the_reason(tmp_path):
    arguments = ["train", "--preset", "characters", "--data", play(tmp_path)]
    fields = [*flags(dtype="float16"), "--out", tmp_path / "run"]
    fork = the_forks().run(*arguments, *fields, before=SPOIL_THE_LOSS_OF_ONE_RANK, processes=2)
    assert fork.code == 1  # of torchrun
    assert "training stopped before step 4: the loss of another process is not finite" in fork.err
    assert logged(tmp_path / "run")[-1]["step"] == 3


class WithAnOverflowingFirstPass(Processes):
    """A process whose throw-away backward pass overflows."""

    def distribute(self, model):
        model(torch.zeros(1, 2, dtype=torch.long)).mul(1e38).backward()
        model.zero_grad()
        return model


def test_an_overflow_before_the_first_step_skips_no_update(solution, tmp_path):
    processes = WithAnOverflowingFirstPass(ALONE.rank, ALONE.world_size, ALONE.device)
    changes = {"data": str(play(tmp_path)), "dtype": "float16"}
    with open_run(solution, tmp_path / "run", SMALL, changes, processes) as run:
        assert run.training.advance().skipped is None


# Spikes


@pytest.fixture
def early(monkeypatch):
    monkeypatch.setattr(skipped_updates, "NORMS_NEEDED", 3)


def test_a_spike_is_skipped_and_logged_and_the_next_step_is_not(solution, tmp_path, spoil, early):
    spoil(step=6, factor=1e4)
    train(solution, tmp_path / "run", skip_spikes=10.0)
    log = logged(tmp_path / "run")
    assert [record["step"] for record in log if record.get("skipped")] == [6]
    norms = [record["grad_norm"] for record in log]
    assert norms[5] > 10 * statistics.median(norms[:5])


def test_without_a_spike_spike_detection_does_not_change_the_weights(solution, tmp_path):
    train(solution, tmp_path / "plain", max_grad_norm=0.5)
    train(solution, tmp_path / "watching", max_grad_norm=0.5, skip_spikes=1000.0)
    assert state_at(tmp_path / "plain", 12) == state_at(tmp_path / "watching", 12)


def test_a_resumed_run_reads_earlier_gradient_norms_from_its_log(solution, tmp_path, spoil, early):
    spoil(step=6, factor=1e4)
    train(solution, tmp_path / "original", skip_spikes=10.0)
    train(solution, tmp_path / "parts", skip_spikes=10.0, last=5)
    train(solution, tmp_path / "parts", resume=True)
    assert logged(tmp_path / "parts") == logged(tmp_path / "original")
    assert state_at(tmp_path / "parts", 12) == state_at(tmp_path / "original", 12)


def test_a_run_stopped_in_an_evaluation_remembers_the_norm_of_its_last_step(solution, tmp_path):
    changes, is_evaluating = {"data": str(play(tmp_path)), "skip_spikes": 10.0}, []
    with open_run(solution, tmp_path / "run", SMALL, changes, ALONE) as run:
        evaluate = run.training.evaluate
        run.training.evaluate = lambda *asked: (is_evaluating.append(True), evaluate(*asked))[1]
        made = list(train_run(run, lambda: bool(is_evaluating)))
    with open_run(solution, tmp_path / "run", None, {}, ALONE, resume=True) as run:
        assert run.unevaluated is not None
        assert [*run.training.guard._norms] == [record.grad_norm for record in made]


def test_steps_that_overflowed_take_no_place_among_the_remembered_norms():
    log = [{"grad_norm": float(step)} for step in range(150)]
    overflowed = [{"grad_norm": 0.0, "skipped": "overflow"}] * 120
    assert norms_in([*log, *overflowed]) == [float(step) for step in range(50, 150)]


# Epochs


@pytest.mark.parametrize("count", [1, 2, 3, 17, 64, 1000])
def test_each_epoch_has_every_item_once_in_another_order(count):
    orders = [permuted(np.arange(count), count, seed=5, number=number) for number in range(4)]
    assert all(sorted(order) == list(range(count)) for order in orders)
    assert count < 17 or len({tuple(order) for order in orders}) == 4


def test_steps_continue_across_epochs():
    steps = [epoch_positions(seed=1, step=step, batch_size=4, count=10) for step in range(10)]
    drawn = np.concatenate(steps).tolist()
    assert [sorted(drawn[first : first + 10]) for first in range(0, 40, 10)] == [
        list(range(10))
    ] * 4


def test_an_epochs_order_is_independent_of_other_epochs_and_keeps_no_neighbours():
    orders = np.array([permuted(np.arange(100), 100, seed=0, number=n) for n in range(500)])
    # The mean of 500 draws from 0 to 99 has a standard deviation of 1.29.
    assert abs(orders.mean(axis=0) - 49.5).max() < 6 * 1.29
    # By chance 1 % of places agree: of 49,500 pairs 495, with a standard deviation of 22.
    assert abs((np.diff(orders, axis=1) == 1).sum() - 495) < 6 * 22


def test_any_number_of_processes_share_the_windows_of_one():
    tokens = np.arange(1000, dtype=np.uint16)
    one = epoch_batch_at(tokens, seed=0, step=3, batch_size=6, n_ctx=9)
    for size in (2, 3, 6):
        shares = [
            epoch_batch_at(
                tokens, seed=0, step=3, batch_size=6, n_ctx=9, rank=rank, world_size=size
            )
            for rank in range(size)
        ]
        assert torch.equal(torch.cat(shares), one)
    assert (one[:, 0] % 9 == 0).all()
    assert torch.equal(one[:, 1:], one[:, :-1] + 1)


def test_a_run_in_epochs_is_resumed_bit_for_bit(solution, tmp_path):
    train(solution, tmp_path / "original", order="epochs")
    train(solution, tmp_path / "parts", order="epochs", last=5)
    train(solution, tmp_path / "parts", resume=True)
    assert state_at(tmp_path / "parts", 12) == state_at(tmp_path / "original", 12)
