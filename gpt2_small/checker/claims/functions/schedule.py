"""State the claims about learning_rate: the warm-up, the cosine, the ends, refusals."""

import math
from functools import partial
from numbers import Real
from types import ModuleType
from typing import Any

import torch

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.judging.tolerances import FLOAT64_WITH_FLOAT32_CONSTANTS
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Entry, Observation
from gpt2_small.checker.claims.observing.refusals import ACCEPTED, ending

PART = "learning_rate"
_LONG = {"peak": 6.0, "warmup_steps": 7, "total_steps": 40}
# At a peak of 6; a rate may be computed in float32.
_ROUNDING = 6.0 * FLOAT64_WITH_FLOAT32_CONSTANTS


def rates(module: ModuleType, steps: range, **settings: Any) -> torch.Tensor:
    """The rates of some steps. Raises Failure for a rate that is not a number."""
    found = []
    for step in steps:
        rate = module.learning_rate(step, **settings)
        if not isinstance(rate, Real):  # NumPy's numbers too
            hint = "; is a return missing?" if rate is None else ""
            raise Failure(f"the rate of step {step} is {probes.text(rate)}, not a number{hint}")
        found.append(float(rate))
    return torch.tensor(found, dtype=torch.float64)


def called(module: ModuleType, _seed: int) -> Observation:
    return {"how many rates three steps have": str(len(rates(module, range(3), **_LONG)))}


def warm_up(module: ModuleType, _seed: int) -> Observation:
    return {
        "the rates of the warm-up (7 steps to a peak of 6)": rates(module, range(7), **_LONG),
        "the rate of the first step when the warm-up is 1 step": rates(
            module, range(1), peak=6.0, warmup_steps=1, total_steps=9
        ),
    }


def cosine(module: ModuleType, seed: int) -> Observation:
    drawn = torch.rand(3, generator=probes.draws(seed, "schedule")).tolist()
    warmup, total = 2 + int(20 * drawn[0]), 60 + int(90 * drawn[1])
    peak = 1 + drawn[2]
    name = f"the rates after a warm-up of {warmup} of {total} steps to a peak of {peak:.4g}"
    return {
        "the rates after the warm-up (steps 7 to 39 of 40)": rates(module, range(7, 40), **_LONG),
        name: rates(
            module, range(warmup, total), peak=peak, warmup_steps=warmup, total_steps=total
        ),
    }


def ends(module: ModuleType, _seed: int) -> Observation:
    return {
        "the rate of the last step of 40": rates(module, range(39, 40), **_LONG),
        "the rates after the last step": rates(module, range(40, 44), **_LONG),
        "the rates long after the last step": rates(module, range(400, 402), **_LONG),
    }


def fraction(module: ModuleType, _seed: int) -> Observation:
    return {
        f"the rates with final_fraction={value}": rates(
            module, range(44), **_LONG, final_fraction=value
        )
        for value in (0.0, 0.35, 1.0)
    }


def no_warm_up(module: ModuleType, _seed: int) -> Observation:
    """The last step's rate without a warm-up; the contract states no other."""
    settings: dict[str, Any] = {"peak": 6.0, "warmup_steps": 0, "total_steps": 40}
    first = rates(module, range(1), **settings).item()
    is_near = 5.8 < first <= 6 + _ROUNDING
    return {
        "the first rate without a warm-up": "near the peak" if is_near else f"{first:.2g}",
        "the last rate without a warm-up": rates(module, range(39, 40), **settings),
    }


def all_warm_up(module: ModuleType, _seed: int) -> Observation:
    """The rates when the warm-up takes all steps, and of a training of one step.

    The contract gives the last step both the peak and its final fraction: either is right.
    """
    whole: dict[str, Any] = {"peak": 6.0, "warmup_steps": 5, "total_steps": 5}
    seen: dict[str, Entry] = {}
    seen["the last rate for a warm-up of 5 of 5 steps"] = _rate_of_an_end(module, 4, whole)
    for warmup in (0, 1):
        one = {**whole, "warmup_steps": warmup, "total_steps": 1}
        name = f"the last rate for a warm-up of {warmup} of 1 steps"
        seen[name] = _rate_of_an_end(module, 0, one)
    if _ending(module, whole) == ACCEPTED:
        seen["the rates when the warm-up takes all 5 steps"] = rates(module, range(4), **whole)
    return seen


def after_all_warm_up(module: ModuleType, _seed: int) -> Observation:
    """A rate after a warm-up of all steps, where many schedules divide by zero: fails no part."""
    whole: dict[str, Any] = {"peak": 6.0, "warmup_steps": 5, "total_steps": 5}
    return {"the rate after a warm-up of 5 of 5 steps": _rate_of_an_end(module, 7, whole)}


def _ending(module: ModuleType, settings: dict[str, Any], step: int = 0) -> str:
    return ending(partial(module.learning_rate, step, **settings))


def _rate_of_an_end(module: ModuleType, step: int, settings: dict[str, Any]) -> str:
    """A rate of the last step or a later one, in words; or the exception."""
    if (end := _ending(module, settings, step)) != ACCEPTED:
        return end
    peak = settings["peak"]
    rate, ends = rates(module, range(step, step + 1), **settings).item(), (peak, 0.1 * peak)
    is_right = any(math.isclose(rate, end, abs_tol=_ROUNDING) for end in ends)
    return "the peak or a tenth of it" if is_right else f"{rate:.4g}"


def refusals(module: ModuleType, _seed: int) -> Observation:
    bad: list[dict[str, Any]] = [{"peak": -1.0}, {"final_fraction": -0.5}]
    bad += [{"final_fraction": 1.5}, {"warmup_steps": -1}, {"warmup_steps": 41}]
    bad += [{"total_steps": 0, "warmup_steps": 0}, {"total_steps": -5, "warmup_steps": 0}]
    return _endings(module, bad)


def not_a_number(module: ModuleType, _seed: int) -> Observation:
    return _endings(module, [{"peak": math.nan}])


def _endings(module: ModuleType, bad: list[dict[str, Any]]) -> Observation:
    return {
        "a call with " + ", ".join(f"{k}={v}" for k, v in setting.items()): ending(
            partial(module.learning_rate, 3, **{**_LONG, **setting})
        )
        for setting in bad
    }


CLAIMS = (
    Claim(PART, "it returns a number for a step", called, gate=True),
    Claim(PART, "linear warm-up to the peak at step warmup_steps - 1", warm_up),
    Claim(PART, "cosine decay", cosine),
    Claim(PART, "a tenth of the peak from step total_steps - 1 on", ends),
    Claim(PART, "it decays to final_fraction of the peak", fraction),
    Claim(PART, "it works without warm-up", no_warm_up),
    Claim(PART, "it works when the warm-up takes all steps, and for one step", all_warm_up),
    Claim(PART, "it works after a warm-up of all steps", after_all_warm_up, required=False),
    Claim(PART, "ValueError for an impossible schedule", refusals,
          group="refusals"),
    Claim(PART, "ValueError for a peak that is not a number", not_a_number, required=False,
          group="refusals"),
)  # fmt: skip
