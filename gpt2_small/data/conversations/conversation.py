"""Define a conversation, and bring what people have into its shape: user, assistant, user, ..."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["user", "assistant"]

ROLES: Mapping[str, Role | Literal["system"]] = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bing", "bard", "model"), "assistant"),
    "system": "system",
}
"""The names of the roles in each format."""

BETWEEN = "\n\n"
"""The separator of two texts that become one turn."""


@dataclass(frozen=True)
class Turn:
    """One side's turn. is_trained: whether the text is a target, where it is the assistant's."""

    role: Role
    text: str
    is_trained: bool = True


@dataclass(frozen=True)
class Conversation:
    """Turns that alternate, the user's first and the assistant's last.

    key: what decides its split; conversations that share a key are never parted.
    """

    turns: tuple[Turn, ...]
    key: str


@dataclass(frozen=True)
class RawTurn:
    """A turn as a file has it.

    text: None where there is none that can be read, such as a call of a tool or a picture.
    """

    role: str
    text: str | None
    is_trained: bool = True


@dataclass(frozen=True)
class RawConversation:
    """A conversation as a file has it, and what decides its split where that is not its text."""

    turns: tuple[RawTurn, ...]
    key: str | None = None


@dataclass
class Audit:
    """Counts of changed and dropped conversations, by the sentence that names the reason.

    changed: of conversations that were kept, counted once a conversation and thing.
    dropped: of conversations that were not.
    """

    read: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """The counts, the largest first."""
        return {
            "read": self.read,
            "changed": dict(self.changed.most_common()),
            "dropped": dict(self.dropped.most_common()),
        }


SYSTEM = "system messages, joined to the user's turn after them"
UNKNOWN_ROLE = "ended before a turn of another role"
NO_TEXT = "ended before a turn without text"
EMPTY = "ended before an empty turn"
SAME_ROLE = "turns of one role in a row, joined"
BEGINS = "began with the assistant, whose first turns were left out"
TRAILING = "ended with the user, whose last turn was left out"
SPECIAL = "texts with <|...|> in them, kept as plain characters"
NO_ANSWER = "no answer of the assistant after a user's turn"

SPELLED = re.compile(r"<\|[^\s|]*\|>")


def conform(raw: RawConversation, audit: Audit) -> Conversation | None:
    """A conversation in which user and assistant alternate; None where nothing is left.

    Every rule that was applied is counted in `audit`, once a conversation.
    """
    audit.read += 1
    applied: set[str] = set()
    turns = _joined(_readable(raw.turns, applied), applied)
    while turns and turns[0].role == "assistant":
        turns.pop(0)
        applied.add(BEGINS)
    if turns and turns[-1].role == "user":
        turns.pop()
        applied.add(TRAILING)
    if not turns:
        audit.dropped[NO_ANSWER] += 1
        return None
    if not any(turn.role == "assistant" and turn.is_trained for turn in turns):
        audit.dropped["nothing that is not trained elsewhere already"] += 1
        return None
    if any(SPELLED.search(turn.text) for turn in turns):
        applied.add(SPECIAL)
    audit.changed.update(applied)
    return Conversation(tuple(turns), raw.key if raw.key is not None else turns[0].text)


def _readable(turns: Iterable[RawTurn], applied: set[str]) -> list[Turn]:
    """The turns up to the first that cannot be used, system messages joined to the user's."""
    found: list[Turn] = []
    system: list[str] = []
    for turn in turns:
        role = ROLES.get(turn.role.strip().lower())
        if role is None or turn.text is None:
            applied.add(UNKNOWN_ROLE if role is None else NO_TEXT)
            break
        if role == "system":
            if turn.text.strip():
                system.append(turn.text)
                applied.add(SYSTEM)
            continue
        if not turn.text.strip():
            applied.add(EMPTY)
            break
        text = turn.text
        if role == "user" and system:
            text, system = BETWEEN.join([*system, text]), []
        found.append(Turn(role, text, turn.is_trained))
    return found


def _joined(turns: Iterable[Turn], applied: set[str]) -> list[Turn]:
    """Neighbours of one role as one turn."""
    found: list[Turn] = []
    for turn in turns:
        if found and found[-1].role == turn.role:
            before = found.pop()
            applied.add(SAME_ROLE)
            turn = Turn(
                turn.role,
                BETWEEN.join((before.text, turn.text)),
                before.is_trained or turn.is_trained,
            )
        found.append(turn)
    return found


def text_of(content: Any) -> str | None:
    """The text of a message's content: a string, or parts of which every one is text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and content:
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        return "".join(texts) if len(texts) == len(parts) else None
    return None
