"""Compile and derive grammars whose later words must agree with earlier ones.

A rule is a text with one alternative on each line, optionally after its weight (`3x The end .`).
Words are separated by blanks; braces contain commands:

    {rule}               an alternative of `rule`
    {rule@slot}          an alternative of `rule KIND`, where KIND is the kind of the slot's entry
    {slot=form}          fill the slot with any of its entries, and say this form of it
    {slot=form:a+b}      the same, from the entries of kind a or b
    {slot.form}          say this form of the slot's entry
    {slot=} {slot}       the same two, with the form called "plain"
    {slot!entry}         fill the slot without saying a word

Common beginnings of alternatives are merged, so that the branches of a choice begin with different
words. A story then has a single derivation, and the conditional probability of a word is the
product of the choices just before it.
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
    """An entry of a slot: its kind, and the words of each of its forms."""

    kind: str
    forms: Mapping[str, tuple[str, ...]]


PLAIN = "plain"

Slots: TypeAlias = Mapping[str, Mapping[str, Entry]]


@dataclass(frozen=True, eq=False)
class Node:
    """A sequence of items, followed by a choice between branches, if there are any."""

    items: tuple[Item, ...]
    weights: tuple[int, ...] = ()
    branches: tuple["Node", ...] = ()

    @cached_property
    def cumulative(self) -> list[int]:
        return list(accumulate(self.weights))

    @property
    def shares(self) -> list[float]:
        """The probability of each branch."""
        return [weight / self.cumulative[-1] for weight in self.weights]

    def branch_at(self, point: float) -> "Node":
        """The branch that a random number in [0, 1) selects."""
        return self.branches[bisect_right(self.cumulative, point * self.cumulative[-1])]


Alternative: TypeAlias = tuple[int, tuple[Item, ...]]


class Grammar:
    """Compiled rules. `start` is the rule of a whole story.

    Raises ValueError for a rule with an unknown name, or with two alternatives that their next word
    does not distinguish.
    """

    def __init__(self, slots: Slots, rules: Mapping[str, str], start: str):
        self.slots, self.start = slots, start
        self._texts = rules
        self.rules: dict[str, Node] = {}
        for name, text in rules.items():
            lines = [line for line in map(str.strip, text.splitlines()) if line]
            self.rules[name] = _merge(name, [self._alternative(line) for line in lines])
        self._branches = {node: self._by_first_word(node) for node in self.nodes()}

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
        if "@" in body:
            return Case(*body.split("@"))
        if "!" in body:
            return Fill(*body.split("!"))
        if body in self._texts:
            return Call(body)
        slot, _, form = body.partition(".")
        if slot not in self.slots:
            raise ValueError(f"{word} names no rule and no slot")
        return Say(slot, form or PLAIN)

    def _filling(self, body: str) -> Call:
        """A call of a rule, made at first use, that chooses an entry and says it."""
        if body not in self.rules:
            slot, form = body.split("=")
            form, _, kinds = form.partition(":")
            wanted = kinds.split("+") if kinds else None
            entries: list[Alternative] = [
                (1, (*map(Word, entry.forms[form or PLAIN]), Fill(slot, name)))
                for name, entry in self.slots[slot].items()
                if (form or PLAIN) in entry.forms and (wanted is None or entry.kind in wanted)
            ]
            self.rules[body] = _merge(body, entries)
        return Call(body)

    def called(self, item: Call | Case) -> list[Node]:
        """The rules that an item may call."""
        if isinstance(item, Call):
            return [self.rules[item.rule]]
        kinds = sorted({entry.kind for entry in self.slots[item.slot].values()})
        return [self.rules[f"{item.rule} {kind}"] for kind in kinds]

    def spoken(self, item: Say) -> list[tuple[str, ...]]:
        """The word sequences that an item may say."""
        forms = [entry.forms for entry in self.slots[item.slot].values()]
        return sorted({form[item.form] for form in forms if item.form in form})

    def first_words(self, node: Node) -> set[str]:
        """The words that a node may begin with."""
        for item in node.items:
            if isinstance(item, Word):
                return {item.text}
            if isinstance(item, Say):
                return {words[0] for words in self.spoken(item)}
            if isinstance(item, (Call, Case)):
                return set().union(*map(self.first_words, self.called(item)))
        return set().union(*map(self.first_words, node.branches))

    def branch_by_word(self, node: Node, word: str) -> tuple[float, Node] | None:
        """The branch that may begin with a word, after its probability; None without one."""
        return self._branches[node].get(word)

    def _by_first_word(self, node: Node) -> dict[str, tuple[float, Node]]:
        branches: dict[str, tuple[float, Node]] = {}
        for share, branch in zip(node.shares, node.branches, strict=True):
            for word in self.first_words(branch):
                if word in branches:
                    raise ValueError(f"two branches begin with {word!r} after {node.items}")
                branches[word] = share, branch
        return branches

    def words(self) -> set[str]:
        """The words that can be said."""
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
        self, choose: Callable[[Node], Node], say: Callable[[Sequence[str]], object]
    ) -> None:
        """Derive one story: `choose` selects a branch at each choice, `say` receives the words."""
        filled: dict[str, Entry] = {}

        def walk(node: Node) -> None:
            while True:
                for item in node.items:
                    if isinstance(item, Word):
                        say((item.text,))
                    elif isinstance(item, Say):
                        say(filled[item.slot].forms[item.form])
                    elif isinstance(item, Fill):
                        filled[item.slot] = self.slots[item.slot][item.entry]
                    elif isinstance(item, Call):
                        walk(self.rules[item.rule])
                    else:
                        walk(self.rules[f"{item.rule} {filled[item.slot].kind}"])
                if not node.branches:
                    return
                node = choose(node)

        walk(self.rules[self.start])


def _merge(name: str, alternatives: Iterable[Alternative]) -> Node:
    """Make a node of alternatives, and merge their common beginning."""
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
        raise ValueError(
            f"an alternative of {name!r} is the beginning of another, or is there twice"
        )
    ordered = sorted(remaining, key=lambda alternative: repr(alternative[1][0]))
    groups = [list(group) for _, group in groupby(ordered, key=lambda each: each[1][0])]
    return Node(
        tuple(common),
        tuple(sum(weight for weight, _ in group) for group in groups),
        tuple(_merge(name, group) for group in groups),
    )
