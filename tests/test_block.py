"""TransformerBlock: attention and MLP, each added to the stream it reads through its own norm."""

from dataclasses import replace

import claims
import pytest
import torch
import torch_gpt2
from strategies import SMALL, for_every_case, parameters
from torch_gpt2 import attention, inside, layer_norm, mlp

from gpt2_small.checker.tolerances import assert_close

pytestmark = pytest.mark.component("TransformerBlock")


def silence(part):
    """Make an attention or an MLP write zeros."""
    with torch.no_grad():
        for name, parameter in part.named_parameters():
            if name in ("W_O", "b_O", "W_out", "b_out"):
                parameter.zero_()


@for_every_case
def test_its_parts_are_two_norms_an_attention_and_an_mlp(solution, case):
    parts = {"ln1": "LayerNorm", "attn": "MultiHeadAttention", "ln2": "LayerNorm", "mlp": "MLP"}
    shapes = {
        f"{name}.{parameter}": tuple(value.shape)
        for name, part in parts.items()
        for parameter, value in case.build(solution, part).named_parameters()
    }
    claims.holds_exactly(case.build(solution, "TransformerBlock"), shapes)


@for_every_case
def test_with_both_parts_silent_the_stream_passes_unchanged(solution, case):
    block, residual = case.build(solution, "TransformerBlock"), case.residual()
    silence(block.attn)
    silence(block.mlp)
    assert torch.equal(block(residual), residual)


@for_every_case
def test_with_a_silent_mlp_attention_of_the_first_norm_is_added(solution, case):
    block, residual = case.build(solution, "TransformerBlock"), case.residual()
    silence(block.mlp)
    params = parameters(block)
    normalised = layer_norm(inside(params, "ln1"), residual)
    assert_close(
        block(residual), residual + attention(inside(params, "attn"), normalised), "output"
    )


@for_every_case
def test_with_a_silent_attention_the_mlp_of_the_second_norm_is_added(solution, case):
    block, residual = case.build(solution, "TransformerBlock"), case.residual()
    silence(block.attn)
    params = parameters(block)
    normalised = layer_norm(inside(params, "ln2"), residual)
    assert_close(block(residual), residual + mlp(inside(params, "mlp"), normalised), "output")


@for_every_case
def test_the_mlp_reads_what_attention_wrote(solution, case):
    block, residual = case.build(solution, "TransformerBlock"), case.residual()
    after_attention = block.attn.b_O.detach().clone()
    silence(block.attn)
    with torch.no_grad():
        block.attn.b_O.copy_(after_attention)
        shifted = block(residual)
        block.attn.b_O.zero_()
        by_hand = block(residual + after_attention)
    assert_close(shifted, by_hand, "the output after attention that adds a constant")


@for_every_case
def test_changing_a_later_position_leaves_every_earlier_output_untouched(solution, case):
    case = replace(case, dtype=torch.float64)
    block, changed = case.build(solution, "TransformerBlock"), 3 * case.residual(stream=9)
    claims.later_positions_do_not_matter(block, case.residual(), changed)


@for_every_case
def test_rows_of_a_batch_do_not_touch_each_other(solution, case):
    claims.rows_do_not_touch(case.build(solution, "TransformerBlock"), case.residual())


@for_every_case
def test_it_is_a_block_of_torchs_own_operations(solution, case):
    block = case.build(solution, "TransformerBlock")
    claims.equals_torch(block, case.residual(), torch_gpt2.block)


@for_every_case
def test_its_gradients_are_torchs(solution, case):
    block = replace(case, dtype=torch.float64).build(solution, "TransformerBlock")
    residual = replace(case, dtype=torch.float64).residual()
    claims.gradients_equal_torchs(block, residual, torch_gpt2.block)


@for_every_case
def test_the_input_is_left_alone(solution, case):
    claims.leaves_its_input_alone(case.build(solution, "TransformerBlock"), case.residual())


@for_every_case
def test_the_inputs_memory_layout_does_not_matter(solution, case):
    claims.reads_any_memory_layout(case.build(solution, "TransformerBlock"), case.residual())


def test_it_runs_in_bfloat16(solution):
    claims.runs_in(torch.bfloat16, SMALL.build(solution, "TransformerBlock"), SMALL.residual())


def test_eval_mode_knows_no_dropout(solution):
    block = SMALL.build(solution, "TransformerBlock", dropout=0.5)
    claims.equals_torch(block, SMALL.residual(), torch_gpt2.block)


def test_dropout_acts_on_what_is_added_and_never_on_the_stream(solution):
    block = SMALL.build(solution, "TransformerBlock", dropout=0.5).train()
    silence(block.attn)
    silence(block.mlp)
    assert torch.equal(block(SMALL.residual()), SMALL.residual())


@for_every_case
def test_the_taps_show_the_stream_and_what_is_added_to_it(solution, case):
    block, residual = case.build(solution, "TransformerBlock"), case.residual()
    taps = ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")
    heard = {tap: claims.listen(block, f"hook_{tap}") for tap in taps}
    output, params = block(residual), parameters(block)
    attn_out = attention(inside(params, "attn"), layer_norm(inside(params, "ln1"), residual))
    middle = residual + attn_out
    mlp_out = mlp(inside(params, "mlp"), layer_norm(inside(params, "ln2"), middle))
    for tap, expected in zip(taps, (residual, attn_out, middle, mlp_out, output), strict=True):
        assert_close(heard[tap][0], expected, f"hook_{tap}")
