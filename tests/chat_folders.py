"""Prepare small folders of conversations, and render conversations independently."""

import json
from pathlib import Path
from typing import Any

from gpt2_small.data.conversations.conversation import Audit, Conversation, Turn
from gpt2_small.data.conversations.prepare_chats import ChatOptions, prepare_chats
from gpt2_small.data.conversations.rendering import RenderedConversation, render
from gpt2_small.tokenizers.registry import make_tokenizer

TOKENIZER = make_tokenizer("byte-chat")
END, USER, ASSISTANT = 256, 257, 258


def conversation(*texts: str, trained: bool = True) -> Conversation:
    turns = [
        Turn("assistant" if number % 2 else "user", text, trained)
        for number, text in enumerate(texts)
    ]
    return Conversation(tuple(turns), texts[0])


def independent(texts: list[str]) -> tuple[list[int], list[bool]]:
    """Render a conversation of byte tokens without the package's code."""
    ids, mask = [], []
    for number, text in enumerate(texts):
        body = list(text.encode())
        ids += [258 if number % 2 else 257, *body, 256]
        mask += [False] + [number % 2 == 1] * (len(body) + 1)
    return ids, mask


def rows(count: int = 60) -> list[dict[str, Any]]:
    """Return conversations of several lengths; each ten share their first message."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"question {number // 10}"},
                {"role": "assistant", "content": "x" * (number % 13 + 1)},
            ]
        }
        for number in range(count)
    ]


def prepared(folder: Path, count: int = 60, **options: Any) -> Path:
    source = folder / "rows.jsonl"
    source.write_text("\n".join(map(json.dumps, rows(count))))
    given: dict[str, Any] = {"tokenizer": "byte-chat", "validation_share": 0.3} | options
    prepare_chats(str(source), folder / "chats", ChatOptions(**given))
    return folder / "chats"


def rendered(
    found: Conversation, *, max_length: int = 1024, too_long: str = "drop-turns"
) -> tuple[RenderedConversation | None, Audit]:
    """Render a conversation; return it (None if dropped) and the counts."""
    audit = Audit()
    return render(found, TOKENIZER, max_length=max_length, too_long=too_long, audit=audit), audit
