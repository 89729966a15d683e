"""Unembedding: every position's vector turned into one logit a token."""

import claims
import pytest
import torch
import torch_gpt2
from strategies import SMALL, for_every_case

from gpt2_small.checker.tolerances import assert_close

pytestmark = pytest.mark.component("Unembedding")


@for_every_case
def test_its_parameters_are_one_linear_map(solution, case):
    shapes = {"W_U": (case.d_model, case.d_vocab), "b_U": (case.d_vocab,)}
    claims.holds_exactly(case.build(solution, "Unembedding"), shapes)


def test_fresh_weights_are_noise_and_the_bias_is_zero(solution):
    unembed = claims.fresh(solution, "Unembedding", 1, d_model=64, n_heads=4, d_vocab=500)
    claims.is_fresh_noise(unembed.W_U, 0.02)
    assert not unembed.b_U.any()


@for_every_case
def test_a_zero_vector_gives_the_bias(solution, case):
    unembed = case.build(solution, "Unembedding")
    output = unembed(torch.zeros_like(case.residual()))
    assert_close(output, unembed.b_U.expand_as(output), "the logits")


@for_every_case
def test_the_map_is_linear(solution, case):
    unembed, one, two = case.build(solution, "Unembedding"), case.residual(), case.residual(9)
    mixed = unembed(3 * one - 2 * two)
    assert_close(mixed, 3 * unembed(one) - 2 * unembed(two), "the logits of a combination")


@for_every_case
def test_every_position_is_scored_by_itself(solution, case):
    claims.positions_do_not_touch(case.build(solution, "Unembedding"), case)


@for_every_case
def test_rows_of_a_batch_do_not_touch_each_other(solution, case):
    claims.rows_do_not_touch(case.build(solution, "Unembedding"), case.residual())


@for_every_case
def test_it_is_torchs_linear(solution, case):
    unembed = case.build(solution, "Unembedding")
    claims.equals_torch(unembed, case.residual(), torch_gpt2.unembedding)


@for_every_case
def test_its_gradients_are_torchs(solution, case):
    unembed = case.build(solution, "Unembedding")
    claims.gradients_equal_torchs(unembed, case.residual(), torch_gpt2.unembedding)


@for_every_case
def test_the_input_is_left_alone(solution, case):
    claims.leaves_its_input_alone(case.build(solution, "Unembedding"), case.residual())


@for_every_case
def test_the_inputs_memory_layout_does_not_matter(solution, case):
    claims.reads_any_memory_layout(case.build(solution, "Unembedding"), case.residual())


def test_it_runs_in_bfloat16(solution):
    claims.runs_in(torch.bfloat16, SMALL.build(solution, "Unembedding"), SMALL.residual())
