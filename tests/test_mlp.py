"""MLP: every position through a hidden layer with GPT-2's activation."""

import math
from dataclasses import replace

import claims
import pytest
import torch
import torch_gpt2
from strategies import SMALL, for_every_case

from gpt2_small.checker.tolerances import assert_close

pytestmark = pytest.mark.component("MLP")


@for_every_case
def test_its_parameters_are_two_linear_maps(solution, case):
    d_model, d_mlp = case.d_model, case.d_mlp
    shapes = {"W_in": (d_model, d_mlp), "b_in": (d_mlp,)}
    shapes |= {"W_out": (d_mlp, d_model), "b_out": (d_model,)}
    claims.holds_exactly(case.build(solution, "MLP"), shapes)


def test_fresh_weights_are_noise_and_smaller_where_they_write_into_the_stream(solution):
    mlp = claims.fresh(solution, "MLP", 1, d_model=64, n_heads=4, n_layers=8)
    claims.is_fresh_noise(mlp.W_in, 0.02)
    claims.is_fresh_noise(mlp.W_out, 0.02 / math.sqrt(2 * 8))
    assert not mlp.b_in.any()
    assert not mlp.b_out.any()


@for_every_case
def test_every_position_is_transformed_by_itself(solution, case):
    claims.positions_do_not_touch(case.build(solution, "MLP"), case)


@for_every_case
def test_rows_of_a_batch_do_not_touch_each_other(solution, case):
    claims.rows_do_not_touch(case.build(solution, "MLP"), case.residual())


@for_every_case
def test_without_input_weights_every_position_gets_the_activated_bias(solution, case):
    mlp = case.build(solution, "MLP")
    torch.nn.init.zeros_(mlp.W_in)
    by_hand = torch.nn.functional.gelu(mlp.b_in, approximate="tanh") @ mlp.W_out + mlp.b_out
    output = mlp(case.residual())
    assert_close(output, by_hand.expand_as(output), "the output")


def test_its_activation_is_the_tanh_formula_number_by_number(solution):
    mlp = replace(SMALL, d_mlp=1).build(solution, "MLP")
    with torch.no_grad():
        for parameter in mlp.parameters():
            parameter.zero_()
        mlp.W_in[0], mlp.W_out[0, 0] = 1.0, 1.0
    numbers = [-30.0, -5.0, -2.3, -1.0, -3e-4, 0.0, 3e-4, 0.1, 0.7, 2.0, 4.0, 30.0]
    residual = torch.zeros(1, len(numbers), SMALL.d_model, dtype=torch.float64)
    residual[0, :, 0] = torch.tensor(numbers, dtype=torch.float64)
    by_hand = [
        0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) for x in numbers
    ]
    expected = torch.tensor(by_hand, dtype=torch.float64)
    assert_close(mlp(residual)[0, :, 0], expected, "the activation")


@for_every_case
def test_it_is_torchs_linear_gelu_linear(solution, case):
    claims.equals_torch(case.build(solution, "MLP"), case.residual(), torch_gpt2.mlp)


@for_every_case
def test_its_gradients_are_torchs(solution, case):
    claims.gradients_equal_torchs(case.build(solution, "MLP"), case.residual(), torch_gpt2.mlp)


@for_every_case
def test_the_input_is_left_alone(solution, case):
    claims.leaves_its_input_alone(case.build(solution, "MLP"), case.residual())


@for_every_case
def test_the_inputs_memory_layout_does_not_matter(solution, case):
    claims.reads_any_memory_layout(case.build(solution, "MLP"), case.residual())


def test_it_runs_in_bfloat16(solution):
    claims.runs_in(torch.bfloat16, SMALL.build(solution, "MLP"), SMALL.residual())


@for_every_case
def test_hook_pre_and_hook_post_stand_around_the_activation(solution, case):
    mlp, residual = case.build(solution, "MLP"), case.residual()
    pre, post = (claims.listen(mlp, tap) for tap in ("hook_pre", "hook_post"))
    mlp(residual)
    expected = residual @ mlp.W_in + mlp.b_in
    assert_close(pre[0], expected, "hook_pre")
    activated = torch.nn.functional.gelu(expected, approximate="tanh")
    assert_close(post[0], activated, "hook_post")


def dropped(solution, probability):
    """Outputs in training and in eval mode."""
    mlp = SMALL.build(solution, "MLP", dropout=probability)
    residual = SMALL.normal(20, 20, SMALL.d_model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return mlp.train()(residual), mlp.eval()(residual)


def test_dropout_zeroes_entries_of_the_output(solution):
    trained, _ = dropped(solution, 0.3)
    claims.happens_with(0.3, trained == 0)


def test_what_dropout_leaves_grows_by_what_it_takes(solution):
    trained, evaluated = dropped(solution, 0.3)
    expected = evaluated.where(trained != 0, 0) / (1 - 0.3)
    assert_close(trained, expected, "what survives dropout")


def test_eval_mode_knows_no_dropout(solution):
    mlp = SMALL.build(solution, "MLP", dropout=0.5)
    claims.equals_torch(mlp, SMALL.residual(), torch_gpt2.mlp)
