"""How far a correct implementation may be from the reference, and why."""

import torch
from torch import Tensor

# Two correct implementations order their sums differently. At activations of size 1, that moves
# float32 results (epsilon 1.2e-7) by some 1e-6 and float64 results (epsilon 2.2e-16) by some 1e-14;
# the exact GELU in place of its approximation, among the smallest of mistakes, by up to 4.7e-4.
FLOAT32 = 2e-5
FLOAT64 = 1e-10


def tolerance(expected: Tensor) -> float:
    """The largest allowed difference: the dtype's, times the largest value when above 1."""
    largest = expected.abs().max().item() if expected.numel() else 0.0
    return {torch.float32: FLOAT32, torch.float64: FLOAT64}[expected.dtype] * max(1.0, largest)


def assert_close(actual: Tensor, expected: Tensor, what: str) -> None:
    """Raise AssertionError, with where and by how much, unless actual is within the tolerance."""
    if actual.shape != expected.shape:
        raise AssertionError(
            f"{what} has the shape {list(actual.shape)}; it should be {list(expected.shape)}"
        )
    if actual.dtype != expected.dtype:
        raise AssertionError(f"{what} has the dtype {actual.dtype}; it should be {expected.dtype}")
    difference = (actual.detach() - expected.detach()).abs()
    allowed = tolerance(expected.detach())
    if bool((difference <= allowed).all()):
        return
    flat = difference.nan_to_num(nan=float("inf")).argmax()
    place = tuple(int(i) for i in torch.unravel_index(flat, expected.shape))
    raise AssertionError(
        f"{what} differs from the reference by up to {difference[place].item():.3g}: it is "
        f"{actual[place].item():.7g} at {list(place)}, where the reference has "
        f"{expected[place].item():.7g}; allowed is {allowed:.3g} in {expected.dtype}"
    )
