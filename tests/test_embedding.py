"""Embedding: the learned vector of every token."""

import claims
import pytest
import torch
import torch.nn.functional as F
from strategies import SMALL, for_every_case

pytestmark = pytest.mark.component("Embedding")


def look_up(params, tokens):
    return F.embedding(tokens, params["W_E"])


@for_every_case
def test_its_parameter_is_one_row_a_token(solution, case):
    claims.holds_exactly(case.build(solution, "Embedding"), {"W_E": (case.d_vocab, case.d_model)})


def test_fresh_vectors_are_noise_of_the_configured_size(solution):
    embed = claims.fresh(solution, "Embedding", 1, d_model=64, n_heads=4, d_vocab=500)
    claims.is_fresh_noise(embed.W_E, 0.02)
    embed = claims.fresh(solution, "Embedding", 2, d_model=64, n_heads=4, d_vocab=500, init_std=0.3)
    claims.is_fresh_noise(embed.W_E, 0.3)


@for_every_case
def test_every_token_gets_its_own_row_unchanged(solution, case):
    embed, tokens = case.build(solution, "Embedding"), case.tokens()
    output = embed(tokens)
    assert output.shape == (case.batch, case.seq, case.d_model)
    for row in range(case.batch):
        for position in range(case.seq):
            assert torch.equal(output[row, position], embed.W_E[tokens[row, position]])


def test_the_first_and_the_last_token_are_like_any_other(solution):
    embed = SMALL.build(solution, "Embedding")
    output = embed(torch.tensor([[0, SMALL.d_vocab - 1]]))
    assert torch.equal(output[0], embed.W_E[[0, -1]])


@for_every_case
def test_it_is_torchs_embedding(solution, case):
    claims.equals_torch(case.build(solution, "Embedding"), case.tokens(), look_up)


@for_every_case
def test_a_row_learns_from_every_place_its_token_stands(solution, case):
    claims.gradients_equal_torchs(case.build(solution, "Embedding"), case.tokens(), look_up)


def test_the_row_of_token_zero_learns_too(solution):
    embed = SMALL.build(solution, "Embedding")
    embed(torch.zeros(2, 3, dtype=torch.long)).sum().backward()
    assert torch.equal(embed.W_E.grad[0], torch.full((SMALL.d_model,), 6.0).double())


@for_every_case
def test_rows_of_a_batch_do_not_touch_each_other(solution, case):
    claims.rows_do_not_touch(case.build(solution, "Embedding"), case.tokens())


@for_every_case
def test_the_tokens_are_left_alone(solution, case):
    claims.leaves_its_input_alone(case.build(solution, "Embedding"), case.tokens())


@for_every_case
def test_the_tokens_memory_layout_does_not_matter(solution, case):
    claims.reads_any_memory_layout(case.build(solution, "Embedding"), case.tokens())


def test_it_runs_in_bfloat16(solution):
    claims.runs_in(torch.bfloat16, SMALL.build(solution, "Embedding"), SMALL.tokens())
