"""Grammars whose later words must agree with earlier ones.

A rule is a text with one alternative a line, optionally led by its weight (`3x The end .`). Words stand
between blanks; braces hold what is not a word:

    {rule}               an alternative of `rule`
    {rule@slot}          an alternative of `rule KIND`, where KIND is the kind of what fills the slot
    {slot=form}          fill the slot with any of its entries, and say that form of it
    {slot=form:a+b}      the same, from the entries of kind a or b
    {slot.form}          say that form of what fills the slot
    {slot!entry}         fill the slot without a word

Alternatives that begin alike are merged, so that a choice is made where the first differing words stand.
When the branches of every choice begin with different words, a story can be derived in one way only,
and each word's probability given the words before it is the product of the choices that led to it.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby
from typing import TypeAlias


@dataclass(frozen=True)
class Word:
    text: str


@dataclass(frozen=True)
class Say:
    slot: str
    form: str


@dataclass(frozen=True)
class Fill:
    slot: str
    entry: str


@dataclass(frozen=True)
class Call:
    rule: str


@dataclass(frozen=True)
class Case:
    rule: str
    slot: str


Item: TypeAlias = Word | Say | Fill | Call | Case


@dataclass(frozen=True)
class Entry:
    """One thing that can fill a slot: its kind, and the words of each of its forms."""

    kind: str
    forms: Mapping[str, tuple[str, ...]]


Slots: TypeAlias = Mapping[str, Mapping[str, Entry]]
Filled: TypeAlias = dict[str, Entry]


@dataclass(frozen=True)
class Node:
    """Items one after the other, and then, if there are branches, a choice among them."""

    items: tuple[Item, ...]
    weights: tuple[int, ...] = ()
    branches: tuple["Node", ...] = ()

    @cached_property
    def cumulative(self) -> tuple[int, ...]:
        return tuple(accumulate(self.weights))

    @property
    def shares(self) -> list[float]:
        """The probability of each branch."""
        return [weight / self.cumulative[-1] for weight in self.weights]

    def branch_at(self, point: float) -> "Node":
        """The branch on which a point of [0, 1) falls."""
        return self.branches[bisect_right(self.cumulative, point * self.cumulative[-1])]


Alternative: TypeAlias = tuple[int, tuple[Item, ...]]


class Grammar:
    """Compiled rules. `start` is the rule that a whole story comes from.

    Raises ValueError for a rule that names what is not there, or has an alternative that another continues.
    """

    def __init__(self, slots: Slots, rules: Mapping[str, str], start: str):
        self.slots, self.start = slots, start
        self._texts = rules
        self.rules: dict[str, Node] = {}
        for name, text in rules.items():
            lines = [line for line in map(str.strip, text.splitlines()) if line]
            self.rules[name] = _merge(name, [self._alternative(line) for line in lines])

    def _alternative(self, line: str) -> Alternative:
        first, *rest = line.split()
        if first.endswith("x") and first[:-1].isdigit():
            return int(first[:-1]), tuple(map(self._item, rest))
        return 1, tuple(map(self._item, [first, *rest]))

    def _item(self, word: str) -> Item:
        if not word.startswith("{"):
            return Word(word)
        body = word[1:-1]
        if "=" in body:
            return self._filling(body)
        for mark, kind in (("@", Case), (".", Say), ("!", Fill)):
            if mark in body:
                left, right = body.split(mark)
                return kind(left, right)
        if body not in self._texts:
            raise ValueError(f"{word} names no rule")
        return Call(body)

    def _filling(self, body: str) -> Call:
        """A call of a rule, made when first asked for, that chooses an entry by the words of one form."""
        if body not in self.rules:
            slot, form = body.split("=")
            form, _, kinds = form.partition(":")
            wanted = kinds.split("+") if kinds else None
            entries = [
                (1, (*map(Word, entry.forms[form]), Fill(slot, name)))
                for name, entry in self.slots[slot].items()
                if form in entry.forms and (wanted is None or entry.kind in wanted)
            ]
            self.rules[body] = _merge(body, entries)
        return Call(body)

    def called(self, item: Call | Case, filled: Filled | None = None) -> list[Node]:
        """The rule that an item calls; without knowledge of what is filled, each that it could."""
        if isinstance(item, Call):
            return [self.rules[item.rule]]
        if filled is not None:
            return [self.rules[f"{item.rule} {filled[item.slot].kind}"]]
        kinds = sorted({entry.kind for entry in self.slots[item.slot].values()})
        return [self.rules[f"{item.rule} {kind}"] for kind in kinds]

    def spoken(self, item: Say, filled: Filled | None = None) -> list[tuple[str, ...]]:
        """The words that an item says; without knowledge of what is filled, each that it could."""
        if filled is not None:
            return [filled[item.slot].forms[item.form]]
        forms = [entry.forms for entry in self.slots[item.slot].values()]
        return sorted({form[item.form] for form in forms if item.form in form})

    def first_words(self, node: Node, filled: Filled | None = None) -> set[str]:
        """The words that a node can begin with, given what is filled (or whatever is)."""
        for item in node.items:
            if isinstance(item, Word):
                return {item.text}
            if isinstance(item, Say):
                return {words[0] for words in self.spoken(item, filled)}
            if isinstance(item, (Call, Case)):
                nodes = self.called(item, filled)
                return set().union(*(self.first_words(each, filled) for each in nodes))
        return set().union(*(self.first_words(each, filled) for each in node.branches))

    def words(self) -> set[str]:
        """Every word that can be said."""
        found: set[str] = set()
        for node in self.nodes():
            for item in node.items:
                if isinstance(item, Word):
                    found.add(item.text)
                elif isinstance(item, Say):
                    found.update(*self.spoken(item))
        return found

    def nodes(self) -> Iterator[Node]:
        """Every node of every rule."""
        waiting = list(self.rules.values())
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.branches)

    def derive(
        self, choose: Callable[[Node, Filled], Node], say: Callable[[Sequence[str]], None]
    ) -> None:
        """Walk through one story: `choose` takes a branch at each choice, `say` gets the words."""
        filled: Filled = {}
        waiting = [self.rules[self.start]]
        self._walk(waiting[0], filled, choose, say)

    def _walk(self, node, filled, choose, say) -> None:
        while True:
            for item in node.items:
                if isinstance(item, Word):
                    say((item.text,))
                elif isinstance(item, Say):
                    say(filled[item.slot].forms[item.form])
                elif isinstance(item, Fill):
                    filled[item.slot] = self.slots[item.slot][item.entry]
                else:
                    self._walk(self.called(item, filled)[0], filled, choose, say)
            if not node.branches:
                return
            node = choose(node, filled)


def _merge(name: str, alternatives: Iterable[Alternative]) -> Node:
    """One node for alternatives, with what they have in common said once."""
    remaining = list(alternatives)
    common: list[Item] = []
    while all(items for _, items in remaining):
        if len({items[0] for _, items in remaining}) > 1:
            break
        common.append(remaining[0][1][0])
        remaining = [(weight, items[1:]) for weight, items in remaining]
    if len(remaining) == 1:
        return Node(tuple(common))
    if not all(items for _, items in remaining):
        raise ValueError(f"an alternative of {name!r} is the beginning of another, or is there twice")
    ordered = sorted(remaining, key=lambda alternative: repr(alternative[1][0]))
    groups = [list(group) for _, group in groupby(ordered, key=lambda each: each[1][0])]
    return Node(
        tuple(common),
        tuple(sum(weight for weight, _ in group) for group in groups),
        tuple(_merge(name, group) for group in groups),
    )
