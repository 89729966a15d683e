"""learning_rate: a linear warm-up, then half a cosine."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

pytestmark = pytest.mark.component("learning_rate")

ROUNDING = 1e-12  # relative: a few operations on Python's floats

plans = st.fixed_dictionaries(
    {
        "peak": st.floats(1e-6, 10.0),
        "warmup_steps": st.integers(1, 30),
        "total_steps": st.integers(40, 200),
        "final_fraction": st.floats(0.0, 1.0),
    }
)

PLAN = {"peak": 3.0, "warmup_steps": 10, "total_steps": 100, "final_fraction": 0.2}


def near(value, scale=1.0):
    return pytest.approx(value, rel=ROUNDING, abs=ROUNDING * scale)


def rates(solution, plan, steps=None):
    return [solution.learning_rate(step, **plan) for step in range(steps or plan["total_steps"])]


@example(plan=PLAN)
@given(plan=plans)
def test_the_warm_up_is_linear_and_its_first_step_already_learns(solution, plan):
    for step, rate in enumerate(rates(solution, plan, plan["warmup_steps"])):
        assert rate == near(plan["peak"] * (step + 1) / plan["warmup_steps"])


@example(plan=PLAN)
@given(plan=plans)
def test_the_last_step_of_the_warm_up_has_the_peak(solution, plan):
    assert solution.learning_rate(plan["warmup_steps"] - 1, **plan) == near(plan["peak"])


@example(plan=PLAN)
@given(plan=plans)
def test_the_last_step_of_all_has_the_final_fraction_of_the_peak(solution, plan):
    last = solution.learning_rate(plan["total_steps"] - 1, **plan)
    assert last == near(plan["final_fraction"] * plan["peak"], plan["peak"])


@example(plan=PLAN, beyond=0)
@example(plan=PLAN, beyond=50)
@given(plan=plans, beyond=st.integers(0, 10_000))
def test_after_the_last_step_the_rate_stays(solution, plan, beyond):
    rate = solution.learning_rate(plan["total_steps"] + beyond, **plan)
    assert rate == near(plan["final_fraction"] * plan["peak"], plan["peak"])


@example(plan=PLAN)
@given(plan=plans)
def test_between_peak_and_end_lies_half_a_cosine(solution, plan):
    start, end = plan["warmup_steps"] - 1, plan["total_steps"] - 1
    peak, final = plan["peak"], plan["peak"] * plan["final_fraction"]
    for step in range(start, end + 1):
        height = (1 + math.cos(math.pi * (step - start) / (end - start))) / 2
        expected = final + (peak - final) * height
        assert solution.learning_rate(step, **plan) == near(expected, peak)


@example(plan=PLAN)
@given(plan=plans)
def test_the_decay_is_torchs_cosine_annealing(solution, plan):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=plan["peak"])
    steps = plan["total_steps"] - plan["warmup_steps"]
    floor = plan["peak"] * plan["final_fraction"]
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, floor)
    for step in range(plan["warmup_steps"] - 1, plan["total_steps"]):
        rate = solution.learning_rate(step, **plan)
        assert rate == pytest.approx(torchs.get_last_lr()[0], rel=1e-9, abs=1e-12)
        optimizer.step()
        torchs.step()


@example(plan=PLAN)
@given(plan=plans)
def test_the_rate_rises_to_the_peak_and_never_rises_again(solution, plan):
    all_rates, slack = rates(solution, plan), ROUNDING * plan["peak"]
    top = plan["warmup_steps"] - 1
    rising, falling = all_rates[: top + 1], all_rates[top:]
    assert all(a < b for a, b in pairwise(rising))
    assert all(a + slack >= b for a, b in pairwise(falling))


@example(plan=PLAN)
@given(plan=plans)
def test_the_rate_grows_in_proportion_to_the_peak(solution, plan):
    doubled = {**plan, "peak": 2 * plan["peak"]}
    for one, two in zip(rates(solution, plan), rates(solution, doubled), strict=True):
        assert two == near(2 * one, plan["peak"])


def test_the_final_fraction_is_a_tenth_unless_told_otherwise(solution):
    assert solution.learning_rate(99, peak=3.0, warmup_steps=10, total_steps=100) == near(0.3)


def test_without_a_warm_up_the_first_step_is_at_the_peak_or_just_past_it(solution):
    plan = {"peak": 1.0, "warmup_steps": 0, "total_steps": 100}
    all_rates = rates(solution, plan)
    assert 0.999 < all_rates[0] <= 1.0
    assert all_rates == sorted(all_rates, reverse=True)
    assert all_rates[-1] == near(0.1)


def test_schedules_of_very_few_steps_stay_between_zero_and_the_peak(solution):
    for total in (1, 2, 3):
        for warmup in range(total + 1):
            plan = {"peak": 1.0, "warmup_steps": warmup, "total_steps": total}
            assert all(0 < rate <= 1.0 for rate in rates(solution, plan, total + 2)), plan


def test_numbers_that_make_no_schedule_are_refused_with_their_value(solution):
    good = {"peak": 1.0, "warmup_steps": 10, "total_steps": 100}
    bad = [("peak", math.nan), ("peak", -1.0), ("peak", math.inf), ("final_fraction", -0.5)]
    bad += [("final_fraction", math.nan), ("final_fraction", 1.5), ("warmup_steps", -1)]
    bad += [("warmup_steps", 101), ("total_steps", 0), ("total_steps", -5)]
    for name, value in bad:
        with pytest.raises(ValueError, match=f"{name}.*{value}"):
            solution.learning_rate(3, **{**good, name: value})
