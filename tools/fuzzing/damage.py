"""Damage one of the files, and choose a command that reads it."""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from small_runs import flags

from .cases import Case
from .commands import commands


def json_nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Return every container in a JSON value with a key or an index into it."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in items:
        yield value, key
        if isinstance(child, dict | list):
            yield from json_nodes(child)


WRONG_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    1.5,
    "",
    "x",
    [],
    {},
    [[]],
    "../../etc/passwd",
)


def damage_json(path: Path, rng: random.Random) -> None:
    """Change, remove or rename one value of a JSON file, or of one of its lines."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    number = rng.randrange(len(lines))
    content = json.loads(lines[number])
    container, key = rng.choice(list(json_nodes(content)) or [(content, None)])
    if key is not None and rng.random() < 0.7:
        container[key] = rng.choice(WRONG_VALUES)
    elif isinstance(container, dict) and key is not None:
        container[f"{key}x"] = container.pop(key)
    lines[number] = json.dumps(content)
    path.write_text("\n".join(lines) + "\n")


def damage_bytes(path: Path, rng: random.Random) -> None:
    """Flip bits of a file's content, or cut, extend or replace it."""
    content = bytearray(path.read_bytes())
    way = rng.choice(["flip", "flip", "cut", "extend", "random", "empty", "deep", "zeros"])
    if way == "flip" and content:
        for _ in range(rng.choice([1, 3, 20])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif way == "cut":
        content = content[: rng.randrange(len(content) + 1)]
    elif way == "extend":
        content += rng.randbytes(rng.choice([1, 2, 1000]))
    elif way == "zeros":
        content = bytearray(len(content))
    else:
        content = bytearray({"random": rng.randbytes(500), "deep": b"[" * 100_000}.get(way, b""))
    path.write_bytes(bytes(content))


def damage_kind(path: Path, rng: random.Random) -> None:
    """Replace a file by nothing, a folder, a link or a pipe."""
    path.unlink()
    way = rng.choice(["nothing", "folder", "dangling", "loop", "unreadable", "pipe"])
    if way == "folder":
        path.mkdir()
    elif way == "dangling":
        path.symlink_to("nothing")
    elif way == "loop":
        path.symlink_to(path.name)
    elif way == "unreadable":
        path.write_bytes(b"{}")
        path.chmod(0)
    elif way == "pipe":
        os.mkfifo(path)


# The commands that read each fixture.
READERS: dict[str, list[list[str]]] = {
    "run": [
        ["train", "--out", "run", "--resume", "--max-steps", "7"],
        ["sample", "--model", "run", "--prompt", "KING", "--max-new-tokens", "2"],
        ["export", "run", "new"],
        ["evaluate", "run", "--data", "play.txt"],
    ],
    "shards": [
        [
            "train",
            "--preset",
            "characters",
            "--data",
            "shards",
            "--out",
            "new",
            *flags(max_steps=1),
        ],
        ["prepare", "play.txt", "--out", "shards", "--tokenizer", "byte"],
        ["evaluate", "run", "--data", "shards"],
    ],
    "export": [
        ["sample", "--model", "export", "--prompt", "KING", "--max-new-tokens", "2"],
        ["evaluate", "export", "--data", "play.txt"],
    ],
    "chats": [
        ["train", "--preset", "chat-oasst", "--data", "chats", "--out", "new", *flags(n_ctx=32)],
        ["prepare", "chats", "--show", "2"],
        ["prepare", "talks.jsonl", "--chat", "--out", "chats", "--tokenizer", "byte-chat"],
    ],
    "chat-run": [
        ["chat", "chat-run", "Hello", "--max-new-tokens", "3"],
        ["train", "--out", "chat-run", "--resume", "--max-steps", "7"],
    ],
    "rows.jsonl": [["prepare", "rows.jsonl", "--out", "new", "--tokenizer", "byte"]],
    "talks.jsonl": [
        ["prepare", "talks.jsonl", "--chat", "--out", "new", "--tokenizer", "byte-chat"]
    ],
    "choices.jsonl": [["evaluate", "run", "--choices", "choices.jsonl"]],
    "begun.py": [["check", "begun.py", "--component", "LayerNorm"], ["show", "MLP"]],
    "lesson.py": [["check", "lesson.py"]],
}


def damaged_case(folder: Path, rng: random.Random, about: str) -> Case:
    """Return a fixture with one damaged file, and a command that reads it."""
    known = commands()
    name = rng.choice(list(READERS))
    readers = [words for words in READERS[name] if words[0] in known]
    place = folder / name
    files = sorted(path for path in place.rglob("*") if path.is_file()) or [place]
    path = rng.choice(files)
    ways: list[Callable[[Path, random.Random], None]] = [damage_bytes, damage_kind]
    ways += [damage_json] * 3 if path.suffix in (".json", ".jsonl") else []
    way = rng.choice(ways)
    way(path, rng)
    return Case(rng.choice(readers), folder, f"{about}: {way.__name__} of {path.name}")
