"""Compute the floor of the dialogues: the lowest possible loss on their targets.

Targets are the assistant's words and the end token after them.
"""

import math
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from gpt2_small.stories.dialogues.dialogue_rules import ASSISTANT, DIALOGUES, END, USER
from gpt2_small.stories.entropy import Kinds, form_length, joined
from gpt2_small.stories.grammar import Call, Case, Fill, Grammar, Item, Node, Say


class DialogueState(NamedTuple):
    """The state that determines later words: the kind in each slot, and whose turn it is."""

    kinds: Kinds
    is_assistant: bool


# The probability of each state.
Flow: TypeAlias = dict[DialogueState, float]


class Expected:
    """The expected nats and targets of one derivation, by summing over all derivations.

    nats: entropy of the choices of targets.
    targets: the number of targets.
    """

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self.nats = self.targets = 0.0
        start = DialogueState(frozenset(), False)
        self._after(grammar.rules[grammar.start], {start: 1.0})

    def _after(self, node: Node, flow: Flow) -> Flow:
        for item in node.items:
            if isinstance(item, Call):
                flow = self._after(self._grammar.rules[item.rule], flow)
            else:
                flow = joined([self._after_item(item, *each) for each in flow.items()])
        if not node.branches:
            return flow
        entropy = -sum(share * math.log(share) for share in node.shares)
        self.nats += entropy * sum(mass for state, mass in flow.items() if state.is_assistant)
        return joined(
            [
                self._after(branch, {state: mass * share for state, mass in flow.items()})
                for share, branch in zip(node.shares, node.branches, strict=True)
            ]
        )

    def _after_item(self, item: Item, state: DialogueState, mass: float) -> Flow:
        kinds = dict(state.kinds)
        if isinstance(item, Case):
            return self._after(
                self._grammar.rules[f"{item.rule} {kinds[item.slot]}"], {state: mass}
            )
        if isinstance(item, Fill):
            kinds[item.slot] = self._grammar.slots[item.slot][item.entry].kind
            return {state._replace(kinds=frozenset(kinds.items())): mass}
        if isinstance(item, Say):
            words = form_length(self._grammar, item, kinds[item.slot])
            self.targets += words * mass * state.is_assistant
            return {state: mass}
        assert not isinstance(item, Call)
        if item.text in (USER, ASSISTANT):
            return {state._replace(is_assistant=item.text == ASSISTANT): mass}
        self.targets += mass * state.is_assistant
        return {state._replace(is_assistant=state.is_assistant and item.text != END): mass}


@lru_cache(maxsize=1)
def _dialogues() -> Expected:
    return Expected(DIALOGUES)


def dialogue_floor() -> float:
    """The floor, in nats per target: expected nats over expected targets of a dialogue."""
    return _dialogues().nats / _dialogues().targets
