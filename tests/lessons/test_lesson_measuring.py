"""Test the measuring lesson against torch, the kit and the harness, and its claims."""

from types import ModuleType

import pytest
import torch
from lesson_values import Values, values_fixture
from measure_lessons import experiment
from torch import nn

import gpt2_small
from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.exercise_sets import find_lesson
from gpt2_small.evaluation import intervals

values = values_fixture("07_measuring")


@pytest.fixture(scope="module")
def lesson() -> ModuleType:
    return reference(find_lesson("measuring"))


@pytest.fixture(scope="module")
def found() -> ModuleType:
    return experiment("07_measuring")


@pytest.mark.parametrize(("warmup", "decay", "total"), [(3, 4, 20), (5, 10, 15), (2, 1, 9)])
def test_the_trapezoid_equals_torchs_joined_schedulers(lesson, warmup, decay, total) -> None:
    from torch.optim.lr_scheduler import ConstantLR, LinearLR, SequentialLR

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    parts = [
        LinearLR(optimizer, start_factor=1 / warmup, end_factor=1.0, total_iters=warmup - 1),
        ConstantLR(optimizer, factor=1.0, total_iters=0),
        LinearLR(optimizer, start_factor=1.0, end_factor=1e-300, total_iters=decay),
    ]
    schedule = SequentialLR(optimizer, parts, milestones=[warmup, total - 1 - decay])
    for step in range(total + 2):
        ours = lesson.trapezoid(
            step, peak=0.5, warmup_steps=warmup, decay_steps=decay, total_steps=total
        )
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("count", range(2, 11))
def test_the_interval_equals_that_of_the_evaluations(lesson, count: int) -> None:
    drawn = torch.randn(count, generator=torch.Generator().manual_seed(count)).tolist()
    expected = intervals.mean(drawn).interval
    assert expected is not None
    assert lesson.interval(drawn) == pytest.approx(expected, abs=1e-4)


def test_bits_per_byte_equals_the_harness_metric(lesson) -> None:
    metrics = pytest.importorskip("lm_eval.api.metrics")
    text = "naïve café, 東京 🙂"
    log_probs = -torch.rand(9, generator=torch.Generator().manual_seed(0)).double()
    expected = metrics.bits_per_byte([(log_probs.sum().item(), len(text.encode()))])
    assert lesson.bits_per_byte(log_probs, text) == pytest.approx(expected, rel=1e-12)


def test_the_best_ending_equals_the_harness_tasks_choice(lesson) -> None:
    """`ConfigurableTask.process_results` computes acc and acc_norm."""
    import numpy

    generator = torch.Generator().manual_seed(3)
    for _ in range(50):
        lengths = torch.randint(1, 20, (4,), generator=generator).tolist()
        log_probs = [-torch.rand(1 + length // 3, generator=generator) for length in lengths]
        endings = ["x" * length for length in lengths]
        lls = [each.sum().item() for each in log_probs]
        completion_len = numpy.array([float(len(ending)) for ending in endings])
        assert lesson.best_ending(log_probs, endings, "sum") == numpy.argmax(lls)
        assert lesson.best_ending(log_probs, endings, "character") == numpy.argmax(
            numpy.array(lls) / completion_len
        )


def test_accumulated_gradients_equal_those_of_train_step(lesson, found) -> None:
    batch = found.windows(0, 0)
    ours, theirs = found.new_model(0), found.new_model(0)

    def loss(model: nn.Module, rows: torch.Tensor) -> torch.Tensor:
        return gpt2_small.next_token_loss(model(rows[:, :-1]), rows)

    pieces = batch.split([5, 2, 1])
    total = lesson.accumulate(ours, pieces, loss)
    still = torch.optim.SGD(theirs.parameters(), lr=0.0)
    result = gpt2_small.train_step(theirs, pieces, still, max_grad_norm=1e9)
    assert total == pytest.approx(result.loss, rel=1e-6)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine.grad, other.grad, atol=1e-6)


def test_a_model_without_the_mask_ends_below_the_floor(values: Values) -> None:
    assert max(values["without the mask"]) < -0.1
    assert min(values["cosine"]) > 0


def test_most_of_the_shown_mistakes_train_nearly_as_well_as_the_correct_model(found) -> None:
    costs, right = found.costs_of_mistakes()
    assert len(right) == 5
    assert list(costs) == list(found.MISTAKES)
    for name in ("exact GELU", "unbiased variance"):
        assert min(right) <= costs[name] <= max(right), name
    for name in ("positions backwards", "norms after the sums", "scale of sqrt(d_model)"):
        assert max(right) < costs[name] < max(right) + 10, name
    assert costs["no sum around attention"] > 100
    assert costs["no mask"] < -50


def test_a_high_rate_needs_its_warm_up(values: Values) -> None:
    assert min(values["4 times the rate, without warm-up"]) > 2 * max(values["4 times the rate"])


def test_the_cosine_ends_above_the_other_schedules_in_a_short_run(found, values: Values) -> None:
    interval = found.small_models.interval
    for name in ("constant", "trapezoid", "4 times the rate"):
        assert interval(values[name]).is_below(interval(values["cosine"])), name


def test_the_trapezoid_and_the_higher_rate_show_no_clear_difference(found, values: Values) -> None:
    interval = found.small_models.interval
    ours, other = interval(values["trapezoid"]), interval(values["4 times the rate"])
    assert not ours.is_below(other)
    assert not other.is_below(ours)


def test_bits_per_byte_reverses_the_order_of_two_tokenizers(values: Values) -> None:
    assert max(values["nats per token, characters"]) < min(values["nats per token, 512 pairs"])
    assert min(values["bits per byte, characters"]) > max(values["bits per byte, 512 pairs"])


def test_the_definitions_of_the_best_ending_differ_for_endings_of_unequal_length(
    values: Values,
) -> None:
    assert values["accuracy by sum"] == values["accuracy by token"]
    assert values["accuracy by character"] != values["accuracy by sum"]
    assert min(min(values[f"accuracy by {by}"]) for by in ("sum", "token", "character")) > 0.4
