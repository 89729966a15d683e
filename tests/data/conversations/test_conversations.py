"""Test the rules for awkward turns of a conversation, and their counts."""

from collections import Counter

import pytest
from conversation_sources import conformed

from gpt2_small.data.conversations.conversation import (
    BEGINS,
    EMPTY,
    LATE_SYSTEM,
    NO_ANSWER,
    NO_ANSWER_IN_TEXT,
    NO_KNOWN_ROLE,
    NO_TEXT,
    SAME_ROLE,
    SPECIAL,
    SYSTEM,
    TRAILING,
    UNKNOWN_ROLE,
)


@pytest.mark.parametrize(
    ("turns", "expected", "counted"),
    [
        ([("user", "a"), ("assistant", "b")], [("user", "a"), ("assistant", "b")], []),
        ([("Human", "a"), ("gpt", "b")], [("user", "a"), ("assistant", "b")], []),
        (
            [("system", "s"), ("user", "a"), ("assistant", "b")],
            [("user", "s\n\na"), ("assistant", "b")],
            [SYSTEM],
        ),
        (
            [("developer", "s"), ("user", "a"), ("assistant", "b")],
            [("user", "s\n\na"), ("assistant", "b")],
            [SYSTEM],
        ),
        (
            [("user", "a"), ("system", "s"), ("assistant", "b")],
            [("user", "a"), ("assistant", "b")],
            [LATE_SYSTEM],
        ),
        (
            [("user", "a"), ("user", "b"), ("assistant", "c")],
            [("user", "a\n\nb"), ("assistant", "c")],
            [SAME_ROLE],
        ),
        (
            [("assistant", "z"), ("user", "a"), ("assistant", "b")],
            [("user", "a"), ("assistant", "b")],
            [BEGINS],
        ),
        (
            [("user", "a"), ("assistant", "b"), ("user", "c")],
            [("user", "a"), ("assistant", "b")],
            [TRAILING],
        ),
        (
            [("user", "a"), ("assistant", "b"), ("tool", "x"), ("assistant", "y")],
            [("user", "a"), ("assistant", "b")],
            [UNKNOWN_ROLE],
        ),
        (
            [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", " \n")],
            [("user", "a"), ("assistant", "b")],
            [EMPTY, TRAILING],
        ),
        (
            [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", None)],
            [("user", "a"), ("assistant", "b")],
            [NO_TEXT, TRAILING],
        ),
        (
            [("user", "<|assistant|>x"), ("assistant", "b<|endoftext|>")],
            [("user", "<|assistant|>x"), ("assistant", "b<|endoftext|>")],
            [SPECIAL],
        ),
        (
            [("user", "<|im_start|>"), ("assistant", "a <| b |> c")],
            [("user", "<|im_start|>"), ("assistant", "a <| b |> c")],
            [SPECIAL],
        ),
        (
            [("user", "a <| b |> c"), ("assistant", "|> and <|")],
            [("user", "a <| b |> c"), ("assistant", "|> and <|")],
            [],
        ),
    ],
)
def test_every_rule_for_awkward_turns_is_applied_and_counted(
    turns: list[tuple[str, str]], expected: list[tuple[str, str]], counted: list[str]
) -> None:
    found, audit = conformed(*turns)
    assert found == expected
    assert audit.changed == Counter(counted)


@pytest.mark.parametrize(
    "turns",
    [[], [("user", "a")], [("assistant", "a")], [("system", "s")], [("user", ""), ("gpt", "b")]],
)
def test_a_conversation_without_an_answer_is_dropped_and_counted(
    turns: list[tuple[str, str]],
) -> None:
    found, audit = conformed(*turns)
    assert found is None
    assert audit.dropped == {NO_ANSWER: 1}


@pytest.mark.parametrize(
    ("turn", "reason"),
    [(("Chatbot", "b"), NO_KNOWN_ROLE), (("assistant", None), NO_ANSWER_IN_TEXT)],
)
def test_the_turn_that_ends_a_conversation_before_any_answer_is_the_counted_reason(
    turn: tuple[str, str | None], reason: str
) -> None:
    found, audit = conformed(("user", "a"), turn)
    assert found is None
    assert audit.dropped == {reason: 1}
