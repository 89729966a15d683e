"""Read conversations from small files of every format."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpt2_small.data.conversations.chat_sources import open_chat_source
from gpt2_small.data.conversations.conversation import (
    Audit,
    Conversation,
    RawConversation,
    RawTurn,
    conform,
)

Found = list[list[tuple[str, str]]]


def conformed(*turns: tuple[str, str | None]) -> tuple[list[tuple[str, str]] | None, Audit]:
    """Apply all rules to a conversation; return its turns and the counts."""
    audit = Audit()
    raw = RawConversation(tuple(RawTurn(role, text) for role, text in turns))
    return turns_of(conform(raw, audit)), audit


def turns_of(conversation: Conversation | None) -> list[tuple[str, str]] | None:
    if conversation is None:
        return None
    return [(turn.role, turn.text) for turn in conversation.turns]


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(
    path: Path | str,
    *,
    lang: str | None = None,
    paths: str | None = None,
    limit: int | None = None,
) -> tuple[Found, Audit]:
    """Return a source's conversations after all rules."""
    audit = Audit()
    source = open_chat_source(
        str(path), shape=None, lang=lang, paths=paths, limit=limit, audit=audit
    )
    conversations = [conform(raw, audit) for raw in source.conversations]
    return [turns for each in conversations if (turns := turns_of(each)) is not None], audit


ONE = [[("user", "Hi"), ("assistant", "Ho")]]
MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]


def message(
    id: str, parent: str | None = None, rank: int | None = None, **others: Any
) -> dict[str, Any]:
    """Return a row of oasst1; its role follows from the depth in its id."""
    return {
        "message_id": id,
        "parent_id": parent,
        "message_tree_id": id[0],
        "text": f"text {id}",
        "role": "prompter" if len(id) % 2 else "assistant",
        "lang": "en",
        "rank": rank,
        "deleted": False,
        "synthetic": False,
        "review_result": True,
        "tree_state": "ready_for_export",
    } | others


TREE = [
    message("aa1", "aa"),
    message("aa", "a", 0),
    message("a"),
    message("ab", "a", 1),
    message("aa1x", "aa1", 1),
    message("aa1y", "aa1", 0),
    message("ab1", "ab"),
]
