"""Test the lessons' small models: reproducible training, and intervals over seeds."""

import json
import math
import re

import pytest
import torch
from measure_lessons import LESSONS, experiments

import gpt2_small

small_models = gpt2_small.load(LESSONS / "small_models.py")
N_CTX = 8


def model() -> torch.nn.Module:
    torch.manual_seed(1)
    config = gpt2_small.TransformerConfig(d_model=16, n_layers=1, n_heads=2, n_ctx=N_CTX, d_vocab=9)
    return gpt2_small.Transformer(config)


def tokens() -> torch.Tensor:
    """Return a text in which every token determines the next one."""
    return torch.arange(500) % 9


def trained(seed: int) -> tuple[list[float], torch.nn.Module]:
    made = model()
    losses = small_models.train(made, tokens(), steps=30, seed=seed, n_ctx=N_CTX, peak=1e-2)
    return losses, made


def test_a_training_depends_only_on_its_seed() -> None:
    first, again, other = trained(0)[0], trained(0)[0], trained(1)[0]
    assert first == again
    assert first != other


def test_a_training_lowers_the_held_out_loss() -> None:
    held_out = (torch.arange(100) + 4) % 9
    before = small_models.held_out_loss(model(), held_out, N_CTX)
    assert small_models.held_out_loss(trained(0)[1], held_out, N_CTX) < before - 0.5


def test_the_held_out_loss_is_the_mean_over_all_targets() -> None:
    text, made = tokens()[:21], model().eval()  # two whole windows, and a last one of four targets
    total = 0.0
    for start, end in ((0, 8), (8, 16), (16, 20)):
        logits = made(text[None, start:end])[0]
        total += torch.nn.functional.cross_entropy(
            logits, text[start + 1 : end + 1], reduction="sum"
        ).item()
    assert small_models.held_out_loss(made, text, N_CTX) == pytest.approx(total / 20, abs=1e-5)


@pytest.mark.parametrize("degrees", range(2, 10))
def test_the_quantiles_equal_those_of_students_distribution(degrees: int) -> None:
    def density(x: float) -> float:
        gammas = math.gamma((degrees + 1) / 2) / math.gamma(degrees / 2)
        return gammas / math.sqrt(degrees * math.pi) * (1 + x * x / degrees) ** (-(degrees + 1) / 2)

    quantile, pieces = small_models.STUDENT[degrees - 2], 2000
    width = quantile / pieces
    area = sum(density((piece + 0.5) * width) for piece in range(pieces)) * width
    assert 0.5 + area == pytest.approx(0.975, abs=1e-4)


def test_an_interval_is_the_mean_plus_and_minus_students_quantile_of_standard_errors() -> None:
    found = small_models.interval([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.half == pytest.approx(4.303 / math.sqrt(3))


def test_two_overlapping_intervals_have_no_order() -> None:
    low, high = small_models.Interval(1.0, 0.3), small_models.Interval(1.5, 0.3)
    assert not low.is_below(high)
    assert low.is_below(small_models.Interval(1.7, 0.3))


def test_fewer_than_three_seeds_give_no_interval() -> None:
    with pytest.raises(ValueError, match="2 seeds"):
        small_models.interval([1.0, 2.0])


def test_a_named_training_shows_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    small_models.train(model(), tokens(), steps=3, seed=0, n_ctx=N_CTX, name="a model")
    assert re.search(r"a model +3/3  loss \d\.\d{3} +\d+ s\n$", capsys.readouterr().out)


@pytest.mark.parametrize("lesson", experiments())
def test_an_experiment_is_stored_with_at_least_three_seeds(lesson: str) -> None:
    content = json.loads((LESSONS / lesson / "measurements.json").read_text(encoding="utf-8"))
    assert len(set(content["seeds"])) >= 3
    assert content["values"]
    assert {len(values) for values in content["values"].values()} == {len(content["seeds"])}
