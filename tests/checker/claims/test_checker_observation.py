"""Test observations: equality, encoding, and the rate of false alarms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2_small.checker.claims.judging.tolerances import FALSE_ALARM, STANDARD_ERRORS
from gpt2_small.checker.claims.observing.observation import (
    TAP,
    Counts,
    Distribution,
    Estimate,
    alike,
    entry_distance,
    first_difference,
)
from gpt2_small.checker.claims.observing.packing import pack, unpack
from gpt2_small.checker.claims.observing.probes import with_axes
from gpt2_small.checker.difference_messages import explain_difference, told_apart


def test_a_missing_tap_is_no_difference() -> None:
    full = {"the output": torch.ones(2), TAP + "hook_q": torch.ones(3)}
    bare = {"the output": torch.ones(2)}
    assert first_difference(bare, full) is None
    assert first_difference(full, bare) is None


def test_an_existing_tap_must_be_correct() -> None:
    right, wrong = ({TAP + "hook_q": torch.full((3,), float(value))} for value in (1, 2))
    assert first_difference(wrong, right) == TAP + "hook_q"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.5])
def test_a_nonfinite_number_equals_only_itself(value: float) -> None:
    seen, wanted = torch.tensor([value, 2.0]), torch.tensor([1.0, 2.0])
    assert entry_distance(seen, seen.clone()) == 0
    assert entry_distance(seen, wanted) > 1
    assert entry_distance(wanted, seen) > 1


@pytest.mark.parametrize("other", [torch.ones(3), torch.ones(2, dtype=torch.float64), "text", None])
def test_another_shape_dtype_or_kind_has_infinite_distance(other) -> None:
    assert entry_distance(other, torch.ones(2)) == math.inf


def test_the_tolerance_grows_with_the_largest_value() -> None:
    wanted = torch.tensor([1000.0, 1.0])
    assert entry_distance(wanted + 0.01, wanted) < 1
    assert entry_distance(wanted + 0.03, wanted) > 1


def test_a_mistake_is_recognised_although_it_magnifies_float32_rounding() -> None:
    seen, other = torch.ones(2), torch.ones(2) * 1.001
    assert first_difference({"a": seen}, {"a": other}) == "a"
    assert alike({"a": seen}, {"a": other})
    assert not alike({"a": seen.double()}, {"a": other.double()})


def test_an_observation_survives_the_pipe() -> None:
    seen = {
        "turned": torch.randn(3, 2, dtype=torch.float64).T,
        "none": torch.empty(0, 2),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "text": "yes",
    }
    back = unpack(pack(seen))
    assert list(back) == list(seen)
    assert first_difference(back, seen) is None


def test_observations_contain_tensors_and_texts_but_no_statistics() -> None:
    with pytest.raises(ValueError, match="neither tensor nor text"):
        pack({"the mean": Estimate(1.0)})


def test_a_message_other_than_an_observation_is_refused() -> None:
    with pytest.raises(ValueError, match="not an observation"):
        unpack(b"\x80\x04\x95 pickled")


@given(
    st.integers(0, 2**31), st.sampled_from([(0.5, 0.3, 0.2), (0.9, 0.09, 0.01), (1.0, 0.0, 0.0)])
)
def test_draws_from_the_right_distribution_are_accepted(
    seed: int, shares: tuple[float, ...]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    exact = torch.tensor([shares])
    drawn = torch.multinomial(exact, 5000, replacement=True, generator=generator)
    counts = torch.bincount(drawn[0], minlength=3)[None]
    assert entry_distance(Counts(counts), Distribution(exact)) <= 1


def test_the_false_alarm_rate_of_a_sampling_check_is_below_the_stated_one() -> None:
    """Computed exactly: the binomial probability, per cell, of counts that would be rejected."""
    draws, p = 400, 0.03
    log_choose = [
        math.lgamma(draws + 1) - math.lgamma(k + 1) - math.lgamma(draws - k + 1)
        for k in range(draws + 1)
    ]
    alarm = 0.0
    for k in range(draws + 1):
        counts = Counts(torch.tensor([[k, draws - k]]))
        if (
            entry_distance(counts, Distribution(torch.tensor([[p, 1 - p]], dtype=torch.float64)))
            > 1
        ):
            alarm += math.exp(log_choose[k] + k * math.log(p) + (draws - k) * math.log(1 - p))
    assert 0 < alarm < FALSE_ALARM


def test_drawing_a_token_of_probability_0_is_rejected() -> None:
    exact = Distribution(torch.tensor([[1.0, 0.0]]))
    assert entry_distance(Counts(torch.tensor([[4999, 1]])), exact) == math.inf


def test_a_difference_is_reported_with_place_values_and_tolerance() -> None:
    seen, wanted = torch.zeros(2, 3), torch.zeros(2, 3)
    seen[1, 2] = 0.5
    sentence = explain_difference("the output", seen, wanted)
    assert "by up to 0.5 (allowed: 2e-05): at [1, 2] it is 0.5, and should be 0" in sentence


def test_the_first_of_differences_that_are_equal_within_rounding_is_reported() -> None:
    sentence = explain_difference(
        "the output", torch.tensor([0.0, 1.0, 1.0 + 1e-6]), torch.zeros(3)
    )
    assert "at [1] it is 1, and should be 0" in sentence


def test_a_constant_factor_is_reported() -> None:
    wanted = torch.randn(4, 5)
    assert "all of it is 3 times" in explain_difference("the output", 3 * wanted, wanted)


@pytest.mark.parametrize(("seen", "is_reported"), [(1.5, True), (0.1, True), (1.073, False)])
def test_the_factor_of_a_single_number_is_reported_if_it_is_simple(
    seen: float, is_reported: bool
) -> None:
    sentence = explain_difference("the loss", torch.tensor(seen), torch.tensor(1.0))
    assert ("times what it should be" in sentence) == is_reported


def test_no_factor_of_an_infinite_number_is_reported() -> None:
    seen = explain_difference("the loss", torch.tensor(13.8), torch.tensor(float("inf")))
    assert "times" not in seen


def test_a_single_integer_is_reported_without_places() -> None:
    sentence = explain_difference("the tokens of the step", torch.tensor([27]), torch.tensor([24]))
    assert sentence == "the tokens of the step are 27; they should be 24"


def test_two_unequal_numbers_are_written_with_digits_that_differ() -> None:
    assert told_apart(5.9881, 5.9876, digits=4) == ("5.9881", "5.9876")


def test_a_wrong_shape_is_reported_with_its_axes() -> None:
    sentence = explain_difference("the output", torch.ones(11, 24), torch.ones(2, 11, 24))
    assert sentence == (
        "the output has the shape [11 24] (seq d_model); it should be [2 11 24] (batch seq d_model)"
    )


@pytest.mark.parametrize(
    ("name", "seen", "expected"),
    [("the tokens at temperature 0", 29, 40), ("the weights", 8, 24), ("the rates", 3, 12)],
)
def test_a_size_without_a_batch_beside_it_gets_no_axis(name: str, seen: int, expected: int) -> None:
    sentence = explain_difference(name, torch.ones(seen), torch.ones(expected))
    assert sentence.endswith(f"have the shape [{seen}]; they should be [{expected}]")


def test_an_infinite_difference_has_no_number() -> None:
    seen, wanted = torch.tensor([-math.inf]), torch.tensor([-1.5])
    assert explain_difference("the output", seen, wanted) == (
        "the output differs from the reference (allowed: 3e-05): at [0] it is -inf, and should be "
        "-1.5"
    )


def test_a_difference_between_several_results_is_reported():
    seen, wanted = torch.ones(3), torch.zeros(3)
    assert explain_difference("the rates of the end", seen, wanted).startswith(
        "the rates of the end differ from"
    )
    assert " differs from" in explain_difference("the rate of the last step", seen, wanted)
    assert " have the shape" in explain_difference("the tokens of it", torch.ones(2), wanted)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((2, 11, 3, 8), "[2 11 3 8] (batch seq head d_head)"),
        ((2, 3, 11, 11), "[2 3 11 11] (batch head seq seq)"),
        ((3, 11), "[3 11]"),  # three prompts
        ((2, 7), "[2 7]"),
    ],
)
def test_axes_are_named_if_all_of_them_are_known(shape: tuple[int, ...], said: str) -> None:
    assert with_axes(shape) == said


def test_the_margin_of_a_standard_deviation_is_that_of_the_right_one() -> None:
    name, count = "the standard deviation of W_E", 1000
    seen = Estimate(1.0, 1.0 / count**0.5)
    said = explain_difference(name, seen, Estimate(0.02))
    assert f"within {STANDARD_ERRORS * 0.02 / count**0.5:.2g} by chance" in said
