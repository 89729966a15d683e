"""Test next_token_loss: the mean cross-entropy of every token given the previous ones."""

from dataclasses import replace

import pytest
import torch.nn.functional as F
from assert_close import assert_close
from claims_as_tests import claims_about
from strategies import for_every_case

test_it_keeps_the_claim = claims_about("next_token_loss")


@pytest.mark.component("next_token_loss")
@for_every_case
def test_in_every_small_shape_loss_and_gradient_equal_torchs_cross_entropy(solution, case):
    case = case.fit_for(solution)
    logits = 3 * case.normal(case.batch, case.seq, case.d_vocab)
    tokens = replace(case, seq=case.seq + 1).tokens()
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = solution.next_token_loss(ours, tokens)
    expected = F.cross_entropy(theirs.flatten(0, 1), tokens[:, 1:].flatten())
    assert_close(loss, expected, "the loss")
    loss.backward()
    expected.backward()
    assert_close(ours.grad, theirs.grad, "the gradient")
