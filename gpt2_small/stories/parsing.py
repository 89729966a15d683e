"""Parse stories: compute token probabilities, and check that stories are well formed and agree."""

import math
from collections.abc import Sequence

from gpt2_small.stories.grammar import Call, Case, Grammar, Node, Say, Word
from gpt2_small.stories.rules import BEGIN, GRAMMAR


class Disagrees(Exception):
    """The grammar does not allow the tokens."""


class Ended(Exception):
    """The tokens end within a story; `words` are the possible next words."""

    def __init__(self, words: set[str]):
        self.words = words


class Reader:
    """Derives given tokens from a grammar, and records each token's log-probability.

    Raises Disagrees at the first token that the grammar does not allow, and Ended when the tokens
    end before the derivation.
    """

    def __init__(self, tokens: Sequence[str], grammar: Grammar = GRAMMAR):
        self.tokens, self.grammar = tokens, grammar
        self.position = 0
        self.log_probs = [0.0] * len(tokens)

    def read(self, words: Sequence[str]) -> None:
        """Read the next tokens, which must be these words."""
        for word in words:
            if self._is_at_end():
                raise Ended({word})
            if self.tokens[self.position] != word:
                raise Disagrees
            self.position += 1

    def choose(self, node: Node) -> Node:
        """The branch of the next token."""
        if self._is_at_end():
            raise Ended(set().union(*map(self.grammar.first_words, node.branches)))
        found = self.grammar.branch_by_word(node, self.tokens[self.position])
        if found is None:
            raise Disagrees
        share, branch = found
        self.log_probs[self.position] += math.log(share)
        return branch

    def _is_at_end(self) -> bool:
        return self.position == len(self.tokens)


def token_log_probs(tokens: Sequence[str]) -> list[float]:
    """The true conditional log-probability of each token, in nats.

    `tokens` is a sequence of stories, each after a begin token; the last may be incomplete. The
    first token is given and has log-probability 0. From the first forbidden token on, all are -inf.
    """
    reader = Reader(tokens)
    try:
        while reader.position < len(tokens):
            reader.read((BEGIN,))
            GRAMMAR.derive(reader.choose, reader.read)
    except Ended:
        pass
    except Disagrees:
        known = reader.log_probs[: reader.position]
        return known + [-math.inf] * (len(tokens) - len(known))
    return reader.log_probs


def next_word_probabilities(tokens: Sequence[str]) -> dict[str, float] | None:
    """The true probability of every possible next word; None for forbidden tokens.

    `tokens` is a sequence of stories as in `token_log_probs`, with at least one begin token.
    """
    story = list(tokens[_last_begin(tokens) :])
    reader = Reader(story)
    words: set[str] = {BEGIN}
    try:
        reader.read((BEGIN,))
        GRAMMAR.derive(reader.choose, reader.read)
    except Ended as end:
        words = end.words
    except Disagrees:
        return None
    if reader.position < len(story):
        return None
    found = {word: token_log_probs([*story, word])[-1] for word in words}
    return {word: math.exp(log_prob) for word, log_prob in found.items() if log_prob > -math.inf}


def _last_begin(tokens: Sequence[str]) -> int:
    return len(tokens) - 1 - list(reversed(tokens)).index(BEGIN) if BEGIN in tokens else 0


def agrees(tokens: Sequence[str]) -> bool:
    """Whether the words (without begin token) are a whole, consistent story."""
    reader = Reader(tokens)
    try:
        GRAMMAR.derive(reader.choose, reader.read)
    except (Disagrees, Ended):
        return False
    return reader.position == len(tokens)


def parses(tokens: Sequence[str]) -> bool:
    """Whether the words (without begin token) are a whole story, possibly inconsistent.

    The sentences must be well formed, but each mention may name another entry of its slot.
    """
    return len(tokens) in _ends(GRAMMAR.rules[GRAMMAR.start], tokens, {0})


def _ends(node: Node, tokens: Sequence[str], begins: set[int]) -> set[int]:
    """The positions at which a node can end if it begins at one of the given positions."""
    for item in node.items:
        if not begins:
            return begins
        if isinstance(item, Word):
            begins = _said((item.text,), tokens, begins)
        elif isinstance(item, Say):
            begins = set().union(*(_said(words, tokens, begins) for words in GRAMMAR.spoken(item)))
        elif isinstance(item, (Call, Case)):
            begins = set().union(*(_ends(rule, tokens, begins) for rule in GRAMMAR.called(item)))
    if not node.branches:
        return begins
    return set().union(*(_ends(branch, tokens, begins) for branch in node.branches))


def _said(words: tuple[str, ...], tokens: Sequence[str], begins: set[int]) -> set[int]:
    return {
        begin + len(words) for begin in begins if tuple(tokens[begin : begin + len(words)]) == words
    }
