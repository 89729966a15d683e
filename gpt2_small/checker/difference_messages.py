"""Explain in a sentence how an observation differs from what is expected."""

import math
from fractions import Fraction

from torch import Tensor

from gpt2_small.checker.claims.judging.tolerances import STANDARD_ERRORS, tolerance
from gpt2_small.checker.claims.observing.observation import (
    TAP,
    Counts,
    Distribution,
    Entry,
    Estimate,
    tensor_difference,
)
from gpt2_small.checker.claims.observing.probes import BATCH, NO_GRADIENT, SEQ, text, with_axes

# Prepositions that end the head noun of an entry's name.
_AFTER_THE_NOUN = frozenset(
    {
        "of", "that", "in", "with", "for", "when", "after", "at", "while", "from", "read", "made",
        "taken", "seeded", "inside", "as", "to", "on", "given", "before", "beyond", "drawn",
        "among", "without",
    }
)  # fmt: skip
_SINGULAR = ("bias", "loss")
# A double's digits.
_MOST_DIGITS = 17
# Differences of at least this share of the largest are equal to it.
_EQUAL = 1 - 1e-4
# Of a ratio of two float32 numbers; and the denominators of ratios that are reported.
_ROUNDING, _LARGEST_DENOMINATOR = 1e-5, 12
_NO_GRADIENT_REACHES = (
    "the output does not use it, or something in between is cut off, as by detach(), .data, "
    ".tolist(), .item(), torch.tensor(...) or a new nn.Parameter(...)"
)


def explain_difference(name: str, seen: Entry | None, expected: Entry | None) -> str:
    """Explain an entry's difference, with numbers."""
    if name.startswith(TAP):
        name = f"the activation at {name.removeprefix(TAP)}"
    several = are_several(name)
    if seen is None:
        return f"there {'are' if several else 'is'} no {name.removeprefix('the ')}"
    if expected is None:
        return f"{name} should not be there"
    if isinstance(seen, Tensor) and isinstance(expected, Tensor):
        said = f"{name} {_tensors(name, seen, expected)}"
    elif isinstance(seen, Estimate) and isinstance(expected, Estimate):
        said = f"{name} {_estimates(name, seen, expected)}"
    elif seen == NO_GRADIENT:
        said = f"{name} is None: {_NO_GRADIENT_REACHES}"
    elif isinstance(seen, Counts) and isinstance(expected, Distribution):
        return f"{name}: {_draws(seen, expected)}"
    else:
        said = f"{name} is {_words(seen)}; it should be {_words(expected)}"
    return _plural(name, said) if several else said


def are_several(name: str) -> bool:
    """Whether an entry's name is plural: `the tokens after a prompt`."""
    if name.startswith(("what ", "how ")):
        return False
    words = name.removeprefix("the ").split()
    end = next((n for n, word in enumerate(words) if word in _AFTER_THE_NOUN), len(words))
    noun = words[max(end - 1, 0)] if words else ""
    return (
        noun.replace("-", "").isalpha()
        and noun.endswith("s")
        and not noun.endswith(("ss", "us", *_SINGULAR))
    )


def _plural(name: str, said: str) -> str:
    """The plural of a sentence."""
    verb, rest = said[len(name) + 1 :].split(" ", 1)
    verb = {"differs": "differ", "has": "have", "is": "are"}.get(verb, verb)
    rest = rest.replace("; it should be", "; they should be").replace("; it is", "; they are")
    rest = rest.replace(": there it is", ": one of them is").replace("all of it is", "all are")
    return f"{name} {verb} {rest}"


def _words(entry: Entry) -> str:
    if isinstance(entry, Tensor):
        return text(entry)
    if isinstance(entry, Distribution):
        return "a token of the vocabulary for each draw"
    return entry if isinstance(entry, str) else str(entry)


def _tensors(name: str, seen: Tensor, expected: Tensor) -> str:
    if seen.shape != expected.shape:
        shapes = [_shape(name, value, expected) for value in (seen, expected)]
        return "has the shape {}; it should be {}".format(*shapes)
    if seen.dtype != expected.dtype:
        return f"has the dtype {_dtype(seen)}; it should be {_dtype(expected)}"
    difference = tensor_difference(seen, expected)
    place = largest_place(difference)
    at = f"at {place}" if place else "there"
    a, b = (t.detach()[tuple(place)].item() for t in (seen, expected))
    if not expected.is_floating_point() and expected.numel() == 1:
        return f"is {a}; it should be {b}"
    if not expected.is_floating_point():
        wrong = int((difference > 0).sum())
        return f"differs in {wrong} of {expected.numel()} places: {at} it is {a}, and should be {b}"
    largest = difference.max().item()
    by = f"by up to {largest:.3g} " if math.isfinite(largest) else ""
    is_now, should_be = told_apart(a, b, digits=6)
    return (
        f"differs from the reference {by}(allowed: {tolerance(expected):.1g}): "
        f"{at} it is {is_now}, and should be {should_be}{_factor(seen, expected)}"
    )


def told_apart(a: float, b: float, *, digits: int) -> tuple[str, str]:
    """Format two numbers with so many digits, or as many more as tell them apart."""
    while True:
        texts = f"{a:.{digits}g}", f"{b:.{digits}g}"
        if texts[0] != texts[1] or digits >= _MOST_DIGITS:
            return texts
        digits += 1


def _shape(name: str, value: Tensor, expected: Tensor) -> str:
    """A shape, with its axes' names where its sizes have one meaning.

    They do in a parameter's gradient, and where the result that is expected has a batch and
    positions of the probes' sizes.
    """
    has_batch = {BATCH, SEQ} <= set(expected.shape)
    is_known = has_batch or name.startswith(("the gradient of ", "the activation at "))
    return with_axes(value.shape) if is_known else "[" + " ".join(map(str, value.shape)) + "]"


def largest_place(values: Tensor) -> list[int]:
    """The first index of the largest elements, which are equal within rounding.

    A machine's rounding does not change it. torch.unravel_index would import for a second.
    """
    place: list[int] = []
    rest = int((values >= _EQUAL * values.max()).int().argmax())
    for size in reversed(values.shape):
        rest, index = divmod(rest, size)
        place.insert(0, index)
    return place


def _factor(seen: Tensor, expected: Tensor) -> str:
    """The common factor of all elements as a clause; empty without one."""
    a, b = seen.detach().double().flatten(), expected.detach().double().flatten()
    norm = (b * b).sum()
    if not (bool(a.isfinite().all()) and 0 < norm < math.inf):
        return ""
    factor = ((a * b).sum() / norm).item()
    if (a - factor * b).abs().max() > 1e-4 * abs(factor) * b.abs().max():
        return ""
    said = f"{factor:.4g}"
    if said == "1" or (expected.numel() == 1 and not _is_simple(factor)):
        return ""
    all_of_it = "it" if expected.numel() == 1 else "all of it"
    return f"; {all_of_it} is {said} times what it should be"


def _is_simple(ratio: float) -> bool:
    """Whether a ratio is one of small integers, which hardly is chance."""
    if not _ROUNDING < abs(ratio) < 1 / _ROUNDING:
        return False
    larger = max(abs(ratio), 1 / abs(ratio))
    nearest = Fraction(larger).limit_denominator(_LARGEST_DENOMINATOR)
    return abs(larger - nearest) <= _ROUNDING * larger


def _estimates(name: str, seen: Estimate, expected: Estimate) -> str:
    allowed = STANDARD_ERRORS * math.hypot(seen.error, expected.error)
    if name.startswith("the standard deviation of ") and seen.value:
        allowed *= expected.value / seen.value  # it is proportional to the deviation
    by_chance = f", within {allowed:.2g} by chance" if allowed else ""
    is_now, should_be = told_apart(seen.value, expected.value, digits=4)
    return f"is {is_now}; it should be {should_be}{by_chance}"


def _draws(seen: Counts, expected: Distribution) -> str:
    total = seen.counts.sum(dim=-1, keepdim=True)
    shares = seen.counts.double() / total.clamp(min=1)
    case, cell = largest_place((shares - expected.probabilities).abs())
    share = f"{expected.probabilities[case, cell]:.2%}"
    if not total[case]:
        return f"nothing is drawn after token {case}; {share} of these draws should be token {cell}"
    return (
        f"of {int(total[case])} draws, {shares[case, cell]:.2%} are token {cell}, whose "
        f"probability is {share}; so far off by chance less than "
        "once in a million checks"
    )


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")
