"""Test TransformerConfig: the shape of a GPT-2."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

SIZES = ("d_model", "n_layers", "n_heads", "d_head", "d_mlp", "n_ctx", "d_vocab")
GPT2_SMALL = {
    "d_model": 768,
    "n_layers": 12,
    "n_heads": 12,
    "d_head": 64,
    "d_mlp": 3072,
    "n_ctx": 1024,
    "d_vocab": 50257,
    "layer_norm_eps": 1e-5,
    "init_std": 0.02,
    "dropout": 0.0,
    "tied_embeddings": True,
}
NUMBERS = {"layer_norm_eps": (-1e-5, math.nan), "init_std": (-0.02, math.nan)}
PROBABILITIES = {"dropout": (-0.1, 1.5, math.nan)}


def refused(solution, **fields):
    """Return the message with which a configuration is refused."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is the claim
        solution.TransformerConfig(**fields)
    return str(caught.value)


def test_the_defaults_are_gpt2_small(solution):
    assert dataclasses.asdict(solution.TransformerConfig()) == GPT2_SMALL


@given(n_heads=st.integers(1, 9), d_head=st.integers(1, 9))
def test_omitted_widths_follow_from_the_others(solution, n_heads, d_head):
    config = solution.TransformerConfig(d_model=n_heads * d_head, n_heads=n_heads)
    assert (config.d_head, config.d_mlp) == (d_head, 4 * n_heads * d_head)


def test_widths_that_are_given_are_kept(solution):
    config = solution.TransformerConfig(d_model=24, n_heads=3, d_head=8, d_mlp=40)
    assert (config.d_head, config.d_mlp) == (8, 40)


def test_fields_are_given_by_name_only(solution):
    with pytest.raises(TypeError):
        solution.TransformerConfig(768)


def test_a_configuration_is_immutable(solution):
    config = solution.TransformerConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.d_model = 24


def test_a_configuration_is_restored_from_its_fields(solution):
    config = solution.TransformerConfig(d_model=24, n_heads=3, d_mlp=40, tied_embeddings=False)
    assert solution.TransformerConfig(**dataclasses.asdict(config)) == config
    assert config != solution.TransformerConfig(d_model=24, n_heads=3, d_mlp=41)


def test_a_size_other_than_a_positive_integer_is_refused_with_its_name_and_value(solution):
    for name in SIZES:
        for size in (0, -7, 2.5):
            message = refused(solution, **{name: size})
            assert name in message
            assert str(size) in message


def test_heads_that_do_not_divide_the_width_are_refused_with_both_numbers(solution):
    message = refused(solution, d_model=768, n_heads=5)
    assert {"n_heads", "d_model"} <= set(message.replace(",", " ").split())
    assert "5" in message
    assert "768" in message


def test_a_head_width_that_does_not_fit_is_refused_with_all_numbers(solution):
    message = refused(solution, d_model=24, n_heads=3, d_head=7)
    assert all(number in message for number in ("24", "3", "7"))


def test_more_heads_than_the_width_are_refused(solution):
    refused(solution, d_model=2, n_heads=4)


def test_impossible_numbers_are_refused_with_their_name_and_value(solution):
    for name, values in (NUMBERS | PROBABILITIES).items():
        for value in values:
            message = refused(solution, **{name: value})
            assert name in message
            assert str(value) in message


def test_a_refusal_is_one_sentence_with_the_way_out(solution):
    for field in ({"n_layers": 0}, {"n_heads": 5}, {"dropout": 1.5}, {"init_std": -1.0}):
        message = refused(solution, **field)
        assert "\n" not in message
        assert any(verb in message for verb in ("give", "choose", "must", "should", "use", "pick"))
