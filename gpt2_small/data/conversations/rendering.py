"""Convert a conversation to token ids and a mask of targets, and shorten long ones.

    <|user|> text <|endoftext|> <|assistant|> text <|endoftext|> ...

The ids of roles, texts and ends are concatenated, without characters between them. Targets are the
assistant's text and its end.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gpt2_small.data.conversations.conversation import Audit, Conversation
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.protocol import Tokenizer

TOO_LONG = ("drop-turns", "drop")
CUT = "longer than --max-length, whose oldest turns were left out"
DROPPED = "longer than --max-length"
NOTHING_LEFT = "longer than --max-length, without any target after dropping turns"


@dataclass(frozen=True)
class RenderedConversation:
    """A conversation's token ids, and which of them are targets; both [tokens]."""

    ids: np.ndarray
    is_target: np.ndarray
    turns: int


def turn_ids(tokenizer: Tokenizer, role: str, text: str) -> list[int]:
    """The ids of a turn: role, text and end. Token names in the text are plain characters."""
    return [role_id(tokenizer, role), *tokenizer.encode_ordinary(text), end_id(tokenizer)]


def role_id(tokenizer: Tokenizer, role: str) -> int:
    """The id that begins a turn. Raises UserError for a tokenizer without roles."""
    if tokenizer.roles is None:
        raise UserError(f"tokenizer {tokenizer.name!r} has no roles; give {tokenizer.name}-chat")
    return tokenizer.roles.user if role == "user" else tokenizer.roles.assistant


def end_id(tokenizer: Tokenizer) -> int:
    """The id that ends a turn, of a tokenizer with roles."""
    assert tokenizer.end_of_text is not None
    return tokenizer.end_of_text


def render(
    conversation: Conversation,
    tokenizer: Tokenizer,
    *,
    max_length: int,
    too_long: str,
    audit: Audit,
) -> RenderedConversation | None:
    """Render a conversation in at most `max_length` tokens; None if it is dropped.

    With `drop-turns` the oldest pairs of turns are dropped until it fits.
    """
    ids, targets = zip(*_turns(conversation, tokenizer), strict=True)
    first, length = 0, sum(map(len, ids))
    while length > max_length and first < len(ids):
        if too_long == "drop":
            audit.dropped[DROPPED] += 1
            return None
        length -= len(ids[first]) + len(ids[first + 1])
        first += 2
    is_target = np.concatenate([*targets[first:], np.empty(0, dtype=bool)])
    if not is_target.any():
        audit.dropped[NOTHING_LEFT if first < len(ids) else DROPPED] += 1
        return None
    if first:
        audit.changed[CUT] += 1
    return RenderedConversation(np.concatenate(ids[first:]), is_target, len(ids) - first)


def _turns(
    conversation: Conversation, tokenizer: Tokenizer
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for turn in conversation.turns:
        ids = np.array(turn_ids(tokenizer, turn.role, turn.text))
        is_target = np.full(len(ids), turn.role == "assistant" and turn.is_trained)
        is_target[0] = False
        yield ids, is_target
