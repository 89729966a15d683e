"""Test OpenAssistant's message trees: paths, ranks and omissions."""

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conversation_sources import TREE, message, read, write_lines

from gpt2_small.data.conversations import oasst
from gpt2_small.data.conversations.conversation import (
    Audit,
)


def paths_of(rows: Sequence[Any], tmp_path: Path, **options: Any) -> list[list[str]]:
    found, _ = read(write_lines(tmp_path / "oasst.jsonl", rows), **options)
    return [[text.removeprefix("text ") for _, text in turns] for turns in found]


def test_a_tree_is_built_by_id_for_any_order_of_its_rows(tmp_path: Path) -> None:
    for rows in (TREE, TREE[::-1], sorted(TREE, key=lambda row: row["text"])):
        assert paths_of(rows, tmp_path) == [["a", "aa", "aa1", "aa1y"]]


def test_best_takes_the_first_ranked_reply_at_every_fork_and_all_takes_every_path(
    tmp_path: Path,
) -> None:
    assert paths_of(TREE, tmp_path, paths="best") == [["a", "aa", "aa1", "aa1y"]]
    assert paths_of(TREE, tmp_path, paths="all") == [
        ["a", "aa", "aa1", "aa1y"],
        ["a", "aa", "aa1", "aa1x"],
        ["a", "ab"],
    ]


def test_a_shared_prefix_is_trained_once() -> None:
    found = list(oasst.conversations(TREE, lang="en", paths="all", audit=Audit()))
    trained = Counter(
        turn.text
        for raw in found
        for turn in raw.turns
        if turn.is_trained and turn.role == "assistant"
    )
    assert trained == {"text aa": 1, "text aa1x": 1, "text aa1y": 1, "text ab": 1}


def test_a_nested_tree_gives_the_same_paths_as_its_rows(tmp_path: Path) -> None:
    def nested(id: str) -> dict[str, Any]:
        row = next(each for each in TREE if each["message_id"] == id)
        replies = [nested(each["message_id"]) for each in TREE if each["parent_id"] == id]
        return {name: row[name] for name in row if name != "tree_state"} | {"replies": replies}

    row = {"message_tree_id": "a", "tree_state": "ready_for_export", "prompt": nested("a")}
    path = tmp_path / "oasst.trees.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(row).encode()))
    for paths in ("best", "all"):
        assert (
            read(path, paths=paths)[0]
            == read(write_lines(tmp_path / "rows.jsonl", TREE), paths=paths)[0]
        )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"a": {"lang": "de"}}, []),
        ({"a": {"tree_state": "aborted_low_grade"}}, []),
        ({"a": {"review_result": False}}, []),
        ({"a": {"deleted": True}}, []),
        ({"aa": {"deleted": True}}, [["a", "ab"]]),
        ({"aa": {"rank": None}}, [["a", "ab"]]),
        ({"aa": {"rank": None}, "ab": {"rank": None}}, []),
        ({"aa": {"rank": None}, "ab": {"deleted": True}}, [["a", "aa", "aa1", "aa1y"]]),
        ({"aa": {"rank": 3.0}}, [["a", "ab"]]),
        ({"aa1": {"parent_id": "gone"}}, [["a", "aa"]]),
    ],
)
def test_messages_marked_as_unfit_are_left_out(
    change: dict[str, dict[str, Any]], expected: list[list[str]], tmp_path: Path
) -> None:
    rows = [row | change.get(row["message_id"], {}) for row in TREE]
    assert paths_of(rows, tmp_path) == expected


def test_all_languages_can_be_read(tmp_path: Path) -> None:
    rows = [row | {"lang": "de"} for row in TREE]
    assert paths_of(rows, tmp_path) == []
    assert (
        len(paths_of(rows, tmp_path, lang="de")) == len(paths_of(rows, tmp_path, lang="all")) == 1
    )


def test_paths_that_differ_only_in_the_users_last_turn_are_merged(tmp_path: Path) -> None:
    rows = [message("a"), message("aa", "a"), message("aa1", "aa", 0), message("aa2", "aa", 1)]
    assert paths_of(rows, tmp_path, paths="all") == [["a", "aa"]]
