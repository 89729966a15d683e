"""Test train_step: one update on the mean loss over all targets of the micro-batches."""

import pytest
import torch
from bigram import torchs_step, twins, weights, windows
from claims_as_tests import claims_about
from hypothesis import example, given
from hypothesis import strategies as st

test_it_keeps_the_claim = claims_about("train_step")

ROUNDING = 1e-5  # clip_grad_norm_ divides by the norm plus 1e-6, the step by hand by the norm

shapes = st.lists(st.tuples(st.integers(1, 4), st.integers(2, 6)), min_size=1, max_size=4)


@pytest.mark.component("train_step")
@example(shapes=[(2, 6), (1, 4), (3, 2)], seed=0, clip=1.0)
@given(shapes=shapes, seed=st.integers(0, 9999), clip=st.sampled_from([0.01, 1.0, 100.0]))
def test_with_any_micro_batches_a_step_equals_torchs_on_the_mean_over_all_targets(
    solution, shapes, seed, clip
):
    ours, our_optimizer, theirs, their_optimizer = twins()
    for number in range(2):
        batches = windows(seed + number, *shapes)
        result = solution.train_step(ours, batches, our_optimizer, max_grad_norm=clip)
        loss, norm = torchs_step(theirs, batches, their_optimizer, clip)
        assert result.loss == pytest.approx(loss, rel=ROUNDING)
        assert result.grad_norm == pytest.approx(norm, rel=ROUNDING)
        assert torch.allclose(weights(ours), weights(theirs), rtol=ROUNDING, atol=ROUNDING)
