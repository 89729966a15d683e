"""Compare an implementation with its oracle, within the tolerance of its dtype."""

import torch
from torch import Tensor

from gpt2_small.checker.claims.judging.tolerances import PROOF, tolerance


def assert_close(actual: Tensor, expected: Tensor, what: str) -> None:
    """Raise AssertionError, with the place and the difference, unless within the tolerance."""
    if actual.shape != expected.shape:
        raise AssertionError(
            f"{what} has the shape {list(actual.shape)}; it should be {list(expected.shape)}"
        )
    if actual.dtype != expected.dtype:
        raise AssertionError(f"{what} has the dtype {actual.dtype}; it should be {expected.dtype}")
    difference = (actual.detach() - expected.detach()).abs()
    allowed = tolerance(expected.detach(), PROOF)
    if bool((difference <= allowed).all()):
        return
    flat = difference.nan_to_num(nan=float("inf")).argmax()
    place = tuple(int(i) for i in torch.unravel_index(flat, expected.shape))
    raise AssertionError(
        f"{what} differs from the reference by up to {difference[place].item():.3g}: it is "
        f"{actual[place].item():.7g} at {list(place)}, where the reference has "
        f"{expected[place].item():.7g}; allowed is {allowed:.3g} in {expected.dtype}"
    )
