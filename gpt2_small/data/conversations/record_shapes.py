"""Detect the format of a row of conversations, and extract its turns."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from gpt2_small.data.conversations.conversation import RawConversation, RawTurn, text_of
from gpt2_small.errors import UserError

Record: TypeAlias = Mapping[str, Any]
Shape: TypeAlias = Callable[[Record], RawConversation]

OASST = "oasst"
SHOWN_FIELDS = 20
FROM = (OASST, "messages", "sharegpt", "alpaca")
TEXT_FIELDS = ("content", "value", "text")  # of a turn, in one format or another


class BadRow(ValueError):
    """A row in another format. The message is a clause with the reason."""


def shape_of(row: Record, source: str) -> str:
    """Detect the format of a row by its fields.

    Raises UserError, with the row's fields, for an unknown format.
    """
    if "message_tree_id" in row and ("prompt" in row or "message_id" in row):
        return OASST
    if "messages" in row or isinstance(row.get("prompt"), list):
        return "messages"
    if "conversations" in row or "conversation" in row:
        found = row.get("conversations") or row.get("conversation")
        first = found[0] if isinstance(found, list) and found else None
        return "messages" if isinstance(first, dict) and "role" in first else "sharegpt"
    if "instruction" in row and ("output" in row or "response" in row):
        return "alpaca"
    if "message_id" in row and "parent_id" in row:
        return OASST
    more = ", ..." if len(row) > SHOWN_FIELDS else ""
    fields = ", ".join(list(row)[:SHOWN_FIELDS]) + more
    raise UserError(
        f"{source} has rows with the fields {fields or 'none'}, which is not "
        f"a known format; give --from {', '.join(FROM[:-1])} or {FROM[-1]}, or rename them"
    )


def messages(row: Record) -> RawConversation:
    """Convert a row of OpenAI's and TRL's format (also UltraChat's): `messages`.

    Each has `role` and `content`, perhaps `weight`; the row may have a `system` message, as in
    Anthropic's format. TRL's variant has messages in `prompt` and `completion`, or `chosen` of a
    pair. An answer with the `label` false, as in TRL's unpaired preferences, is no target.
    """
    if "messages" not in row and isinstance(row.get("prompt"), list):
        found = [*row["prompt"], *_list(row, "completion", "chosen")]
    else:
        found = _list(row, "messages", "conversations", "conversation")
    turns = [*_system(row), *_turns(found, "role", "content")]
    if row.get("label") is False:
        turns = [replace(turn, is_trained=False) for turn in turns]
    return RawConversation(tuple(turns))


def sharegpt(row: Record) -> RawConversation:
    """Convert a row of ShareGPT's format: `conversations` of `from` and `value`, maybe `system`.

    LLaMA-Factory's pairs have the better last answer in `chosen`.
    """
    found = _list(row, "conversations", "conversation", "messages")
    if isinstance(row.get("chosen"), dict):
        found = [*found, row["chosen"]]
    return RawConversation((*_system(row), *_turns(found, "from", "value")))


def alpaca(row: Record) -> RawConversation:
    """Convert a row of Alpaca's format: `instruction` and `output`.

    `input` (Dolly's `context`), `system` and `history` are optional; an input follows its
    instruction after an empty line.
    """
    instruction = row.get("instruction")
    output = row["output"] if "output" in row else row.get("response")
    if not isinstance(instruction, str) or not isinstance(output, str):
        raise BadRow("its instruction or its output is not a text")
    extra = row.get("input") or row.get("context") or ""
    if not isinstance(extra, str):
        raise BadRow("its input is not a text")
    turns = _system(row)
    for pair in row.get("history") or []:
        if not (isinstance(pair, list | tuple) and len(pair) == 2):
            raise BadRow("its history is not a list of pairs")
        turns += [RawTurn("user", text_of(pair[0])), RawTurn("assistant", text_of(pair[1]))]
    asked = f"{instruction}\n\n{extra}" if extra.strip() else instruction
    return RawConversation((*turns, RawTurn("user", asked), RawTurn("assistant", output)))


SHAPES: Mapping[str, Shape] = {"messages": messages, "sharegpt": sharegpt, "alpaca": alpaca}


def _system(row: Record) -> list[RawTurn]:
    """The system message of a row, beside its turns."""
    text = text_of(row.get("system"))
    return [RawTurn("system", text)] if text is not None and text.strip() else []


def _turns(found: list[Any], role: str, content: str) -> Iterator[RawTurn]:
    """The turns of a list. The weight 0 marks an answer that is no target.

    Its name is `weight` in OpenAI's format, and `loss_weight` in LLaMA-Factory's.
    """
    for number, turn in enumerate(found, start=1):
        if not isinstance(turn, dict):
            raise BadRow(f"its turn {number} is not an object")
        if not isinstance(turn.get(role), str):
            raise BadRow(f"its turn {number} has no {role!r}")
        weight = turn.get("weight", turn.get("loss_weight"))
        if weight not in (None, 0, 1):
            raise BadRow(f"its turn {number} has the weight {weight!r}, which is neither 0 nor 1")
        _check_content(turn, content, number)
        yield RawTurn(turn[role], text_of(turn.get(content)), is_trained=weight != 0)


def _check_content(turn: Record, content: str, number: int) -> None:
    """Refuse a turn with a number for its text, or with its text in another field."""
    if isinstance(turn.get(content), int | float):
        raise BadRow(f"its turn {number} has the {content} {turn[content]!r}, which is not a text")
    if content not in turn:
        for other in TEXT_FIELDS:
            if isinstance(turn.get(other), str):
                raise BadRow(f"its turn {number} has {other!r} instead of {content!r}")


def _list(row: Record, *names: str) -> list[Any]:
    for name in names:
        if name in row:
            found = row[name]
            if not isinstance(found, list):
                raise BadRow(f"its {name!r} is not a list")
            return found
    raise BadRow(f"it has no {names[0]!r}")
