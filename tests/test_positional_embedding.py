"""PositionalEmbedding: the learned vector of every position."""

from dataclasses import replace

import claims
import pytest
import torch
import torch.nn.functional as F
from strategies import SMALL, for_every_case

pytestmark = pytest.mark.component("PositionalEmbedding")


def look_up(params, tokens):
    positions = torch.arange(tokens.shape[1]).expand_as(tokens)
    return F.embedding(positions, params["W_pos"])


@for_every_case
def test_its_parameter_is_one_row_a_position(solution, case):
    pos_embed = case.build(solution, "PositionalEmbedding")
    claims.holds_exactly(pos_embed, {"W_pos": (case.n_ctx, case.d_model)})


def test_fresh_vectors_are_noise_of_the_configured_size(solution):
    shape = {"d_model": 64, "n_heads": 4, "n_ctx": 300}
    claims.is_fresh_noise(claims.fresh(solution, "PositionalEmbedding", 1, **shape).W_pos, 0.02)
    pos_embed = claims.fresh(solution, "PositionalEmbedding", 2, **shape, init_std=0.3)
    claims.is_fresh_noise(pos_embed.W_pos, 0.3)


@for_every_case
def test_every_position_of_every_row_gets_its_own_vector_from_zero_on(solution, case):
    pos_embed = case.build(solution, "PositionalEmbedding")
    output = pos_embed(case.tokens())
    assert output.shape == (case.batch, case.seq, case.d_model)
    for row in range(case.batch):
        assert torch.equal(output[row], pos_embed.W_pos[: case.seq])


@for_every_case
def test_which_tokens_stand_there_does_not_matter(solution, case):
    pos_embed = case.build(solution, "PositionalEmbedding")
    assert torch.equal(pos_embed(case.tokens()), pos_embed(case.tokens(stream=8)))


def test_there_are_n_ctx_positions_and_no_more(solution):
    pos_embed = SMALL.build(solution, "PositionalEmbedding")
    full = pos_embed(replace(SMALL, seq=SMALL.n_ctx).tokens())
    assert torch.equal(full[1], pos_embed.W_pos)
    with pytest.raises(ValueError, match=r"13.*12|12.*13"):
        pos_embed(replace(SMALL, seq=SMALL.n_ctx + 1).tokens())


@for_every_case
def test_it_is_torchs_embedding_of_the_positions(solution, case):
    claims.equals_torch(case.build(solution, "PositionalEmbedding"), case.tokens(), look_up)


@for_every_case
def test_a_position_learns_from_every_row_and_an_unused_one_not_at_all(solution, case):
    pos_embed = case.build(solution, "PositionalEmbedding")
    claims.gradients_equal_torchs(pos_embed, case.tokens(), look_up)


@for_every_case
def test_the_tokens_are_left_alone(solution, case):
    claims.leaves_its_input_alone(case.build(solution, "PositionalEmbedding"), case.tokens())


def test_it_runs_in_bfloat16(solution):
    claims.runs_in(torch.bfloat16, SMALL.build(solution, "PositionalEmbedding"), SMALL.tokens())
