"""Test sample: one token for every row of logits, from exactly the requested distribution."""

import math
from dataclasses import dataclass

import pytest
import torch
from claims_as_tests import claims_about
from hypothesis import assume, given, settings
from hypothesis import strategies as st

test_it_keeps_the_claim = claims_about("sample")

DRAWS = 2_000
FALSE_ALARM = 1e-8  # probability that a correct `sample` fails one comparison


@dataclass(frozen=True)
class Cut:
    """Logits as logarithms of weights, and the options of `sample`."""

    weights: tuple[float, ...]
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def probabilities(self):
        """Return the distribution by enumeration of the definition; None if a cut is too close."""
        weights = [w ** (1 / self.temperature) for w in self.weights]
        ranked = sorted(range(len(weights)), key=lambda token: -weights[token])
        ranked = ranked[: self.top_k]
        total = sum(weights[token] for token in ranked)
        kept, mass = [], 0.0
        for token in ranked:
            if self.top_p is not None and abs(mass - self.top_p) < 1e-3:
                return None
            if self.top_p is not None and mass >= self.top_p:
                break
            kept.append(token)
            mass += weights[token] / total
        total = sum(weights[token] for token in kept)
        return [w / total if token in kept else 0.0 for token, w in enumerate(weights)]

    def draw(self, solution):
        logits = torch.tensor(self.weights, dtype=torch.float64).log().float().expand(DRAWS, -1)
        return solution.sample(
            logits,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            generator=torch.Generator().manual_seed(self.seed),
        )


@st.composite
def cuts(draw):
    weights = draw(st.lists(st.integers(1, 60), min_size=2, max_size=6, unique=True))
    return Cut(
        weights=tuple(float(w) for w in weights),
        temperature=draw(st.sampled_from([0.5, 1.0, 1.7])),
        top_k=draw(st.none() | st.integers(1, len(weights) + 2)),
        top_p=draw(st.none() | st.floats(0.02, 1.0)),
        seed=draw(st.integers(0, 9999)),
    )


@pytest.mark.component("sample")
@settings(max_examples=15)
@given(cut=cuts())
def test_with_any_settings_tokens_have_exactly_the_requested_distribution(solution, cut):
    probabilities = cut.probabilities()
    assume(probabilities is not None)
    assert_drawn_from(probabilities, cut.draw(solution))


def assert_drawn_from(probabilities, tokens):
    """Assert that the tokens' counts fit the distribution; fails wrongly with FALSE_ALARM.

    Chernoff's bound: of n draws, a share of an event of probability p is at q or further out, on
    one side, with probability at most exp(-n KL(q, p)). Two sides an event, and a union over all.
    """
    counts = torch.bincount(tokens, minlength=len(probabilities)).tolist()
    limit = math.log(2 * len(probabilities) / FALSE_ALARM)
    for token, (count, p) in enumerate(zip(counts, probabilities, strict=True)):
        q = count / len(tokens)
        what = f"token {token}: a share of {q:.4f}, where {p:.4f} is right"
        assert len(tokens) * divergence(q, p) <= limit, what


def divergence(q, p):
    """Return the KL divergence of two coins, in nats; infinite for impossible outcomes."""
    terms = ((q, p), (1 - q, 1 - p))
    if any(b <= 0 < a for a, b in terms):
        return math.inf
    return sum(a * math.log(a / b) for a, b in terms if a > 0)
