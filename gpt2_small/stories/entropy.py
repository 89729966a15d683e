"""Compute the number, the lengths and the entropy of the stories exactly."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, TypeVar

from gpt2_small.stories.grammar import Call, Case, Fill, Grammar, Item, Node, Say
from gpt2_small.stories.rules import GRAMMAR

State = TypeVar("State", bound=Hashable)

# The kind of the entry in each slot, which alone determines later lengths and probabilities.
Kinds: TypeAlias = frozenset[tuple[str, str]]

# The probability, or the number of stories, of each state and number of words so far.
Flow: TypeAlias = dict[tuple[Kinds, int], float]

# The fraction of the flow into a choice that each of its branches gets.
Split: TypeAlias = Callable[[Node, Flow], Sequence[float]]


@dataclass(frozen=True)
class StoryStatistics:
    """Exact statistics of a grammar's stories.

    Attributes:
        lengths: the probability of each number of words.
        surprisal: the expected surprisal, in nats, of each word position (from 0); 0 after a
            story's end.
        count: the number of different stories.
    """

    lengths: dict[int, float]
    surprisal: dict[int, float]
    count: int


def statistics_of(grammar: Grammar) -> StoryStatistics:
    """Compute the exact statistics of a left-deterministic grammar.

    It sums over all stories: each choice divides the flow, and the entropy of the choice is that of
    the next word. Nothing is sampled or truncated.
    """
    surprisal: dict[int, float] = defaultdict(float)
    lengths: dict[int, float] = defaultdict(float)

    def by_probability(node: Node, flow: Flow) -> Sequence[float]:
        entropy = -sum(share * math.log(share) for share in node.shares)
        for (_, length), amount in flow.items():
            surprisal[length] += amount * entropy
        return node.shares

    def by_number(node: Node, flow: Flow) -> Sequence[int]:
        return [1] * len(node.branches)

    start = grammar.rules[grammar.start]
    for (_, length), amount in _after(
        grammar, start, {(frozenset(), 0): 1.0}, by_probability
    ).items():
        lengths[length] += amount
    stories = _after(grammar, start, {(frozenset(), 0): 1}, by_number)
    return StoryStatistics(dict(lengths), dict(surprisal), int(sum(stories.values())))


def _after(grammar: Grammar, node: Node, flow: Flow, split: Split) -> Flow:
    """The flow after a node, given the flow before it."""
    for item in node.items:
        if isinstance(item, Call):
            flow = _after(grammar, grammar.rules[item.rule], flow, split)
        else:
            flow = joined(
                _after_item(grammar, item, *state, amount, split) for state, amount in flow.items()
            )
    if not node.branches:
        return flow
    return joined(
        _after(grammar, branch, {state: amount * part for state, amount in flow.items()}, split)
        for part, branch in zip(split(node, flow), node.branches, strict=True)
    )


def _after_item(
    grammar: Grammar, item: Item, kinds: Kinds, length: int, amount: float, split: Split
) -> Flow:
    if isinstance(item, Case):
        rule = grammar.rules[f"{item.rule} {dict(kinds)[item.slot]}"]
        return _after(grammar, rule, {(kinds, length): amount}, split)
    if isinstance(item, Fill):
        others = {(slot, kind) for slot, kind in kinds if slot != item.slot}
        kind = grammar.slots[item.slot][item.entry].kind
        return {(frozenset({*others, (item.slot, kind)}), length): amount}
    words = form_length(grammar, item, dict(kinds)[item.slot]) if isinstance(item, Say) else 1
    return {(kinds, length + words): amount}


def form_length(grammar: Grammar, item: Say, kind: str) -> int:
    """The number of words of a form in the entries of a kind. Raises ValueError if it varies."""
    entries = [entry for entry in grammar.slots[item.slot].values() if entry.kind == kind]
    lengths = {len(entry.forms[item.form]) for entry in entries}
    if len(lengths) > 1:
        raise ValueError(f"{item.slot}.{item.form} has more words in some entries than in others")
    return lengths.pop()


def joined(flows: Iterable[Mapping[State, float]]) -> dict[State, float]:
    """The sum of flows, state by state."""
    total: dict[State, float] = defaultdict(int)
    for flow in flows:
        for state, amount in flow.items():
            total[state] += amount
    return total


@lru_cache(maxsize=1)
def _stories() -> StoryStatistics:
    return statistics_of(GRAMMAR)


def count_stories() -> int:
    """The number of different stories."""
    return _stories().count


def story_entropy() -> float:
    """The entropy of one story, in nats."""
    return sum(_stories().surprisal.values())


def mean_story_tokens() -> float:
    """The expected number of tokens of a story, including its begin token."""
    return 1 + sum(length * mass for length, mass in _stories().lengths.items())


def longest_story_tokens() -> int:
    """The number of tokens of the longest story, including its begin token."""
    return 1 + max(_stories().lengths)


def entropy_per_token(n_ctx: int) -> float:
    """The floor: the lowest possible expected loss, in nats per target, on windows of stories.

    A window has n_ctx + 1 tokens, begins with a begin token, and is filled with consecutive
    stories. The tokens after the first are targets.
    """
    return window_entropy(_stories(), n_ctx) / n_ctx


def window_entropy(stories: StoryStatistics, n_ctx: int) -> float:
    """The entropy in nats of the n_ctx tokens after a begin token, in a stream of stories."""
    begins = [1.0] + [0.0] * n_ctx
    total = 0.0
    for begin in range(n_ctx):
        for length, share in stories.lengths.items():
            if begin + 1 + length <= n_ctx:
                begins[begin + 1 + length] += begins[begin] * share
        seen = [nats for word, nats in stories.surprisal.items() if begin + 1 + word <= n_ctx]
        total += begins[begin] * sum(seen)
    return total
