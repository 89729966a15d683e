"""State the claims about MultiHeadAttention: the shared ones, dropout, and causality."""

import math
from types import ModuleType

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.modules.dropout import (
    DROPOUT,
    OWN,
    dropout_claims,
    output_zeros_claim,
    share,
    shared,
)
from gpt2_small.checker.claims.modules.every_module import module_claims
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.causality import futures, how_far_moved, nothing_moves
from gpt2_small.checker.claims.observing.observation import Estimate, Observation
from gpt2_small.checker.claims.observing.subject import Subject

_ENTRIES = "the dropped entries of the pattern"
_DROPPED = "the output of heads that write ones, in training mode with dropout 0.25"

SUBJECT = Subject(
    "MultiHeadAttention", probes.residual, scales=(1.0, 4.0, 0.1), output_weight=1 / 4
)
# The size of a score that masked ones must not outweigh; a mask of -1e4 is far below it.
_LARGE_SCORE = 1000.0
# A mask of GPT-2's n_ctx, 1024, would be too small here.
LONG = Subject("MultiHeadAttention", probes.residual, settings={"n_ctx": 1030})


def causality(module: ModuleType, seed: int) -> Observation:
    """The outputs up to each position when all later positions are replaced."""
    model = SUBJECT.build(module, seed)
    given, other = SUBJECT.values(seed, "causality"), SUBJECT.values(seed, "another future")
    return futures(lambda inputs: SUBJECT.run(model, inputs), given, other)


def outweighed(module: ModuleType, seed: int) -> Observation:
    """The same where visible scores are -1,000: a finite mask must be far below them."""
    model = SUBJECT.fresh(module)
    values = {
        name: probes.random_parameter(name, shape, seed)
        for name, shape in SUBJECT.contract().items()
    }
    _, _, d_head = values["W_K"].shape
    for name in ("W_Q", "W_K", "b_K"):
        values[name] = torch.zeros_like(values[name])
    values["W_K"][:, 0] = 1.0
    values["b_Q"] = torch.full_like(values["b_Q"], _LARGE_SCORE / d_head**0.5)
    probes.load_values(model.eval(), values)
    given, other = SUBJECT.values(seed, "outweighed"), SUBJECT.values(seed, "another future")
    given[..., 0], other[..., 0] = -1.0, 1.0
    return futures(lambda inputs: SUBJECT.run(model, inputs), given, other)


def beyond_1024(module: ModuleType, seed: int) -> Observation:
    """The last outputs for more positions than GPT-2 has."""
    model = LONG.build(module, seed)
    given = LONG.values(seed, "long", batch=1, seq=LONG.settings["n_ctx"])
    return {"the last outputs for 1,030 positions": LONG.run(model, given)[:, -3:]}


def one_head(module: ModuleType, seed: int) -> Observation:
    """The output of a single head that has the whole width."""
    model = SUBJECT.build(module, seed, n_heads=1, d_head=probes.SIZES["d_model"])
    return {"the output of a single head": SUBJECT.run(model, SUBJECT.feed(seed, "one head"))}


def bias_alone(module: ModuleType, seed: int) -> nn.Module:
    """An attention layer whose output is its b_O at every position."""
    model = SUBJECT.build(module, seed, dropout=DROPOUT)
    values = {
        name: probes.random_parameter(name, shape, seed)
        for name, shape in SUBJECT.contract().items()
    }
    probes.load_values(model, {**values, "W_O": torch.zeros_like(values["W_O"])})
    return model


def dropped(module: ModuleType, seed: int) -> Observation:
    """The output in training mode of heads that each write ones to their own features.

    All scores are equal, all values 1. The first position has one key, so a dropped entry of the
    pattern makes its head's output zero; eleven keys are almost never dropped at once.
    """
    model = SUBJECT.build(module, seed, dropout=DROPOUT).train()
    shapes = SUBJECT.contract()
    values = {name: torch.zeros(shape) for name, shape in shapes.items()}
    heads, d_head, _ = shapes["W_O"]
    values["b_V"] = torch.ones(shapes["b_V"])
    values["W_O"] = torch.eye(heads * d_head).reshape(shapes["W_O"])
    probes.load_values(model, values)
    return {_DROPPED: SUBJECT.run(model, SUBJECT.feed(seed, "dropped", batch=400))}


def pattern_in_training(module: ModuleType, seed: int) -> Observation:
    """The activation at hook_pattern in training mode, if there is one."""
    model = SUBJECT.build(module, seed, dropout=DROPOUT).train()
    with torch.no_grad(), probes.listening(model, ["hook_pattern"]) as heard:
        SUBJECT.run(model, SUBJECT.values(seed, "taps"))
    return {f"{name} in training mode": value for name, value in probes.tap_entries(heard).items()}


def dropped_shares(seen: Observation) -> Observation:
    """The shares of heads whose features are all zero, and of single zeros."""
    output = seen[_DROPPED]
    shape = (400, probes.SEQ, probes.SIZES["d_model"])
    if not isinstance(output, Tensor) or output.shape != shape:
        return seen
    zero = output.unflatten(-1, (probes.SIZES["n_heads"], -1)) == 0
    silent = zero.all(dim=-1)
    return {
        _ENTRIES: _shared_entries(output.double().unflatten(-1, (probes.SIZES["n_heads"], -1))),
        "the share of heads whose output is 0 at the first position": share(silent[:, 0]),
        "the share of heads whose output is 0 at the eleventh position": share(silent[:, -1]),
        "the share of zeros in the output at the eleventh position": share(zero[:, -1]),
    }


def _shared_entries(output: Tensor) -> str:
    """Whether rows, heads or queries [batch seq head d_head] drop the same entries, in words.

    The largest number of a head is the share of the entries that it kept, but for a factor.
    """
    kept = output[:, -1].amax(dim=-1)
    if (kept - kept[0, 0]).abs().max() > 1e-4:
        found = shared(kept, ("row", "head"))
        return "the same for every query" if found == OWN and _shared_by_queries(output) else found
    is_whole = any(math.isclose(kept[0, 0], one, abs_tol=1e-4) for one in (1, 1 / (1 - DROPOUT)))
    return OWN if is_whole else "the same in every row and head"


def _shared_by_queries(output: Tensor) -> bool:
    """Whether no head that dropped the first key at the first query kept it at the second."""
    first, second = (output[:, query].amax(dim=-1) for query in (0, 1))
    has_dropped = first.abs() < 1e-4
    return bool(has_dropped.any()) and bool((second[has_dropped] < 0.75 * second.max()).all())


def expected_dropped(_reference: ModuleType, _seed: int) -> Observation:
    return {
        _ENTRIES: OWN,
        "the share of heads whose output is 0 at the first position": Estimate(DROPOUT),
        "the share of heads whose output is 0 at the eleventh position": Estimate(0.0),
        "the share of zeros in the output at the eleventh position": Estimate(DROPOUT),
    }


CLAIMS = (
    *module_claims(SUBJECT),
    Claim(
        "MultiHeadAttention",
        "no position depends on a later one",
        causality,
        summary=how_far_moved,
        expect=nothing_moves,
    ),
    Claim(
        "MultiHeadAttention",
        "no later position counts where visible scores are very small",
        outweighed,
        summary=how_far_moved,
        expect=nothing_moves,
    ),
    Claim("MultiHeadAttention", "correct output for an n_ctx above 1,024", beyond_1024),
    Claim("MultiHeadAttention", "correct output of a single head", one_head),
    *dropout_claims(SUBJECT),
    Claim(
        "MultiHeadAttention",
        "dropout on the pattern and on the output",
        dropped,
        summary=dropped_shares,
        expect=expected_dropped,
        group="dropout",
    ),
    Claim(
        "MultiHeadAttention", "hook_pattern is before dropout", pattern_in_training, group="taps"
    ),
    output_zeros_claim(SUBJECT, "dropout on the output includes b_O", bias_alone),
)
