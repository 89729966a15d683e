"""Print the audit of prepared conversations, and show some of them."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from gpt2_small.data.conversations.chat_folder import open_chats
from gpt2_small.data.conversations.prepare_chats import ChatOptions, prepare_chats
from gpt2_small.errors import shell_word
from gpt2_small.generation.terminal_text import visible
from gpt2_small.tokenizers.protocol import StreamDecoder, Tokenizer

TARGET, OTHER = "bold", "dim"

SPLIT_BY_PATH = (
    "--split path: conversations of one tree are in both parts, so that the held-out loss is too "
    "low; compare it only with published losses of the same split"
)


def prepare_chat_folder(name: str, out: Path, options: ChatOptions) -> None:
    """Prepare conversations and print the audit."""
    console = Console(highlight=False, soft_wrap=True)
    if options.split == "path":
        Console(stderr=True, soft_wrap=True).print(f"warning: {SPLIT_BY_PATH}", style="yellow")
    with Console(stderr=True).status(f"Preparing {name} ..."):
        prepared = prepare_chats(name, out, options)
    console.print(f"Wrote {out}/: {', '.join(sorted(path.name for path in out.iterdir()))}")
    for line in audit_lines(prepared.index):
        console.print(line, markup=False)
    console.print(
        f"Next: gpt2-small prepare {shell_word(out)} --show 3\n"
        f"      gpt2-small train --preset {_preset(name)} --data {shell_word(out)} "
        "--init-from MODEL --out RUN",
        markup=False,
    )


def audit_lines(index: dict[str, Any]) -> list[str]:
    """Counts of conversations read, kept, changed and dropped, one per line."""
    splits, audit = index["splits"], index["audit"]
    kept = sum(facts["conversations"] for facts in splits.values())
    lines = [f"read {audit['read']:,} conversations, kept {kept:,}"]
    for split, facts in splits.items():
        lines.append(
            f"{split:5}  {facts['conversations']:,} conversations, {facts['turns']:,} turns, "
            f"{facts['tokens']:,} tokens, {facts['targets'] / facts['tokens']:.1%} of them trained"
        )
    for title in ("changed", "dropped"):
        lines += [f"{title}: {count:,} {why}" for why, count in audit[title].items() if count]
    return lines


def show_chat_folder(folder: Path, count: int) -> None:
    """Print the first conversations, targets bright."""
    console = Console(highlight=False)
    chats = open_chats(folder)
    for number in range(min(count, len(chats.train))):
        ids, is_target = chats.train.conversation(number)
        console.rule(
            f"conversation {number}: {len(ids):,} tokens, {int(is_target.sum()):,} of them trained"
        )
        console.print(shown(chats.tokenizer, ids, is_target))


def shown(tokenizer: Tokenizer, ids: np.ndarray, is_target: np.ndarray) -> Text:
    """A conversation as text, one turn per line, every token in the style of its mask.

    A character split between tokens has the style of the token that ends it.
    """
    text, decoder = Text(), StreamDecoder(tokenizer)
    assert tokenizer.roles is not None
    for number, (id, target) in enumerate(zip(ids.tolist(), is_target.tolist(), strict=True)):
        is_role = id in tokenizer.roles
        added = visible(decoder.push(id))
        text.append("\n" if is_role and number and not text.plain.endswith("\n") else "")
        text.append(f"{added.strip()} " if is_role else added, style=TARGET if target else OTHER)
    text.append(decoder.finish())
    return text


def _preset(name: str) -> str:
    return "chat-stories" if name == "dialogues" else "chat-oasst"
