"""State the claims about sample: exact distributions, greedy choice, refusals.

Counts of draws are compared with probabilities computed here; correct code fails at most one claim
in a million (`tolerances.FALSE_ALARM`), for any seed.
"""

import math
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.functions.source_of_randomness import (
    as_seeded,
    chance,
    equalities,
    independent,
    joint_counts,
    pairs,
)
from gpt2_small.checker.claims.judging.token_distribution import (
    DRAWS,
    cases,
    counted,
    described,
    exact,
    listed,
    tokens_of,
)
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Counts, Distribution, Entry, Observation
from gpt2_small.checker.claims.observing.refusals import ending

PART = "sample"
# The claim about sample's distribution without temperature, top_k and top_p.
NO_OPTIONS = "it samples from the softmax of the logits"


def drawn(module: ModuleType, seed: int, *, settings: tuple[dict[str, Any], ...]) -> Observation:
    """Tokens drawn DRAWS times for each case."""
    rows = cases(seed).repeat(DRAWS, 1)
    seen: dict[str, Entry] = {}
    for setting in settings:
        got = tokens_of(module, rows.clone(), generator=probes.draws(seed, str(setting)), **setting)
        seen[described(setting)] = got
    return seen


def distribution(name: str, *settings: dict[str, Any]) -> Claim:
    return Claim(
        PART,
        name,
        partial(drawn, settings=settings),
        summary=counted,
        expect=partial(exact, settings=settings),
    )


def called(module: ModuleType, seed: int) -> Observation:
    got = tokens_of(module, cases(seed), generator=probes.draws(seed, "call"))
    return {"what sample returns": probes.text(got)}


_CLOSE_ROWS, _CLOSE_WIDTH = 400, 29
# The difference of two nearly equal logits. A softmax keeps their order; a tiny temperature, say
# 1e-6, makes both of them likely.
_CLOSE_BY = 5e-7
_CLOSE = "the token of two nearly equal logits at temperature 0"


def nearly_equal() -> Tensor:
    """Logits whose two largest are nearly equal; the largest of row r is token r modulo width."""
    rows = torch.full((_CLOSE_ROWS, _CLOSE_WIDTH), -8.0)
    row = torch.arange(_CLOSE_ROWS)
    rows[row, row % _CLOSE_WIDTH] = 0.5 + _CLOSE_BY
    rows[row, (row + 7) % _CLOSE_WIDTH] = 0.5
    return rows


def more_likely(seen: Observation) -> Observation:
    """Whether the largest of two nearly equal logits is taken in all rows."""
    got = seen.get(_CLOSE)
    if not isinstance(got, Tensor):
        return seen
    if got.shape != (_CLOSE_ROWS,):
        return {**seen, _CLOSE: probes.text(got)}
    is_largest = got == torch.arange(_CLOSE_ROWS) % _CLOSE_WIDTH
    return {**seen, _CLOSE: "the larger" if is_largest.all() else "the smaller in some rows"}


def greedy(module: ModuleType, seed: int) -> Observation:
    """Tokens at temperature 0, alone and with cuts that keep the most likely token."""
    rows = torch.randn(40, 29, generator=probes.draws(seed, "greedy"))
    cuts: tuple[dict[str, Any], ...] = ({}, {"top_k": 3}, {"top_p": 0.9})
    return {
        **{
            "the tokens at temperature 0" + (f" with {listed(cut)}" if cut else ""): tokens_of(
                module, rows, temperature=0.0, **cut
            )
            for cut in cuts
        },
        _CLOSE: tokens_of(module, nearly_equal(), temperature=0.0),
    }


def single_row(module: ModuleType, seed: int) -> Observation:
    """Tokens for one row of logits, under settings that leave one token."""
    row = torch.randn(1, 29, generator=probes.draws(seed, "single row"))
    settings: tuple[dict[str, Any], ...] = (
        {"temperature": 0.0},
        {"top_k": 1},
        {"temperature": 0.5, "top_k": 1, "top_p": 0.9},
    )
    return {
        f"the token for one row with {listed(setting)}": tokens_of(module, row, **setting)
        for setting in settings
    }


def only_one(module: ModuleType, seed: int) -> Observation:
    """Tokens under cuts that leave one of many nearly equal tokens in every row."""
    rows = 0.05 * torch.randn(40, 999, generator=probes.draws(seed, "only one"))
    return {
        "the tokens with top_k=1": tokens_of(module, rows, top_k=1),
        "the tokens with top_p=1e-6": tokens_of(module, rows, top_p=1e-6),
    }


_RARE = 255
_RARE_DRAWS = 3_000
_LIKELY = "how often the likely token of a large vocabulary is drawn"


def beside_rare(module: ModuleType, seed: int) -> Observation:
    """Draws from one token of probability 1/2 and many rare ones with the other half.

    Raising probabilities to the power 1 + x divides the rare tokens' share by _RARE ** x: this
    distribution reveals a wrong temperature with the fewest draws.
    """
    logits = torch.zeros(_RARE + 1)
    logits[0] = math.log(_RARE)
    rows = logits.repeat(_RARE_DRAWS, 1)
    got = tokens_of(module, rows, generator=probes.draws(seed, "beside rare"))
    return {_LIKELY: got}


def likely_counts(seen: Observation) -> Observation:
    got = seen[_LIKELY]
    if not isinstance(got, Tensor) or got.shape != (_RARE_DRAWS,):
        return {_LIKELY: probes.text(got)}
    likely = int((got == 0).sum())
    return {_LIKELY: Counts(torch.tensor([[likely, _RARE_DRAWS - likely]]))}


def half(_reference: ModuleType, _seed: int) -> Observation:
    return {_LIKELY: Distribution(torch.full((1, 2), 0.5, dtype=torch.float64))}


def exact_sum(module: ModuleType, seed: int) -> Observation:
    """The tokens drawn of four equally likely ones, of which two add up to exactly top_p.

    Comparing with > instead of >= keeps a third one: this fails no part.
    """
    got = tokens_of(module, torch.zeros(200, 4), top_p=0.5, generator=probes.draws(seed, "exact"))
    return {
        "the number of tokens drawn of 4 equal ones with top_p=0.5": str(len(set(got.tolist())))
    }


def low_temperatures(module: ModuleType, seed: int) -> Observation:
    """The tokens drawn of four equally likely ones: a low temperature is not greedy."""
    drawn = {
        temperature: tokens_of(
            module,
            torch.zeros(200, 4),
            temperature=temperature,
            generator=probes.draws(seed, "low temperature"),
        )
        for temperature in (0.09, 0.01)
    }
    return {
        f"the number of tokens drawn of 4 equal ones with temperature={temperature}": str(
            len(set(tokens.tolist()))
        )
        for temperature, tokens in drawn.items()
    }


def impossible(module: ModuleType, seed: int) -> Observation:
    """Draws with tokens whose logits are minus infinity."""
    rows = torch.zeros(2000, 7)
    rows[:, [0, 3, 6]] = -torch.inf
    got = tokens_of(module, rows, generator=probes.draws(seed, "impossible"))
    return {"tokens drawn when 0, 3 and 6 are impossible": str(sorted(set(got.tolist())))}


def untouched(module: ModuleType, seed: int) -> Observation:
    seen: dict[str, Entry] = {}
    for setting in ({}, {"top_k": 3}, {"temperature": 0.5, "top_k": 3, "top_p": 0.7}):
        rows = cases(seed)
        tokens_of(module, rows, generator=probes.draws(seed, "untouched"), **setting)
        seen[f"the logits after the call with {listed(setting)}"] = rows
    return seen


def refusals(module: ModuleType, seed: int) -> Observation:
    bad: list[dict[str, Any]] = [{"temperature": -1.0}, {"top_k": 0}, {"top_k": -3}]
    bad += [{"top_p": 0.0}, {"top_p": -0.1}, {"top_p": 1.5}]
    bad += [{"temperature": 0.0, "top_k": 0}, {"temperature": 0.0, "top_p": 1.5}]
    return {
        f"a call with {listed(setting)}": ending(partial(module.sample, cases(seed), **setting))
        for setting in bad
    }


CLAIMS = (
    Claim(PART, "it returns one token for each row of logits", called, gate=True),
    Claim(PART, "temperature 0 takes the most likely token", greedy, summary=more_likely),
    distribution(NO_OPTIONS, {}),
    Claim(PART, "it samples from the softmax of a large vocabulary", beside_rare,
          summary=likely_counts, expect=half),
    distribution("the temperature divides the logits", {"temperature": 0.5}, {"temperature": 2.5}),
    Claim(PART, "a low temperature still draws", low_temperatures),
    distribution("top_k keeps the k most likely tokens", {"top_k": 3}, {"top_k": 5}),
    distribution("a top_k above d_vocab keeps all tokens", {"top_k": 7}, {"top_k": 50}),
    distribution(
        "top_p keeps the token that crosses p", {"top_p": 0.7}, {"top_p": 0.93}, {"top_p": 0.22}
    ),
    Claim(PART, "top_p stops where the sum is exactly p", exact_sum, required=False),
    distribution("a top_p of 1 keeps all tokens", {"top_p": 1.0}),
    distribution("the temperature is applied before top_p", {"temperature": 2.0, "top_p": 0.6}),
    distribution("top_p is applied to what top_k keeps", {"top_k": 3, "top_p": 0.77}),
    distribution("all three settings together", {"temperature": 1.7, "top_k": 4, "top_p": 0.85}),
    Claim(PART, "one row of logits gives one token", single_row, is_drawn=True),
    Claim(PART, "settings that keep one token take the most likely", only_one, is_drawn=True),
    Claim(PART, "random numbers come from the generator, or from torch's global one", chance,
          summary=equalities, expect=as_seeded, group="chance"),
    Claim(PART, "rows are sampled independently", pairs, summary=joint_counts, expect=independent,
          group="chance"),
    Claim(PART, "a token of probability 0 is never sampled", impossible),
    Claim(PART, "the logits are not modified in place", untouched, group="inputs"),
    Claim(PART, "ValueError for invalid settings", refusals,
          group="refusals"),
)  # fmt: skip
