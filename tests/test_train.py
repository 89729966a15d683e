"""Test train: a training step and a record for every list of micro-batches."""

import itertools

import pytest
import torch
from bigram import torchs_step, twins, weights, windows
from claims_as_tests import claims_about
from hypothesis import given
from hypothesis import strategies as st

test_it_keeps_the_claim = claims_about("train")


@pytest.mark.component("train")
@given(rates=st.lists(st.floats(0.0, 0.5), min_size=1, max_size=4), seed=st.integers(0, 9999))
def test_at_any_learning_rates_every_step_equals_torchs(solution, rates, seed):
    ours, our_optimizer, theirs, their_optimizer = twins()
    steps = [windows(seed + number, (2, 5), (number + 1, 4)) for number in range(len(rates))]

    def schedule(step):  # which may be asked one step ahead
        return rates[min(step, len(rates) - 1)]

    records = list(solution.train(ours, steps, our_optimizer, schedule=schedule))
    for record, rate, batches in zip(records, rates, steps, strict=True):
        their_optimizer.param_groups[0]["lr"] = rate
        loss, norm = torchs_step(theirs, batches, their_optimizer)
        assert record.loss == pytest.approx(loss, rel=1e-5)
        assert record.grad_norm == pytest.approx(norm, rel=1e-5)
    targets = [sum(batch[:, 1:].numel() for batch in batches) for batches in steps]
    assert [record.tokens for record in records] == list(itertools.accumulate(targets))
    assert torch.allclose(weights(ours), weights(theirs), rtol=1e-5, atol=1e-5)
