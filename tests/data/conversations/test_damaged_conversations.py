"""Test damaged conversation files: an error with the row."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from conversation_sources import MESSAGES, TREE, message, read, write_lines

from gpt2_small.errors import UserError


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["{"], r"row 1: it is not JSON"),
        (['{"messages": []}', "[1]"], r"row 2 is not a JSON object"),
        (['{"a": 1}'], r"fields a, which is not a known format"),
        ([json.dumps(dict.fromkeys(map(str, range(99))))], r"fields 0, 1, .*, 19, \.\.\., which"),
        (['{"messages": 3}'], r"row 1 .* its 'messages' is not a list"),
        (['{"messages": [3]}'], r"its turn 1 is not an object"),
        (['{"messages": [{"content": "x"}]}'], r"its turn 1 has no 'role'"),
        (
            ['{"messages": [{"role": "user", "content": "x", "weight": 0.5}]}'],
            r"its turn 1 has the weight 0.5, which is neither 0 nor 1",
        ),
        (
            ['{"messages": [{"role": "user", "content": 5}]}'],
            r"its turn 1 has the content 5, which is not a text",
        ),
        (
            ['{"messages": [{"role": "user", "text": "x"}]}'],
            r"its turn 1 has 'text' instead of 'content'",
        ),
        (
            ['{"conversations": [{"from": "human", "content": "x"}]}'],
            r"its turn 1 has 'content' instead of 'value'",
        ),
        (['{"instruction": 3, "output": "x"}'], r"its instruction or its output is not a text"),
        (
            ['{"instruction": "a", "output": "x", "history": [1]}'],
            r"history is not a list of pairs",
        ),
        ([json.dumps(message("a") | {"role": "bot"})], r"its role is 'bot'"),
        ([json.dumps(message("a") | {"rank": "x"})], r"its rank is 'x'"),
        ([json.dumps(message("a") | {"text": None})], r"its text is None"),
        (
            [json.dumps(message("a", "ab")), json.dumps(message("ab", "a"))],
            r"message \w+ answers itself",
        ),
        ([], "holds no rows"),
    ],
)
def test_a_damaged_row_is_reported_in_one_sentence_with_its_place(
    rows: list[str], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(rows))
    with pytest.raises(UserError, match=sentence):
        read(path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("rows.txt", b"x", "has none of the suffixes"),
        ("rows.jsonl.gz", b"no gzip", "it is not JSON"),
        (
            "rows.jsonl.gz",
            gzip.compress(b'{"messages": []}' * 99, mtime=0)[:-12],
            "is truncated|damaged|copy it",
        ),
        ("rows.parquet", b"PAR1 no parquet", "is damaged"),
        ("rows.jsonl", b'{"messages": "\xff"}', "row 1: it is not UTF-8"),
        ("rows.json", b'[{"messages": []}', "is not JSON"),
        ("rows.jsonl", b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(
    name: str, content: bytes, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read(tmp_path / name)


def whole_sources(folder: Path) -> list[Path]:
    """Write a small undamaged file of every format and kind."""
    sharegpt = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "é"}]}
    nested = {
        "message_tree_id": "a",
        "tree_state": "ready_for_export",
        "prompt": message("a") | {"replies": [message("aa", "a") | {"replies": []}]},
    }
    alpaca = {"instruction": "Add.", "input": "1 2", "output": "3"}
    paths = [
        write_lines(folder / "messages.jsonl", [{"messages": MESSAGES}] * 3),
        write_lines(folder / "sharegpt.jsonl", [sharegpt] * 3),
        write_lines(folder / "oasst.jsonl", TREE),
        folder / "alpaca.json",
        folder / "oasst.trees.jsonl.gz",
    ]
    paths[3].write_text(json.dumps([alpaca] * 3))
    paths[4].write_bytes(gzip.compress((json.dumps(nested) + "\n").encode()))
    return paths


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with some flipped, removed, repeated or exchanged."""
    place = rng.randrange(len(data))
    until = min(len(data), place + rng.randint(1, 12))
    kinds = [
        data[:place],
        data[:place] + data[until:],
        data[:place] + data[place:until] * 2 + data[until:],
        data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :],
        data[:place]
        + rng.choice([b"null", b"{}", b"[]", b"3", b'"', b"\xff", b"\n"])
        + data[until:],
    ]
    return rng.choice(kinds)


def damaged_value(rng: random.Random, row: Any) -> Any:
    """Return the row with one value at any depth replaced by one of another type."""
    keys = list(row if isinstance(row, dict) else range(len(row)))
    key = rng.choice(keys)
    if isinstance(row[key], dict | list) and row[key] and rng.random() < 0.7:
        value = damaged_value(rng, row[key])
    else:
        value = rng.choice([None, 3, 0.5, True, "", "x", [], {}, [[]], {"a": []}, float("nan")])
    copy = dict(row) if isinstance(row, dict) else list(row)
    copy[key] = value
    return copy


def read_or_refused(path: Path) -> bool:
    """Return whether a file is refused with one sentence; if it is read, check its format."""
    try:
        found, _ = read(path, lang="all")
    except UserError as error:
        return bool(str(error).strip())
    for turns in found:
        roles = [role for role, _ in turns]
        assert roles == ["user", "assistant"] * (len(turns) // 2)
        assert all(isinstance(text, str) and text.strip() for _, text in turns)
    return False


def test_damaged_files_are_read_or_refused_with_one_sentence(tmp_path: Path) -> None:
    rng, refused = random.Random(0), 0
    for path in whole_sources(tmp_path):
        intact = path.read_bytes()
        for _ in range(50):
            path.write_bytes(damaged(intact, rng))
            refused += read_or_refused(path)
    assert refused > 100


def test_values_of_other_types_are_read_or_refused_with_one_sentence(tmp_path: Path) -> None:
    rng, refused = random.Random(1), 0
    for path in whole_sources(tmp_path):
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = json.loads(text) if path.suffix == ".json" else [*map(json.loads, text.splitlines())]
        for number in range(50):
            changed = list(rows)
            place = rng.randrange(len(rows))
            changed[place] = damaged_value(rng, rows[place])
            refused += read_or_refused(write_lines(tmp_path / f"{number}.jsonl", changed))
    assert refused > 50
