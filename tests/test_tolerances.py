"""The comparison that every proof rests on."""

import math

import pytest
import torch

from gpt2_small.checker.tolerances import FLOAT32, FLOAT64, assert_close


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, FLOAT32), (torch.float64, FLOAT64)])
@pytest.mark.parametrize("largest", [0.001, 1.0, 50.0])
def test_the_tolerance_is_the_dtypes_and_grows_with_values_above_one(dtype, allowed, largest):
    expected = torch.tensor([0.0, largest], dtype=dtype)
    limit = allowed * max(1.0, largest)
    assert_close(expected + torch.tensor([0.9 * limit, 0.0]).to(dtype), expected, "it")
    with pytest.raises(AssertionError, match="it differs"):
        assert_close(expected + torch.tensor([1.1 * limit, 0.0]).to(dtype), expected, "it")


def test_the_message_says_what_where_by_how_much_and_what_was_allowed():
    expected = torch.zeros(2, 3)
    actual = expected.clone()
    actual[1, 2] = 0.25
    with pytest.raises(AssertionError) as caught:
        assert_close(actual, expected, "the pattern")
    assert str(caught.value) == (
        "the pattern differs from the reference by up to 0.25: it is 0.25 at [1, 2], where the "
        "reference has 0; allowed is 2e-05 in torch.float32"
    )


def test_a_nan_is_no_match_and_is_found():
    actual = torch.tensor([0.0, math.nan, 5.0])
    with pytest.raises(AssertionError, match=r"it is nan at \[1\]"):
        assert_close(actual, torch.zeros(3), "it")


def test_another_shape_or_dtype_is_no_match_even_where_it_would_broadcast():
    with pytest.raises(AssertionError, match=r"shape \[1, 3\]; it should be \[2, 3\]"):
        assert_close(torch.zeros(1, 3), torch.zeros(2, 3), "it")
    with pytest.raises(AssertionError, match="dtype"):
        assert_close(torch.zeros(2), torch.zeros(2).double(), "it")
