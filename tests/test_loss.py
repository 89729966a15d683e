"""next_token_loss: the mean cross-entropy of every token given the ones before it."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from strategies import SMALL, for_every_case

from gpt2_small.checker.tolerances import assert_close

pytestmark = pytest.mark.component("next_token_loss")


def logits_and_tokens(case):
    """Logits [batch seq d_vocab] and tokens that are one longer."""
    case = replace(case, seq=case.seq + 1)
    logits = 3 * case.normal(case.batch, case.seq - 1, case.d_vocab)
    return logits, case.tokens()


def torchs(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def perfect(tokens, certainty):
    """Logits at every position that bet everything on a token."""
    return certainty * F.one_hot(tokens, SMALL.d_vocab).double()


@for_every_case
def test_it_is_one_number_in_the_dtype_of_the_logits(solution, case):
    loss = solution.next_token_loss(*logits_and_tokens(case))
    assert loss.shape == ()
    assert loss.dtype == case.dtype


@for_every_case
def test_equal_logits_cost_the_logarithm_of_the_vocabulary(solution, case):
    logits, tokens = logits_and_tokens(case)
    loss = solution.next_token_loss(torch.full_like(logits, 2.5), tokens)
    assert_close(loss, torch.tensor(math.log(case.d_vocab), dtype=case.dtype), "the loss")


def test_certainty_of_the_next_token_costs_nothing(solution):
    tokens = SMALL.tokens()
    logits = perfect(tokens[:, 1:], 1000.0)
    assert solution.next_token_loss(logits, tokens).item() == 0.0


def test_certainty_of_the_token_just_read_or_the_one_before_costs_everything(solution):
    tokens = torch.arange(1, 13).expand(2, -1) + torch.tensor([[0], [12]])
    just_read, one_before = perfect(tokens[:, :-1], 50.0), perfect(tokens[:, :-1] - 1, 50.0)
    for logits in (just_read, one_before):
        assert solution.next_token_loss(logits, tokens).item() == pytest.approx(50.0)


def test_certainty_of_a_wrong_token_costs_the_difference_of_the_logits_exactly(solution):
    tokens = torch.tensor([[0, 1]])
    logits = torch.tensor([[[20000.0, 0.0, 0.0]]])
    assert solution.next_token_loss(logits, tokens).item() == 20000.0


@for_every_case
def test_it_is_the_mean_over_all_targets_of_torchs_cross_entropy(solution, case):
    logits, tokens = logits_and_tokens(case)
    loss = solution.next_token_loss(logits, tokens)
    assert_close(loss, torchs(logits, tokens[:, 1:]), "the loss")


@for_every_case
def test_its_gradient_is_torchs(solution, case):
    logits, tokens = logits_and_tokens(case)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    solution.next_token_loss(ours, tokens).backward()
    torchs(theirs, tokens[:, 1:]).backward()
    assert_close(ours.grad, theirs.grad, "the gradient")


@for_every_case
def test_with_as_many_tokens_as_logits_the_last_logits_have_no_target(solution, case):
    logits, tokens = logits_and_tokens(replace(case, seq=case.seq + 1))
    logits.requires_grad_()
    loss = solution.next_token_loss(logits, tokens[:, :-1])
    assert_close(loss, torchs(logits[:, :-1], tokens[:, 1:-1]), "the loss")
    loss.backward()
    assert not logits.grad[:, -1].any()


def test_a_token_is_scored_by_the_logits_one_position_before_it(solution):
    logits, tokens = logits_and_tokens(SMALL)
    for position in range(SMALL.seq):
        raised = logits.clone()
        raised[0, position, tokens[0, position + 1]] += 1.0
        assert solution.next_token_loss(raised, tokens) < solution.next_token_loss(logits, tokens)


def test_by_hand_on_two_rows_of_two_targets(solution):
    tokens = torch.tensor([[0, 1, 2], [2, 0, 1]])
    probabilities = [[[0.1, 0.7, 0.2], [0.3, 0.2, 0.5]], [[0.25, 0.5, 0.25], [0.8, 0.1, 0.1]]]
    logits = torch.tensor(probabilities, dtype=torch.float64).log()
    by_hand = -(math.log(0.7) + math.log(0.5) + math.log(0.25) + math.log(0.1)) / 4
    assert solution.next_token_loss(logits, tokens).item() == pytest.approx(by_hand, rel=1e-12)


@for_every_case
def test_the_loss_of_a_batch_is_the_mean_of_the_losses_of_its_rows(solution, case):
    logits, tokens = logits_and_tokens(case)
    rows = [
        solution.next_token_loss(logits[i : i + 1], tokens[i : i + 1]) for i in range(len(tokens))
    ]
    assert_close(solution.next_token_loss(logits, tokens), torch.stack(rows).mean(), "the loss")


@for_every_case
def test_adding_a_number_to_all_logits_of_a_position_changes_nothing(solution, case):
    logits, tokens = logits_and_tokens(replace(case, dtype=torch.float64))
    shift = 100 * replace(case, dtype=torch.float64).normal(case.batch, case.seq, 1, stream=9)
    shifted = solution.next_token_loss(logits + shift, tokens)
    assert_close(shifted, solution.next_token_loss(logits, tokens), "the loss of shifted logits")


def test_token_zero_counts_like_any_other(solution):
    tokens = torch.zeros(2, 4, dtype=torch.long)
    logits = SMALL.normal(2, 3, SMALL.d_vocab)
    expected = -logits.log_softmax(-1)[..., 0].mean()
    assert_close(solution.next_token_loss(logits, tokens), expected, "the loss")


def test_logits_and_tokens_may_lie_anyhow_in_memory_and_are_left_alone(solution):
    logits, tokens = logits_and_tokens(SMALL)
    scattered = logits.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    before, tokens_before = scattered.clone(), tokens.clone()
    loss = solution.next_token_loss(scattered, tokens.T.contiguous().T)
    assert_close(loss, torchs(logits, tokens[:, 1:]), "the loss")
    assert torch.equal(scattered, before)
    assert torch.equal(tokens, tokens_before)


def test_other_lengths_are_refused_with_both_numbers(solution):
    for seq, seq_tokens in ((5, 7), (5, 4), (5, 3)):
        logits, tokens = torch.zeros(2, seq, 29), torch.zeros(2, seq_tokens, dtype=torch.long)
        with pytest.raises(ValueError, match=f"{seq}.*{seq_tokens}|{seq_tokens}.*{seq}"):
            solution.next_token_loss(logits, tokens)


def test_a_single_token_has_nothing_to_be_scored(solution):
    for seq in (0, 1):
        logits, tokens = torch.zeros(2, seq, 29), torch.zeros(2, 1, dtype=torch.long)
        with pytest.raises(ValueError, match="1"):
            solution.next_token_loss(logits, tokens)


def test_no_row_has_nothing_to_be_scored(solution):
    logits, tokens = torch.zeros(0, 4, 29), torch.zeros(0, 5, dtype=torch.long)
    with pytest.raises(ValueError, match="0 rows of 5 tokens"):
        solution.next_token_loss(logits, tokens)
