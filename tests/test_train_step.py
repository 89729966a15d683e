"""train_step: one update on the mean loss over all targets of the micro-batches."""

import copy
import dataclasses
import inspect
import math

import pytest
import torch
from bigram import (
    D_VOCAB,
    Bigram,
    Distributed,
    Poisoned,
    adamw,
    mean_loss,
    torchs_step,
    twins,
    weights,
    windows,
)
from hypothesis import example, given
from hypothesis import strategies as st

pytestmark = pytest.mark.component("train_step")

ROUNDING = 1e-5  # clip_grad_norm_ divides by the norm plus 1e-6, the step by hand by the norm

SIZES = [(2, 6), (1, 4), (3, 2)]
shapes = st.lists(st.tuples(st.integers(1, 4), st.integers(2, 6)), min_size=1, max_size=4)
seeds = st.integers(0, 9999)


def same(one, other):
    return torch.allclose(one, other, rtol=ROUNDING, atol=ROUNDING)


@example(shapes=SIZES, seed=0, clip=1.0)
@given(shapes=shapes, seed=seeds, clip=st.sampled_from([0.01, 1.0, 100.0]))
def test_a_step_is_torchs_own_on_the_mean_over_all_targets(solution, shapes, seed, clip):
    ours, our_optimizer, theirs, their_optimizer = twins()
    for number in range(3):
        batches = windows(seed + number, *shapes)
        result = solution.train_step(ours, batches, our_optimizer, max_grad_norm=clip)
        loss, norm = torchs_step(theirs, batches, their_optimizer, clip)
        assert result.loss == pytest.approx(loss, rel=ROUNDING)
        assert result.grad_norm == pytest.approx(norm, rel=ROUNDING)
        assert same(weights(ours), weights(theirs))


@example(seed=0, rows=5)
@given(seed=seeds, rows=st.integers(2, 8))
def test_micro_batches_make_the_step_of_one_big_batch(solution, seed, rows):
    ours, our_optimizer, theirs, their_optimizer = twins()
    (batch,) = windows(seed, (rows, 6))
    parts = [batch[:1], batch[1:]]
    split = solution.train_step(ours, parts, our_optimizer)
    whole = solution.train_step(theirs, [batch], their_optimizer)
    assert split.loss == pytest.approx(whole.loss, rel=1e-12)
    assert split.grad_norm == pytest.approx(whole.grad_norm, rel=1e-12)
    assert torch.allclose(weights(ours), weights(theirs), rtol=1e-12, atol=1e-12)


@example(shapes=SIZES, seed=0)
@given(shapes=shapes, seed=seeds)
def test_tokens_counts_the_targets(solution, shapes, seed):
    model = Bigram()
    result = solution.train_step(model, windows(seed, *shapes), adamw(model))
    assert result.tokens == sum(rows * (columns - 1) for rows, columns in shapes)


def test_the_result_is_plain_numbers_and_does_not_change(solution):
    model = Bigram()
    result = solution.train_step(model, windows(1, *SIZES), adamw(model))
    assert isinstance(result, solution.StepResult)
    kinds = {field: type(value) for field, value in dataclasses.asdict(result).items()}
    assert kinds == {"loss": float, "grad_norm": float, "tokens": int}
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.loss = 0.0


def test_the_loss_is_that_before_the_update(solution):
    model, batches = Bigram(), windows(1, *SIZES)
    before = mean_loss(model, batches).item()
    result = solution.train_step(model, batches, adamw(model))
    assert result.loss == pytest.approx(before, rel=1e-12)


def test_the_update_goes_downhill(solution):
    model, batches = Bigram(), windows(1, *SIZES)
    before = mean_loss(model, batches).item()
    solution.train_step(model, batches, torch.optim.SGD(model.parameters(), lr=0.1))
    assert mean_loss(model, batches).item() < before


def clipped_step(solution, max_grad_norm):
    """What plain descent at rate 1 subtracts: the gradient that the optimiser saw."""
    model = Bigram()
    before = weights(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    result = solution.train_step(model, windows(1, *SIZES), optimizer, max_grad_norm=max_grad_norm)
    return before - weights(model), result.grad_norm


def test_clipping_shortens_the_whole_gradient_and_keeps_its_direction(solution):
    free, norm = clipped_step(solution, 1e6)
    assert free.norm().item() == pytest.approx(norm, rel=ROUNDING)
    short, reported = clipped_step(solution, norm / 10)
    assert reported == pytest.approx(norm, rel=1e-12)
    assert torch.allclose(short, free / 10, rtol=1e-4, atol=1e-9)


def test_a_gradient_below_the_limit_is_left_as_it_is(solution):
    free, norm = clipped_step(solution, 1e6)
    assert torch.allclose(clipped_step(solution, 2 * norm)[0], free, rtol=1e-12, atol=0)


def test_the_limit_is_one_unless_told_otherwise(solution):
    def step(**limit):
        model = Bigram()
        with torch.no_grad():
            model.W.mul_(50)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        return solution.train_step(model, windows(1, (1, 2)), optimizer, **limit), weights(model)

    (result, by_default), (_, by_one) = step(), step(max_grad_norm=1.0)
    assert result.grad_norm > 1.0
    assert torch.equal(by_default, by_one)


def test_gradients_left_over_from_before_do_not_count(solution):
    ours, our_optimizer, theirs, their_optimizer = twins()
    for parameter in ours.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    solution.train_step(ours, windows(1, *SIZES), our_optimizer)
    solution.train_step(theirs, windows(1, *SIZES), their_optimizer)
    assert torch.equal(weights(ours), weights(theirs))


def test_the_optimisers_own_rate_is_used(solution):
    model = Bigram()
    before = weights(model)
    solution.train_step(model, windows(1, *SIZES), torch.optim.SGD(model.parameters(), lr=0.0))
    assert torch.equal(weights(model), before)


def test_a_frozen_parameter_stays(solution):
    model = Bigram()
    model.b.requires_grad_(False)
    before = model.b.clone()
    solution.train_step(model, windows(1, *SIZES), adamw(model))
    assert torch.equal(model.b, before)


def test_the_batches_are_left_alone(solution):
    model, batches = Bigram(), windows(1, *SIZES)
    before = copy.deepcopy(batches)
    solution.train_step(model, batches, adamw(model))
    assert all(torch.equal(a, b) for a, b in zip(batches, before, strict=True))


def is_refused_without_a_trace(solution, model, message):
    """A step that is not finite raises; weights and the optimiser's memory stay as they were."""
    optimizer = adamw(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    before, memory = weights(model), copy.deepcopy(optimizer.state_dict()["state"])
    with pytest.raises(FloatingPointError, match=message):
        solution.train_step(model, windows(1, *SIZES), optimizer)
    assert torch.equal(weights(model).nan_to_num(), before.nan_to_num())
    for number, state in optimizer.state_dict()["state"].items():
        assert all(torch.equal(value, memory[number][key]) for key, value in state.items())


def test_a_loss_that_is_not_a_number_leaves_everything_as_it_was(solution):
    for value in (math.nan, math.inf):
        model = Bigram()
        model.W.data[:] = value
        is_refused_without_a_trace(solution, model, "nan|inf")


def test_a_gradient_that_is_not_a_number_leaves_everything_as_it_was(solution):
    is_refused_without_a_trace(solution, Poisoned(), "nan")


def test_one_bad_micro_batch_spoils_the_step_not_the_weights(solution):
    model = Bigram()
    model.W.data[3] = math.nan
    good, bad = torch.tensor([[0, 1, 2]]), torch.tensor([[3, 1, 2]])
    before = weights(model)
    for batches in ([good, bad], [bad, good]):
        with pytest.raises(FloatingPointError):
            solution.train_step(model, batches, adamw(model))
        assert torch.equal(weights(model).nan_to_num(), before.nan_to_num())


def test_the_step_after_a_refused_one_is_as_if_it_had_not_been(solution):
    model, twin = Poisoned(), Bigram()
    optimizer, batches = adamw(model), windows(1, *SIZES)
    with pytest.raises(FloatingPointError):
        solution.train_step(model, batches, optimizer)
    model.__class__ = Bigram
    solution.train_step(model, batches, optimizer)
    solution.train_step(twin, batches, adamw(twin))
    assert torch.equal(weights(model), weights(twin))


def test_no_micro_batch_is_refused(solution):
    model = Bigram()
    with pytest.raises(ValueError, match="batch"):
        solution.train_step(model, [], adamw(model))


def test_a_distributed_model_exchanges_gradients_with_the_last_micro_batch_only(solution):
    model = Distributed()
    for sizes, exchanges in ((SIZES, [False, False, True]), (SIZES[:1], [True])):
        model.exchanges.clear()
        solution.train_step(model, windows(1, *sizes), adamw(model))
        assert model.exchanges == exchanges


def test_a_loss_of_ones_own_takes_the_place_of_the_next_token_loss(solution):
    if "loss" not in inspect.signature(solution.train_step).parameters:
        pytest.skip("this train_step has no `loss`")
    model, batches = Bigram(), windows(1, *SIZES)
    result = solution.train_step(
        model, batches, adamw(model), loss=lambda model, batch: model.W.sum() * 0 + len(batch)
    )
    targets = [batch[:, 1:].numel() for batch in batches]
    shares = [len(batch) * count for batch, count in zip(batches, targets, strict=True)]
    assert result.loss == pytest.approx(sum(shares) / sum(targets), rel=1e-12)


def test_the_model_reads_all_but_the_last_token_of_a_window(solution):
    model, read = Bigram(), []
    model.register_forward_pre_hook(lambda _module, inputs: read.append(inputs[0]))
    (batch,) = windows(1, (2, 6))
    solution.train_step(model, [batch], adamw(model))
    assert torch.equal(read[0], batch[:, :-1])
    assert batch.max() < D_VOCAB


@pytest.mark.parametrize("norm", [0.0, -1.0, float("nan")])
def test_a_norm_to_clip_to_that_makes_no_sense_is_refused_before_the_update(solution, norm):
    model = Bigram()
    before = weights(model)
    with pytest.raises(ValueError, match=f"max_grad_norm is {norm}"):
        solution.train_step(model, windows(0, (2, 5)), adamw(model), max_grad_norm=norm)
    assert torch.equal(weights(model), before)
