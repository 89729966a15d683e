"""Test learning_rate: a linear warm-up, then half a cosine."""

import math

import pytest
from claims_as_tests import claims_about
from hypothesis import example, given
from hypothesis import strategies as st

test_it_keeps_the_claim = claims_about("learning_rate")

ROUNDING = 1e-6  # relative to the peak: learners may compute in float32

plans = st.fixed_dictionaries(
    {
        "peak": st.floats(1e-6, 10.0),
        "warmup_steps": st.integers(1, 30),
        "total_steps": st.integers(40, 200),
        "final_fraction": st.floats(0.0, 1.0),
    }
)


@pytest.mark.component("learning_rate")
@example(plan={"peak": 3.0, "warmup_steps": 10, "total_steps": 100, "final_fraction": 0.2})
@given(plan=plans)
def test_for_any_arguments_the_rate_rises_linearly_and_falls_along_half_a_cosine(solution, plan):
    start, end, peak = plan["warmup_steps"] - 1, plan["total_steps"] - 1, plan["peak"]
    final = peak * plan["final_fraction"]
    for step in [*range(end + 3), 10 * end]:
        height = (1 + math.cos(math.pi * min(1, (step - start) / (end - start)))) / 2
        falling = final + (peak - final) * height
        expected = peak * (step + 1) / (start + 1) if step <= start else falling
        rate = solution.learning_rate(step, **plan)
        assert rate == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING * peak), step
