"""What can be known about the tales without drawing one: how many, how long, how surprising."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from .grammar import Call, Case, Fill, Grammar, Node, Say, Word
from .tales import GRAMMAR

Kinds = frozenset[tuple[str, str]]
"""The kind of what fills each slot: all that later lengths and probabilities depend on."""

Masses = dict[Kinds, Counter[int]]
"""For each state and number of words so far, how much (probability, or stories) has come here."""


@dataclass(frozen=True)
class StoryProfile:
    """`lengths[n]`: the probability of n words. `surprisal[i]`: the expected nats of word i, nothing when
    the story has ended before. `count`: how many different stories there are."""

    lengths: dict[int, float]
    surprisal: dict[int, float]
    count: int

    @property
    def entropy(self) -> float:
        return sum(self.surprisal.values())


def profile(grammar: Grammar) -> StoryProfile:
    """The exact profile of a left-deterministic grammar.

    All stories are followed at once, word by word: at each choice the mass that stands there splits, and
    its entropy belongs to the next word. No sampling, no cut.
    """
    start = grammar.rules[grammar.start]
    surprisal: Counter[int] = Counter()

    def split_probability(node: Node, masses: Masses) -> list[float]:
        entropy = -sum(share * math.log(share) for share in node.shares)
        for lengths in masses.values():
            for length, mass in lengths.items():
                surprisal[length] += mass * entropy
        return node.shares

    ended = _follow(grammar, start, {frozenset(): Counter({0: 1.0})}, split_probability)
    counted = _follow(
        grammar, start, {frozenset(): Counter({0: 1})}, lambda node, _: [1] * len(node.branches)
    )
    lengths: Counter[int] = Counter()
    for each in ended.values():
        lengths.update(each)
    count = sum(sum(each.values()) for each in counted.values())
    return StoryProfile(dict(lengths), dict(surprisal), count)


def _follow(grammar: Grammar, node: Node, masses: Masses, split: Callable) -> Masses:
    """Where the masses stand after a node; `split` gives the factor of each of its branches."""
    for item in node.items:
        if isinstance(item, Call):
            masses = _follow(grammar, grammar.rules[item.rule], masses, split)
        else:
            masses = _joined(_step(grammar, item, kinds, lengths, split) for kinds, lengths in masses.items())
    if not node.branches:
        return masses
    factors = split(node, masses)
    return _joined(
        _follow(grammar, branch, _scaled(masses, factor), split)
        for factor, branch in zip(factors, node.branches, strict=True)
    )


def _step(grammar: Grammar, item: Word | Say | Fill | Case, kinds: Kinds, lengths, split) -> Masses:
    if isinstance(item, Fill):
        others = {(slot, kind) for slot, kind in kinds if slot != item.slot}
        return {frozenset({*others, (item.slot, grammar.slots[item.slot][item.entry].kind)}): lengths}
    if isinstance(item, Case):
        rule = grammar.rules[f"{item.rule} {dict(kinds)[item.slot]}"]
        return _follow(grammar, rule, {kinds: lengths}, split)
    words = 1 if isinstance(item, Word) else _form_length(grammar, item, dict(kinds)[item.slot])
    return {kinds: Counter({length + words: mass for length, mass in lengths.items()})}


def _form_length(grammar: Grammar, item: Say, kind: str) -> int:
    entries = [entry for entry in grammar.slots[item.slot].values() if entry.kind == kind]
    lengths = {len(entry.forms[item.form]) for entry in entries}
    if len(lengths) != 1:
        raise ValueError(f"the {item.form!r} forms of {item.slot!r} have different numbers of words")
    return lengths.pop()


def _joined(parts) -> Masses:
    joined: Masses = {}
    for part in parts:
        for kinds, lengths in part.items():
            joined.setdefault(kinds, Counter()).update(lengths)
    return joined


def _scaled(masses: Masses, factor: float) -> Masses:
    return {
        kinds: Counter({length: mass * factor for length, mass in lengths.items()})
        for kinds, lengths in masses.items()
    }


@lru_cache(maxsize=1)
def _tales() -> StoryProfile:
    return profile(GRAMMAR)


def count_stories() -> int:
    """How many different stories the grammar has."""
    return _tales().count


def story_entropy() -> float:
    """The entropy of one story, in nats."""
    return _tales().entropy


def mean_story_tokens() -> float:
    """The expected number of tokens of a story, its begin token among them."""
    return 1 + sum(length * mass for length, mass in _tales().lengths.items())


def longest_story_tokens() -> int:
    """The number of tokens of the longest story, its begin token among them."""
    return 1 + max(_tales().lengths)


def entropy_per_token(n_ctx: int) -> float:
    """The floor: the expected nats per target of windows of n_ctx + 1 tokens that begin at a story.

    The first token, the begin token, is given; the other n_ctx are targets. Stories follow each other until
    the window is cut. No model has a lower expected loss on such windows.
    """
    tales = _tales()
    begins = [1.0] + [0.0] * n_ctx
    total = 0.0
    for begin in range(n_ctx + 1):
        for length, mass in tales.lengths.items():
            if begin + 1 + length <= n_ctx:
                begins[begin + 1 + length] += begins[begin] * mass
        room = n_ctx - begin
        total += begins[begin] * sum(nats for word, nats in tales.surprisal.items() if word < room)
    return total / n_ctx
