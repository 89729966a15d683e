"""Turn a conversation into token ids and the mask of its targets, and shorten one that is too long.

    <|user|> text <|endoftext|> <|assistant|> text <|endoftext|> ...

The ids of roles, texts and ends are joined, with no characters between. Targets are the
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
NOTHING_LEFT = "longer than --max-length, and nothing that is trained is left after the cut"


@dataclass(frozen=True)
class Rendered:
    """A conversation's token ids, and which of them are targets; both [tokens]."""

    ids: np.ndarray
    is_target: np.ndarray
    turns: int


def turn_ids(tokenizer: Tokenizer, role: str, text: str) -> list[int]:
    """A turn with its role before it and the end after it; names of tokens in it are text."""
    return [role_id(tokenizer, role), *tokenizer.encode_ordinary(text), end_id(tokenizer)]


def role_id(tokenizer: Tokenizer, role: str) -> int:
    """The id that begins a turn. Raises UserError for a tokenizer without roles."""
    if tokenizer.roles is None:
        raise UserError(
            f"tokenizer {tokenizer.name!r} has no roles; give {tokenizer.name}-chat, which has"
        )
    return tokenizer.roles.user if role == "user" else tokenizer.roles.assistant


def end_id(tokenizer: Tokenizer) -> int:
    """The id that ends a turn; a tokenizer with roles has one."""
    assert tokenizer.end_of_text is not None
    return tokenizer.end_of_text


def render(
    conversation: Conversation,
    tokenizer: Tokenizer,
    *,
    max_length: int,
    too_long: str,
    audit: Audit,
) -> Rendered | None:
    """A conversation's ids and targets, of at most `max_length` tokens; None where it is dropped.

    With `drop-turns` the oldest pairs of turns go, until it fits.
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
    return Rendered(np.concatenate(ids[first:]), is_target, len(ids) - first)


def _turns(
    conversation: Conversation, tokenizer: Tokenizer
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for turn in conversation.turns:
        ids = np.array(turn_ids(tokenizer, turn.role, turn.text))
        is_target = np.full(len(ids), turn.role == "assistant" and turn.is_trained)
        is_target[0] = False
        yield ids, is_target
