"""Test the formats of conversations: detection, targets, kinds of files."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from conversation_sources import MESSAGES, ONE, Found, read, write_lines

from gpt2_small.data.conversations.chat_sources import open_chat_source
from gpt2_small.data.conversations.conversation import (
    NO_TARGET,
    Audit,
    RawConversation,
    RawTurn,
    conform,
)
from gpt2_small.errors import UserError


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": "Ho"},
                ]
            },
            ONE,
        ),
        (  # UltraChat's rows have the prompt beside the messages
            {
                "prompt": "Hi",
                "prompt_id": "f0",
                "messages": [
                    {"content": "Hi", "role": "user"},
                    {"content": "Ho", "role": "assistant"},
                ],
            },
            ONE,
        ),
        (  # text in parts, and additional fields
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "me"},
                    {"role": "assistant", "content": "Ho", "tool_calls": None},
                ]
            },
            ONE,
        ),
        (  # LLaMA-Factory's parts
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "value": "Hi"}]},
                    {"role": "assistant", "content": [{"type": "text", "value": "Ho"}]},
                ]
            },
            ONE,
        ),
        (
            {
                "id": "x_0",
                "conversations": [
                    {"from": "human", "value": "Hi"},
                    {"from": "gpt", "value": "Ho"},
                ],
            },
            ONE,
        ),
        (
            {
                "conversations": [
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": "Ho"},
                ]
            },
            ONE,
        ),
        ({"instruction": "Hi", "input": "", "output": "Ho"}, ONE),
        ({"instruction": "Hi", "output": "Ho", "text": "Below is an instruction ..."}, ONE),
        (
            {"instruction": "Add.", "input": "1 2", "output": "3"},
            [[("user", "Add.\n\n1 2"), ("assistant", "3")]],
        ),
        (  # Dolly's rows
            {"instruction": "Add.", "context": "1 2", "response": "3", "category": "closed_qa"},
            [[("user", "Add.\n\n1 2"), ("assistant", "3")]],
        ),
        (  # Anthropic's rows
            {
                "system": "s",
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": "Ho"},
                ],
            },
            [[("user", "s\n\nHi"), ("assistant", "Ho")]],
        ),
        (
            {
                "instruction": "c",
                "input": None,
                "output": "d",
                "system": "s",
                "history": [["a", "b"]],
            },
            [[("user", "s\n\na"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]],
        ),
    ],
)
def test_the_format_of_a_row_is_detected_from_its_fields(
    row: dict[str, Any], expected: Found, tmp_path: Path
) -> None:
    assert read(write_lines(tmp_path / "rows.jsonl", [row]))[0] == expected


@pytest.mark.parametrize(
    ("shape", "role", "content", "weight"),
    [
        ("messages", "role", "content", "weight"),
        ("messages", "role", "content", "loss_weight"),
        ("conversations", "from", "value", "weight"),
    ],
)
def test_an_answer_of_weight_0_is_not_a_target(
    shape: str, role: str, content: str, weight: str, tmp_path: Path
) -> None:
    turns = [{role: "user", content: "a"}, {role: "assistant", content: "b", weight: 0}]
    turns += [{role: "user", content: "c"}, {role: "assistant", content: "d", weight: 1.0}]
    rows = [{shape: turns}, {shape: turns[:2]}]
    audit = Audit()
    path = str(write_lines(tmp_path / "rows.jsonl", rows))
    source = open_chat_source(path, shape=None, lang=None, paths=None, limit=None, audit=audit)
    first, second = (conform(raw, audit) for raw in source.conversations)
    assert first is not None
    assert [turn.is_trained for turn in first.turns if turn.role == "assistant"] == [False, True]
    assert second is None
    assert audit.dropped == {NO_TARGET: 1}


def test_an_answer_labelled_false_is_not_a_target(tmp_path: Path) -> None:
    rows = [{"messages": MESSAGES, "label": label} for label in (True, False)]
    found, audit = read(write_lines(tmp_path / "rows.jsonl", rows))
    assert found == ONE
    assert audit.dropped == {NO_TARGET: 1}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": MESSAGES[:1], "chosen": MESSAGES[1:], "rejected": []},
        {
            "conversations": [{"from": "human", "value": "Hi"}],
            "chosen": {"from": "gpt", "value": "Ho"},
            "rejected": {"from": "gpt", "value": "No"},
        },
    ],
)
def test_the_chosen_answer_of_a_pair_is_the_answer(row: dict[str, Any], tmp_path: Path) -> None:
    assert read(write_lines(tmp_path / "rows.jsonl", [row]))[0] == ONE


def test_an_answer_joined_to_one_of_weight_0_is_not_a_target() -> None:
    turns = (RawTurn("user", "a"), RawTurn("assistant", "b", False), RawTurn("assistant", "c"))
    assert conform(RawConversation(turns), Audit()) is None


def test_a_file_with_a_single_object_is_one_conversation(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    path.write_text(json.dumps({"instruction": "Hi", "output": "Ho"}, indent=1))
    assert read(path)[0] == ONE


def test_trl_prompts_and_completions_are_read_as_messages(tmp_path: Path) -> None:
    row = {
        "prompt": [{"role": "user", "content": "Hi"}],
        "completion": [{"role": "assistant", "content": "Ho"}],
    }
    assert read(write_lines(tmp_path / "rows.jsonl", [row]))[0] == ONE


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.jsonl.gz", "rows.parquet"])
def test_the_same_rows_are_read_from_every_kind_of_file(name: str, tmp_path: Path) -> None:
    rows = [
        {"conversations": [{"from": "human", "value": f"é{n}"}, {"from": "gpt", "value": "Ho"}]}
        for n in range(3)
    ]
    path = tmp_path / name
    if name.endswith(".parquet"):
        pyarrow = pytest.importorskip("pyarrow")
        pyarrow.parquet = pytest.importorskip("pyarrow.parquet")
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    elif name.endswith(".json"):
        path.write_text("\ufeff" + json.dumps(rows, indent=1), encoding="utf-8")
    else:
        write_lines(path, rows)
    found, _ = read(path)
    assert found == [[("user", f"é{n}"), ("assistant", "Ho")] for n in range(3)]


def test_an_unknown_source_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean dialogues\?"):
        read("dialogue")
    write_lines(tmp_path / "rows.jsonl", [])
    with pytest.raises(UserError, match=r"did you mean .*rows.jsonl\?"):
        read(tmp_path / "row.jsonl")


def test_the_dialogues_are_a_source() -> None:
    found, audit = read("dialogues", limit=20)
    assert len(found) == audit.read == 20
    assert all(len(turns) in (6, 8) for turns in found)
    assert not audit.changed
