"""Define a conversation, and convert raw ones to alternating turns of user and assistant."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["user", "assistant"]

# The names of the roles in all formats.
ROLES: Mapping[str, Role | Literal["system"]] = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bing", "bard", "model"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}

# The separator of two texts that are joined to one turn.
BETWEEN = "\n\n"


@dataclass(frozen=True)
class Turn:
    """One turn. is_trained: whether an assistant's text is a target."""

    role: Role
    text: str
    is_trained: bool = True


@dataclass(frozen=True)
class Conversation:
    """Alternating turns, the user's first and the assistant's last.

    key: determines the split; conversations with equal keys are in the same split.
    """

    turns: tuple[Turn, ...]
    key: str


@dataclass(frozen=True)
class RawTurn:
    """A turn as stored in a file.

    text: None for a turn without text, such as a tool call or a picture.
    """

    role: str
    text: str | None
    is_trained: bool = True


@dataclass(frozen=True)
class RawConversation:
    """A conversation as stored in a file. key: as in `Conversation`; None for the first text."""

    turns: tuple[RawTurn, ...]
    key: str | None = None


@dataclass
class Audit:
    """Counts of changed and dropped conversations, by reason.

    changed: changes of the remaining conversations, each reason counted once per conversation.
    dropped: dropped conversations.
    unknown_roles: of the turns before which conversations without an answer ended.
    """

    read: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    unknown_roles: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """The counts, the largest first."""
        return {
            "read": self.read,
            "changed": dict(self.changed.most_common()),
            "dropped": dict(self.dropped.most_common()),
        }


SYSTEM = "system messages, joined to the user's turn after them"
LATE_SYSTEM = "system messages without a user's turn after them, left out"
UNKNOWN_ROLE = "ended before a turn of another role"
NO_TEXT = "ended before a turn without text"
EMPTY = "ended before an empty turn"
SAME_ROLE = "turns of one role in a row, joined"
BEGINS = "began with the assistant, whose first turns were left out"
TRAILING = "ended with the user, whose last turn was left out"
SPECIAL = "texts with <|...|> in them, encoded as plain characters"
NO_ANSWER = "no answer of the assistant after a user's turn"
NO_KNOWN_ROLE = "no answer before a turn of another role than user, assistant and system"
NO_ANSWER_IN_TEXT = "no answer before a turn without text, such as a tool call or a picture"
NO_TARGET = "no answer is a target: each is one elsewhere, has the weight 0, or is labelled false"

SPELLED = re.compile(r"<\|[^\s|]*\|>")


def conform(raw: RawConversation, audit: Audit) -> Conversation | None:
    """Convert a raw conversation to alternating turns; None if nothing remains.

    Each applied rule is counted in `audit`, once per conversation.
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
        reasons = {UNKNOWN_ROLE: NO_KNOWN_ROLE, NO_TEXT: NO_ANSWER_IN_TEXT}
        reason = next((why for rule, why in reasons.items() if rule in applied), NO_ANSWER)
        audit.dropped[reason] += 1
        if reason == NO_KNOWN_ROLE:
            audit.unknown_roles[next(t.role for t in raw.turns if _known_role(t) is None)] += 1
        return None
    if not any(turn.role == "assistant" and turn.is_trained for turn in turns):
        audit.dropped[NO_TARGET] += 1
        return None
    if any(SPELLED.search(turn.text) for turn in turns):
        applied.add(SPECIAL)
    audit.changed.update(applied)
    return Conversation(tuple(turns), raw.key if raw.key is not None else turns[0].text)


def _readable(turns: Iterable[RawTurn], applied: set[str]) -> list[Turn]:
    """The turns before the first unusable one, with system messages joined to the user's turn."""
    found: list[Turn] = []
    system: list[str] = []
    for turn in turns:
        role = _known_role(turn)
        if role is None or turn.text is None:
            applied.add(UNKNOWN_ROLE if role is None else NO_TEXT)
            break
        if role == "system":
            if turn.text.strip():
                system.append(turn.text)
            continue
        if not turn.text.strip():
            applied.add(EMPTY)
            break
        text = turn.text
        if role == "user" and system:
            text, system = BETWEEN.join([*system, text]), []
            applied.add(SYSTEM)
        found.append(Turn(role, text, turn.is_trained))
    if system:
        applied.add(LATE_SYSTEM)
    return found


def _known_role(turn: RawTurn) -> Role | Literal["system"] | None:
    return ROLES.get(turn.role.strip().lower())


def _joined(turns: Iterable[Turn], applied: set[str]) -> list[Turn]:
    """Join consecutive turns of one role; a part that is no target makes the whole no target."""
    found: list[Turn] = []
    for turn in turns:
        if found and found[-1].role == turn.role:
            before = found.pop()
            applied.add(SAME_ROLE)
            turn = Turn(
                turn.role,
                BETWEEN.join((before.text, turn.text)),
                before.is_trained and turn.is_trained,
            )
        found.append(turn)
    return found


def text_of(content: Any) -> str | None:
    """The text of a message's content, a string or parts; None if a part is not text.

    A part is a string, or an object with a `text` (LLaMA-Factory: of type `text` with a `value`).
    """
    if isinstance(content, str):
        return content
    if isinstance(content, list) and content:
        parts = [_text_of_part(part) if isinstance(part, dict) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        return "".join(texts) if len(texts) == len(parts) else None
    return None


def _text_of_part(part: dict[str, Any]) -> Any:
    return (
        part.get("value") if part.get("type") == "text" and "text" not in part else part.get("text")
    )
