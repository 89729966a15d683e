"""sample: one token for every row of logits, from exactly the distribution asked for."""

import math
from dataclasses import dataclass

import claims
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.component("sample")

DRAWS = 20_000
FALSE_ALARM = 1e-8  # that a correct `sample` fails one comparison with a distribution


def assert_drawn_from(probabilities, tokens):
    """The counts of the tokens fit the distribution; wrong with probability FALSE_ALARM.

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
    """KL of two coins, in nats; infinite for what cannot happen."""
    terms = ((q, p), (1 - q, 1 - p))
    if any(b <= 0 < a for a, b in terms):
        return math.inf
    return sum(a * math.log(a / b) for a, b in terms if a > 0)


@dataclass(frozen=True)
class Cut:
    """Logits as logarithms of weights, and what `sample` is asked."""

    weights: tuple[float, ...]
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def probabilities(self):
        """The distribution, by enumeration of the definition; None when a cut is too close."""
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

    def draw(self, solution, draws=DRAWS):
        logits = torch.tensor(self.weights, dtype=torch.float64).log().float().expand(draws, -1)
        return solution.sample(
            logits,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            generator=torch.Generator().manual_seed(self.seed),
        )


FOUR = (0.1, 0.4, 0.2, 0.3)


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


@example(Cut(FOUR))
@example(Cut(FOUR, temperature=0.5))
@example(Cut(FOUR, temperature=2.0))
@example(Cut(FOUR, top_k=2))
@example(Cut(FOUR, top_p=0.6))
@example(Cut(FOUR, temperature=1.5, top_k=3, top_p=0.7))
@settings(max_examples=20)
@given(cut=cuts())
def test_tokens_are_drawn_from_exactly_the_distribution_asked_for(solution, cut):
    probabilities = cut.probabilities()
    assume(probabilities is not None)
    assert_drawn_from(probabilities, cut.draw(solution))


def test_every_row_is_drawn_by_itself(solution):
    cut = Cut((0.5, 0.2, 0.3))
    pairs = cut.draw(solution, 2 * DRAWS).view(DRAWS, 2)
    joint = [p * q for p in cut.probabilities() for q in cut.probabilities()]
    assert_drawn_from(joint, 3 * pairs[:, 0] + pairs[:, 1])


def test_every_row_is_drawn_from_its_own_logits(solution):
    wanted = torch.tensor([3, 0, 6, 2, 2])
    logits = 1000.0 * torch.nn.functional.one_hot(wanted, 7).float()
    for options in ({}, {"top_k": 2}, {"top_p": 0.5}, {"temperature": 0.0}):
        assert torch.equal(solution.sample(logits, **options), wanted)


def test_there_is_one_whole_number_for_every_row(solution):
    for temperature in (0.0, 1.0):
        tokens = solution.sample(torch.zeros(5, 7), temperature=temperature)
        assert tokens.shape == (5,)
        assert tokens.dtype == torch.long


def test_temperature_zero_takes_the_most_likely_token(solution):
    logits = torch.randn(50, 29, generator=torch.Generator().manual_seed(1))
    for options in ({}, {"top_k": 3}, {"top_p": 0.9}, {"top_k": 3, "top_p": 0.1}):
        tokens = solution.sample(logits, temperature=0.0, **options)
        assert torch.equal(tokens, logits.argmax(-1))


def test_a_temperature_close_to_zero_is_close_to_greedy(solution):
    logits = torch.randn(50, 29, generator=torch.Generator().manual_seed(1))
    assert torch.equal(solution.sample(logits, temperature=1e-6), logits.argmax(-1))


def test_top_k_of_one_is_greedy(solution):
    logits = torch.randn(50, 29, generator=torch.Generator().manual_seed(1))
    assert torch.equal(solution.sample(logits, top_k=1), logits.argmax(-1))


def test_a_top_k_above_the_vocabulary_keeps_all(solution):
    assert_drawn_from(FOUR, Cut(FOUR, top_k=5).draw(solution))
    assert_drawn_from(FOUR, Cut(FOUR, top_k=50257).draw(solution))


def test_a_top_p_below_the_largest_probability_keeps_that_token(solution):
    assert set(Cut(FOUR, top_p=0.05).draw(solution).tolist()) == {1}


def test_the_token_that_crosses_top_p_is_kept(solution):
    assert set(Cut(FOUR, top_p=0.45).draw(solution).tolist()) == {1, 3}
    assert set(Cut(FOUR, top_p=0.75).draw(solution).tolist()) == {1, 3, 2}


def test_a_top_p_of_one_keeps_all(solution):
    assert_drawn_from(FOUR, Cut(FOUR, top_p=1.0).draw(solution))


def test_top_p_counts_probabilities_renormalised_after_top_k(solution):
    """0.4 and 0.3 become 4/7 and 3/7 after top-k: the first alone passes one half."""
    assert set(Cut(FOUR, top_k=2, top_p=0.5).draw(solution).tolist()) == {1}


def test_top_p_counts_probabilities_after_the_temperature(solution):
    """At temperature 1/2 the squares count: 16, 9, 4 and 1 of 30, and 16/30 passes one half."""
    assert set(Cut(FOUR, temperature=0.5, top_p=0.5).draw(solution).tolist()) == {1}


@given(cut=cuts())
def test_one_seed_gives_the_same_tokens_again(solution, cut):
    assert torch.equal(cut.draw(solution, 50), cut.draw(solution, 50))


def test_another_seed_gives_other_tokens(solution):
    one, other = (Cut(FOUR, seed=seed).draw(solution, 200) for seed in (1, 2))
    assert not torch.equal(one, other)


def test_a_generator_is_used_up_and_torchs_own_left_alone(solution):
    generator, logits = torch.Generator().manual_seed(1), torch.zeros(200, 7)
    before = torch.get_rng_state()
    one = solution.sample(logits, generator=generator)
    assert not torch.equal(solution.sample(logits, generator=generator), one)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_generator_torchs_own_decides(solution):
    draws = []
    with torch.random.fork_rng(devices=[]):
        for seed in (5, 5, 6):
            torch.manual_seed(seed)
            draws.append(solution.sample(torch.zeros(200, 7)))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_the_logits_are_left_alone(solution):
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    before = logits.clone()
    for temperature in (0.0, 1.0, 0.7):
        solution.sample(logits, temperature=temperature, top_k=3, top_p=0.8)
    assert torch.equal(logits, before)


def test_adding_a_number_to_all_logits_changes_nothing(solution):
    for shift in (-5000.0, 5000.0):
        logits = torch.tensor(FOUR).log().double() + shift
        generator = torch.Generator().manual_seed(1)
        tokens = solution.sample(logits.expand(DRAWS, -1).float(), generator=generator)
        assert_drawn_from(logits.float().softmax(-1).tolist(), tokens)


def test_a_token_whose_logit_is_minus_infinity_is_never_drawn(solution):
    logits = torch.tensor([0.0, -math.inf, 1.0, -math.inf]).expand(2000, -1)
    for options in ({}, {"top_k": 3}, {"top_p": 1.0}, {"temperature": 5.0}):
        assert set(solution.sample(logits, **options).tolist()) == {0, 2}


def test_logits_of_every_precision_and_layout_are_sampled(solution):
    for dtype in (torch.float64, torch.bfloat16):
        scattered = torch.tensor(FOUR).log().to(dtype).unsqueeze(1).expand(-1, DRAWS).T
        generator = torch.Generator().manual_seed(1)
        tokens = solution.sample(scattered, generator=generator)
        assert_drawn_from(scattered[0].double().softmax(-1).tolist(), tokens)


def test_settings_that_make_no_sense_are_refused_with_their_value(solution):
    bad = [("temperature", -1.0), ("temperature", math.nan), ("top_k", 0), ("top_k", -3)]
    bad += [("top_p", 0.0), ("top_p", -0.1), ("top_p", 1.5), ("top_p", math.nan)]
    for name, value in bad:
        with pytest.raises(ValueError, match=claims.error_of_the_reference(rf"{name}.*{value}")):
            solution.sample(torch.zeros(2, 7), **{name: value})


def test_a_temperature_next_to_nothing_is_greedy_too(solution):
    logits = torch.tensor([[1.0, 500.0, 499.9], [-500.0, -400.0, -400.1]])
    assert solution.sample(logits, temperature=1e-38).tolist() == [1, 1]


def test_whole_numbers_will_do_for_the_temperature_and_top_p(solution):
    logits = torch.tensor([[0.0, 9.0, 1.0]])
    assert solution.sample(logits, temperature=0).tolist() == [1]
    assert solution.sample(logits, temperature=1, top_k=1, top_p=1).tolist() == [1]
