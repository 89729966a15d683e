"""MultiHeadAttention: every position gathers from itself and the positions before it."""

import math
from dataclasses import replace

import claims
import pytest
import torch
import torch_gpt2
from strategies import SMALL, for_every_case

from gpt2_small.checker.tolerances import assert_close

pytestmark = pytest.mark.component("MultiHeadAttention")


def patterns(attention, case):
    """What passes hook_pattern."""
    heard = claims.listen(attention, "hook_pattern")
    attention(case.residual())
    return heard[0]


def projected(attention, case, which):
    """Queries, keys or values by torch, as taps show them: [batch seq head d_head]."""
    weight, bias = (getattr(attention, f"{kind}_{which}") for kind in ("W", "b"))
    return torch_gpt2.project(case.residual(), weight, bias).transpose(1, 2)


@for_every_case
def test_its_parameters_are_those_of_every_head_and_one_output_bias(solution, case):
    heads, d_model, d_head = case.n_heads, case.d_model, case.d_head
    shapes = {f"W_{x}": (heads, d_model, d_head) for x in "QKV"}
    shapes |= {f"b_{x}": (heads, d_head) for x in "QKV"}
    shapes |= {"W_O": (heads, d_head, d_model), "b_O": (d_model,)}
    claims.holds_exactly(case.build(solution, "MultiHeadAttention"), shapes)


def test_fresh_weights_are_noise_and_smaller_where_they_write_into_the_stream(solution):
    shape = {"d_model": 64, "n_heads": 4, "n_layers": 8}
    attention = claims.fresh(solution, "MultiHeadAttention", 1, **shape)
    for name in ("W_Q", "W_K", "W_V"):
        claims.is_fresh_noise(getattr(attention, name), 0.02)
    claims.is_fresh_noise(attention.W_O, 0.02 / math.sqrt(2 * 8))
    assert not any(getattr(attention, f"b_{x}").any() for x in "QKVO")


@for_every_case
def test_changing_a_later_position_leaves_every_earlier_output_untouched(solution, case):
    case = replace(case, dtype=torch.float64)
    attention = case.build(solution, "MultiHeadAttention")
    changed = 3 * case.residual(stream=9)
    claims.later_positions_do_not_matter(attention, case.residual(), changed)


@for_every_case
def test_no_gradient_of_an_output_reaches_a_later_position(solution, case):
    residual = case.residual().requires_grad_()
    output = case.build(solution, "MultiHeadAttention")(residual)
    claims.no_gradient_reaches_a_later_position(output, residual)


@for_every_case
def test_rows_of_a_batch_do_not_touch_each_other(solution, case):
    claims.rows_do_not_touch(case.build(solution, "MultiHeadAttention"), case.residual())


@for_every_case
def test_the_first_position_sees_only_its_own_value(solution, case):
    attention = case.build(solution, "MultiHeadAttention")
    first = projected(attention, case, "V")[:, :1]
    by_hand = torch.einsum("bphe,hem->bpm", first, attention.W_O) + attention.b_O
    assert_close(attention(case.residual())[:, :1], by_hand, "the output at the first position")


@for_every_case
def test_with_equal_keys_every_position_takes_the_mean_of_the_values_so_far(solution, case):
    attention = case.build(solution, "MultiHeadAttention")
    torch.nn.init.zeros_(attention.W_K)
    values = projected(attention, case, "V")
    counts = torch.arange(1, case.seq + 1, dtype=case.dtype).view(-1, 1, 1)
    by_hand = torch.einsum("bphe,hem->bpm", values.cumsum(1) / counts, attention.W_O)
    assert_close(attention(case.residual()), by_hand + attention.b_O, "the output")


@for_every_case
def test_the_order_of_the_heads_does_not_matter(solution, case):
    attention = case.build(solution, "MultiHeadAttention")
    before = attention(case.residual())
    order = torch.randperm(case.n_heads, generator=case.generator())
    with torch.no_grad():
        for name, parameter in attention.named_parameters():
            if name != "b_O":
                parameter.copy_(parameter[order].clone())
    assert_close(attention(case.residual()), before, "the output of the reordered heads")


@for_every_case
def test_scores_far_apart_give_the_value_of_the_best_key(solution, case):
    attention = case.build(solution, "MultiHeadAttention")
    with torch.no_grad():
        attention.W_Q.mul_(1e6)
        attention.b_Q.mul_(1e6)
    claims.equals_torch(attention, case.residual(), torch_gpt2.attention)


@for_every_case
def test_it_is_torchs_scaled_dot_product_attention(solution, case):
    attention = case.build(solution, "MultiHeadAttention")
    claims.equals_torch(attention, case.residual(), torch_gpt2.attention)


@for_every_case
def test_its_gradients_are_torchs(solution, case):
    case = case.with_soft_patterns()
    attention = case.build(solution, "MultiHeadAttention")
    claims.gradients_equal_torchs(attention, case.residual(), torch_gpt2.attention)


@for_every_case
def test_the_input_is_left_alone(solution, case):
    claims.leaves_its_input_alone(case.build(solution, "MultiHeadAttention"), case.residual())


@for_every_case
def test_the_inputs_memory_layout_does_not_matter(solution, case):
    claims.reads_any_memory_layout(case.build(solution, "MultiHeadAttention"), case.residual())


def test_one_module_takes_sequences_of_any_length(solution):
    attention = SMALL.build(solution, "MultiHeadAttention")
    for seq in (11, 1, 12, 5):
        case = replace(SMALL, seq=seq)
        claims.equals_torch(attention, case.residual(), torch_gpt2.attention)


def test_it_runs_in_bfloat16(solution):
    claims.runs_in(torch.bfloat16, SMALL.build(solution, "MultiHeadAttention"), SMALL.residual())


@for_every_case
def test_every_row_of_the_pattern_sums_to_one(solution, case):
    pattern = patterns(case.build(solution, "MultiHeadAttention"), case)
    ones = torch.ones(case.batch, case.n_heads, case.seq, dtype=case.dtype)
    assert_close(pattern.sum(-1), ones, "the sum of a pattern's row")
    assert (pattern >= 0).all()


@for_every_case
def test_the_pattern_is_zero_above_the_diagonal(solution, case):
    pattern = patterns(case.build(solution, "MultiHeadAttention"), case)
    assert not pattern.triu(diagonal=1).any()


@for_every_case
def test_queries_keys_and_values_carry_their_biases(solution, case):
    attention = case.build(solution, "MultiHeadAttention")
    for which in "QKV":
        heard = claims.listen(attention, f"hook_{which.lower()}")
        attention(case.residual())
        assert_close(heard[0], projected(attention, case, which), f"hook_{which.lower()}")


@for_every_case
def test_scores_are_dot_products_over_the_root_of_the_head_width(solution, case):
    attention = case.build(solution, "MultiHeadAttention")
    heard = claims.listen(attention, "hook_attn_scores")
    attention(case.residual())
    query, key = (projected(attention, case, which).transpose(1, 2) for which in "QK")
    expected = query @ key.mT / math.sqrt(case.d_head)
    seen = torch.ones_like(expected, dtype=torch.bool).tril()
    assert_close(heard[0].where(seen, 0), expected.where(seen, 0), "hook_attn_scores")


@for_every_case
def test_hook_z_is_the_pattern_weighted_sum_of_the_values(solution, case):
    attention = case.build(solution, "MultiHeadAttention")
    pattern, z = (claims.listen(attention, f"hook_{tap}") for tap in ("pattern", "z"))
    attention(case.residual())
    values = projected(attention, case, "V").transpose(1, 2)
    assert_close(z[0], (pattern[0] @ values).transpose(1, 2), "hook_z")


def dropped_first_positions(solution, probability):
    """The output at the first position, many times over, in training and in eval mode."""
    attention = SMALL.build(solution, "MultiHeadAttention", n_heads=1, dropout=probability)
    residual = SMALL.residual()[:1, :1].expand(5000, 1, -1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        torch.nn.init.zeros_(attention.b_O)
        return attention.train()(residual)[:, 0].detach(), attention.eval()(residual)[:, 0].detach()


def test_dropout_zeroes_entries_of_the_pattern(solution):
    trained, _ = dropped_first_positions(solution, 0.3)
    claims.happens_with(0.3, (trained == 0).all(-1))


def test_dropout_zeroes_entries_of_the_output(solution):
    trained, _ = dropped_first_positions(solution, 0.3)
    claims.happens_with(0.3, trained[~(trained == 0).all(-1)] == 0)


def test_what_dropout_leaves_grows_by_what_it_takes(solution):
    trained, evaluated = dropped_first_positions(solution, 0.3)
    survivors = trained != 0
    expected = evaluated / (1 - 0.3) ** 2
    assert_close(trained[survivors], expected[survivors], "what survives both dropouts")


def test_hook_pattern_shows_the_pattern_before_dropout(solution):
    attention = SMALL.build(solution, "MultiHeadAttention", dropout=0.5).train()
    assert_close(patterns(attention, SMALL), patterns(attention.eval(), SMALL), "the pattern")


def test_eval_mode_knows_no_dropout(solution):
    attention = SMALL.build(solution, "MultiHeadAttention", dropout=0.5)
    claims.equals_torch(attention, SMALL.residual(), torch_gpt2.attention)


def test_training_without_dropout_is_like_evaluating(solution):
    attention = SMALL.build(solution, "MultiHeadAttention").train()
    claims.equals_torch(attention, SMALL.residual(), torch_gpt2.attention)
