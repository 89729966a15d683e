"""LayerNorm: every position centred and scaled by itself, then gain and bias."""

import math
from dataclasses import replace

import claims
import pytest
import torch
import torch_gpt2
from strategies import SMALL, for_every_case, parameters

from gpt2_small.checker.tolerances import assert_close

pytestmark = pytest.mark.component("LayerNorm")


@for_every_case
def test_its_parameters_are_a_gain_and_a_bias(solution, case):
    claims.holds_exactly(
        case.build(solution, "LayerNorm"), {"w": (case.d_model,), "b": (case.d_model,)}
    )


def test_a_fresh_gain_is_one_and_a_fresh_bias_zero(solution):
    norm = solution.LayerNorm(SMALL.config(solution))
    assert torch.equal(norm.w, torch.ones(SMALL.d_model))
    assert torch.equal(norm.b, torch.zeros(SMALL.d_model))


@for_every_case
def test_adding_a_number_to_every_feature_changes_nothing(solution, case):
    case = replace(case, dtype=torch.float64)
    norm, residual = case.build(solution, "LayerNorm"), case.residual()
    shift = 5 * case.scale * case.normal(case.batch, case.seq, 1, stream=9)
    assert_close(norm(residual + shift), norm(residual), "the output of the shifted input")


@for_every_case
def test_a_positive_factor_cancels_when_epsilon_grows_with_its_square(solution, case):
    case, factor = replace(case, dtype=torch.float64), 7.0
    norm = case.build(solution, "LayerNorm", layer_norm_eps=1e-5)
    scaled = case.build(solution, "LayerNorm", layer_norm_eps=1e-5 * factor**2)
    residual = case.residual()
    assert_close(scaled(factor * residual), norm(residual), "the output of the scaled input")


@for_every_case
def test_a_negative_factor_turns_the_normalised_output_around(solution, case):
    norm, residual = case.build(solution, "LayerNorm"), case.residual()
    centred = norm(residual) - norm.b
    assert_close(norm(-residual) - norm.b, -centred, "the output of the negated input")


@for_every_case
def test_every_position_is_normalised_by_itself(solution, case):
    claims.positions_do_not_touch(case.build(solution, "LayerNorm"), case)


@for_every_case
def test_rows_of_a_batch_do_not_touch_each_other(solution, case):
    claims.rows_do_not_touch(case.build(solution, "LayerNorm"), case.residual())


@for_every_case
def test_without_gain_and_bias_the_mean_is_zero_and_the_mean_square_one(solution, case):
    case = replace(case, scale=20.0, dtype=torch.float64)
    norm = solution.LayerNorm(case.config(solution, layer_norm_eps=1e-15)).double()
    output = norm(case.residual())
    positions = torch.zeros(case.batch, case.seq, dtype=torch.float64)
    assert_close(output.mean(-1), positions, "the mean over features")
    assert_close(output.square().mean(-1), positions + 1, "the mean square over features")


def test_features_a_step_apart_are_divided_by_the_root_of_variance_plus_epsilon(solution):
    for step, eps in ((1.0, 1e-5), (3e-4, 1e-5), (3e-4, 1e-2), (1e-6, 1e-12)):
        norm = SMALL.build(solution, "LayerNorm", layer_norm_eps=eps)
        sign = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(SMALL.d_model // 2)
        by_hand = sign * step / math.sqrt(step**2 + eps) * norm.w + norm.b
        output = norm((4.0 + step * sign).expand(1, 1, -1))
        assert_close(output, by_hand.expand(1, 1, -1), f"at a step of {step} and epsilon {eps}")


def test_a_constant_position_gives_the_bias_and_finite_gradients(solution):
    norm = SMALL.build(solution, "LayerNorm")
    constant = torch.full((2, 3, SMALL.d_model), 0.5, dtype=torch.float64, requires_grad=True)
    output = norm(constant)
    assert_close(output, norm.b.expand_as(output), "the output of a constant position")
    output.square().sum().backward()
    assert all(t.grad.isfinite().all() for t in (constant, norm.w, norm.b))


@for_every_case
def test_it_is_torchs_layer_norm(solution, case):
    for eps in (1e-5, 0.1):
        norm = case.build(solution, "LayerNorm", layer_norm_eps=eps)
        expected = torch_gpt2.layer_norm(parameters(norm), case.residual(), eps)
        assert_close(norm(case.residual()), expected, f"the output with epsilon {eps}")


@for_every_case
def test_its_gradients_are_torchs(solution, case):
    norm = case.build(solution, "LayerNorm")
    claims.gradients_equal_torchs(norm, case.residual(), torch_gpt2.layer_norm)


@for_every_case
def test_the_input_is_left_alone(solution, case):
    claims.leaves_its_input_alone(case.build(solution, "LayerNorm"), case.residual())


@for_every_case
def test_the_inputs_memory_layout_does_not_matter(solution, case):
    claims.reads_any_memory_layout(case.build(solution, "LayerNorm"), case.residual())


def test_it_runs_in_bfloat16(solution):
    claims.runs_in(torch.bfloat16, SMALL.build(solution, "LayerNorm"), SMALL.residual())


@for_every_case
def test_hook_scale_is_the_divisor(solution, case):
    norm, residual = case.build(solution, "LayerNorm"), case.residual()
    heard = claims.listen(norm, "hook_scale")
    norm(residual)
    expected = (residual.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
    assert_close(heard[0], expected, "hook_scale")


@for_every_case
def test_hook_normalized_stands_before_gain_and_bias(solution, case):
    norm, residual = case.build(solution, "LayerNorm"), case.residual()
    heard = claims.listen(norm, "hook_normalized")
    norm(residual)
    expected = torch.nn.functional.layer_norm(residual, residual.shape[-1:])
    assert_close(heard[0], expected, "hook_normalized")
