"""Test lesson 02's claims against its stored and new measurements."""

import math

import pytest
import torch
from lesson_values import Values, values_fixture
from measure_lessons import experiment

values = values_fixture("02_attention")
attention = experiment("02_attention")
small_models = attention.small_models


@pytest.mark.parametrize("d_head", [4, 16, 64])
@pytest.mark.parametrize("seed", range(3))
def test_the_scale_keeps_the_variance_of_scores_at_one(d_head: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    query, key = (torch.randn(4000, 16, d_head, generator=generator) for _ in range(2))
    scores = (query[:, :1] * key).sum(dim=-1)
    assert float(scores.var()) == pytest.approx(d_head, rel=0.1)
    assert float((scores / math.sqrt(d_head)).var()) == pytest.approx(1, rel=0.1)


def test_without_the_scale_shakespeare_models_of_three_seeds_show_no_clear_difference(
    values: Values,
) -> None:
    pairs = zip(*(values[name] for name in attention.NAMES), strict=True)
    worse = small_models.interval([without - right for right, without in pairs])
    assert worse.mean - worse.half <= 0


def test_without_the_scale_a_model_of_stories_ends_above_every_right_one() -> None:
    right, without = attention.on_the_stories()
    assert len(right) == 5
    assert without > max(right) + 5
