"""Test lesson 03's claims against its stored and new measurements."""

from typing import Any

import torch
from lesson_values import Values, values_fixture
from measure_lessons import LESSONS, experiment

import gpt2_small
from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.exercise_sets import find_lesson

values = values_fixture("03_gpt")
stages = experiment("03_gpt")
small_models = gpt2_small.load(LESSONS / "small_models.py")
# The best bigram table, with one added to every count: lesson 01.
BIGRAM = 2.4819


def interval(values: Values, name: str) -> Any:
    return small_models.interval(values[name])


def test_every_stage_is_measured(values: Values) -> None:
    assert tuple(values) == (*stages.NAMES, *stages.LONGER)


def test_without_residual_sums_one_head_is_no_better_than_bigram_counts(values: Values) -> None:
    found = interval(values, "one head")
    assert found.mean + found.half > BIGRAM


def test_without_residual_sums_four_heads_and_the_mlp_show_no_clear_effect(
    values: Values,
) -> None:
    heads, mlp = interval(values, "four heads"), interval(values, "four heads, MLP")
    assert not mlp.is_below(heads)
    assert not heads.is_below(mlp)


def test_residual_sums_lower_the_loss_by_a_lot(values: Values) -> None:
    found = interval(values, "... with sums")
    assert found.is_below(interval(values, "four heads, MLP"))
    assert found.mean + found.half < BIGRAM


def test_norms_lower_the_loss_by_a_lot(values: Values) -> None:
    assert interval(values, stages.ONE_BLOCK).is_below(interval(values, "... with sums"))


def test_four_blocks_learn_more_slowly_than_one(values: Values) -> None:
    one, four = values[stages.ONE_BLOCK], values[stages.FOUR_BLOCKS]
    behind = small_models.interval([b - a for a, b in zip(one, four, strict=True)])
    assert behind.mean - behind.half > 0
    assert interval(values, stages.ONE_BLOCK).is_below(interval(values, stages.FOUR_BLOCKS))


def test_after_all_stages_the_loss_is_well_below_nanogpts(values: Values) -> None:
    for name in stages.LONGER:
        found = interval(values, name)
        assert found.mean + found.half < 1.88


def test_the_lessons_function_equals_the_last_stages_transformer() -> None:
    torch.manual_seed(0)
    model = stages.gpt2_of(65).double().eval()
    tokens = torch.randint(65, (2, 64))
    logits = reference(find_lesson("gpt")).gpt(tokens, dict(model.state_dict()), 4)
    assert torch.allclose(logits, model(tokens), rtol=0, atol=1e-12)


def test_the_stage_of_one_block_is_the_transformer_of_one_layer() -> None:
    torch.manual_seed(0)
    one_block = stages.StageModel(reference(find_lesson("gpt")), stages.STAGES["... and norms"], 65)
    tokens = torch.randint(65, (2, 64))
    assert torch.allclose(one_block(tokens), one_block.weights(tokens), rtol=0, atol=1e-5)
