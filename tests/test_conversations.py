"""Conversations from what people have: formats, rules for awkward turns, and what is counted."""

import gzip
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gpt2_small.data.conversations import oasst
from gpt2_small.data.conversations.chat_sources import open_chat_source
from gpt2_small.data.conversations.conversation import (
    BEGINS,
    EMPTY,
    NO_ANSWER,
    NO_TEXT,
    SAME_ROLE,
    SPECIAL,
    SYSTEM,
    TRAILING,
    UNKNOWN_ROLE,
    Audit,
    Conversation,
    RawConversation,
    RawTurn,
    conform,
)
from gpt2_small.errors import UserError

Found = list[list[tuple[str, str]]]


def conformed(*turns: tuple[str, str | None]) -> tuple[list[tuple[str, str]] | None, Audit]:
    """The turns after all rules, and what was counted."""
    audit = Audit()
    raw = RawConversation(tuple(RawTurn(role, text) for role, text in turns))
    return said(conform(raw, audit)), audit


def said(conversation: Conversation | None) -> list[tuple[str, str]] | None:
    if conversation is None:
        return None
    return [(turn.role, turn.text) for turn in conversation.turns]


@pytest.mark.parametrize(
    ("turns", "expected", "counted"),
    [
        ([("user", "a"), ("assistant", "b")], [("user", "a"), ("assistant", "b")], []),
        ([("Human", "a"), ("gpt", "b")], [("user", "a"), ("assistant", "b")], []),
        (
            [("system", "s"), ("user", "a"), ("assistant", "b")],
            [("user", "s\n\na"), ("assistant", "b")],
            [SYSTEM],
        ),
        (
            [("user", "a"), ("user", "b"), ("assistant", "c")],
            [("user", "a\n\nb"), ("assistant", "c")],
            [SAME_ROLE],
        ),
        (
            [("assistant", "z"), ("user", "a"), ("assistant", "b")],
            [("user", "a"), ("assistant", "b")],
            [BEGINS],
        ),
        (
            [("user", "a"), ("assistant", "b"), ("user", "c")],
            [("user", "a"), ("assistant", "b")],
            [TRAILING],
        ),
        (
            [("user", "a"), ("assistant", "b"), ("tool", "x"), ("assistant", "y")],
            [("user", "a"), ("assistant", "b")],
            [UNKNOWN_ROLE],
        ),
        (
            [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", " \n")],
            [("user", "a"), ("assistant", "b")],
            [EMPTY, TRAILING],
        ),
        (
            [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", None)],
            [("user", "a"), ("assistant", "b")],
            [NO_TEXT, TRAILING],
        ),
        (
            [("user", "<|assistant|>x"), ("assistant", "b<|endoftext|>")],
            [("user", "<|assistant|>x"), ("assistant", "b<|endoftext|>")],
            [SPECIAL],
        ),
        (
            [("user", "<|im_start|>"), ("assistant", "a <| b |> c")],
            [("user", "<|im_start|>"), ("assistant", "a <| b |> c")],
            [SPECIAL],
        ),
        (
            [("user", "a <| b |> c"), ("assistant", "|> and <|")],
            [("user", "a <| b |> c"), ("assistant", "|> and <|")],
            [],
        ),
    ],
)
def test_every_awkward_turn_has_a_rule_that_is_counted(
    turns: list[tuple[str, str]], expected: list[tuple[str, str]], counted: list[str]
) -> None:
    found, audit = conformed(*turns)
    assert found == expected
    assert audit.changed == Counter(counted)


@pytest.mark.parametrize(
    "turns",
    [[], [("user", "a")], [("assistant", "a")], [("system", "s")], [("user", ""), ("gpt", "b")]],
)
def test_a_conversation_without_an_answer_is_dropped_and_counted(
    turns: list[tuple[str, str]],
) -> None:
    found, audit = conformed(*turns)
    assert found is None
    assert audit.dropped == {NO_ANSWER: 1}


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(
    path: Path | str,
    shape: str | None = None,
    *,
    lang: str | None = None,
    paths: str = "best",
    limit: int | None = None,
) -> tuple[Found, Audit]:
    """What a source holds, conformed."""
    audit = Audit()
    source = open_chat_source(
        str(path), shape=shape, lang=lang, paths=paths, limit=limit, audit=audit
    )
    conversations = [conform(raw, audit) for raw in source.conversations]
    return [turns for each in conversations if (turns := said(each)) is not None], audit


ONE = [[("user", "Hi"), ("assistant", "Ho")]]
MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]


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
        (  # parts of text, and fields that say more than is needed
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "me"},
                    {"role": "assistant", "content": "Ho", "tool_calls": None},
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
def test_the_format_of_a_row_is_told_by_its_fields(
    row: dict[str, Any], expected: Found, tmp_path: Path
) -> None:
    assert read(write_lines(tmp_path / "rows.jsonl", [row]))[0] == expected


def test_trl_prompts_and_completions_are_read_as_messages(tmp_path: Path) -> None:
    row = {
        "prompt": [{"role": "user", "content": "Hi"}],
        "completion": [{"role": "assistant", "content": "Ho"}],
    }
    assert read(write_lines(tmp_path / "rows.jsonl", [row]))[0] == ONE


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.jsonl.gz", "rows.parquet"])
def test_one_set_of_rows_is_the_same_in_every_kind_of_file(name: str, tmp_path: Path) -> None:
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


def message(
    id: str, parent: str | None = None, rank: int | None = None, **others: Any
) -> dict[str, Any]:
    """A row of oasst1; the role follows from how deep the id says that it is."""
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


def paths_of(rows: Sequence[Any], tmp_path: Path, **options: Any) -> list[list[str]]:
    found, _ = read(write_lines(tmp_path / "oasst.jsonl", rows), **options)
    return [[text.removeprefix("text ") for _, text in turns] for turns in found]


def test_a_tree_is_built_by_id_whatever_the_order_of_its_rows(tmp_path: Path) -> None:
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


def test_a_shared_beginning_is_trained_once() -> None:
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
def test_what_oasst_marks_as_unfit_is_left_out(
    change: dict[str, dict[str, Any]], expected: list[list[str]], tmp_path: Path
) -> None:
    rows = [row | change.get(row["message_id"], {}) for row in TREE]
    assert paths_of(rows, tmp_path) == expected


def test_every_language_is_read_when_all_are_asked_for(tmp_path: Path) -> None:
    rows = [row | {"lang": "de"} for row in TREE]
    assert paths_of(rows, tmp_path) == []
    assert (
        len(paths_of(rows, tmp_path, lang="de")) == len(paths_of(rows, tmp_path, lang="all")) == 1
    )


def test_paths_that_differ_in_the_users_last_turn_alone_are_one(tmp_path: Path) -> None:
    rows = [message("a"), message("aa", "a"), message("aa1", "aa", 0), message("aa2", "aa", 1)]
    assert paths_of(rows, tmp_path, paths="all") == [["a", "aa"]]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["{"], r"row 1: it is not JSON"),
        (['{"messages": []}', "[1]"], r"row 2 is no JSON object"),
        (['{"a": 1}'], r"fields a, of which the format cannot be told"),
        (['{"messages": 3}'], r"row 1 .* its 'messages' is no list"),
        (['{"messages": [3]}'], r"its turn 1 is no object"),
        (['{"messages": [{"content": "x"}]}'], r"its turn 1 has no 'role'"),
        (['{"instruction": 3, "output": "x"}'], r"its instruction or its output is no text"),
        (['{"instruction": "a", "output": "x", "history": [1]}'], r"history is no list of pairs"),
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
def test_a_damaged_row_is_a_sentence_with_its_place(
    rows: list[str], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(rows))
    with pytest.raises(UserError, match=sentence):
        read(path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("rows.txt", b"x", "is not named as"),
        ("rows.jsonl.gz", b"no gzip", "it is not JSON"),
        (
            "rows.jsonl.gz",
            gzip.compress(b'{"messages": []}' * 99, mtime=0)[:-12],
            "is cut off|damaged|copy it",
        ),
        ("rows.parquet", b"PAR1 no parquet", "is damaged"),
        ("rows.jsonl", b'{"messages": "\xff"}', "row 1: it is not UTF-8"),
        ("rows.json", b'[{"messages": []}', "is not JSON"),
        ("rows.jsonl", b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_damaged_file_is_a_sentence(
    name: str, content: bytes, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read(tmp_path / name)


def test_a_name_that_stands_for_nothing_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean dialogues\?"):
        read("dialogue")
    write_lines(tmp_path / "rows.jsonl", [])
    with pytest.raises(UserError, match=r"did you mean .*rows.jsonl\?"):
        read(tmp_path / "row.jsonl")


def test_the_dialogues_are_a_source_of_their_own() -> None:
    found, audit = read("dialogues", limit=20)
    assert len(found) == audit.read == 20
    assert all(len(turns) in (6, 8) for turns in found)
    assert not audit.changed


def whole_sources(folder: Path) -> list[Path]:
    """A small sound file of every format and kind."""
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
    """The bytes with one thing wrong: bytes flipped, cut out, doubled, exchanged for others."""
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
    """A row with one of its values, however deep, replaced by one of another type."""
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
    """Whether a file is refused with a sentence; what is read keeps to the format."""
    try:
        found, _ = read(path, lang="all")
    except UserError as error:
        return bool(str(error).strip())
    for turns in found:
        roles = [role for role, _ in turns]
        assert roles == ["user", "assistant"] * (len(turns) // 2)
        assert all(isinstance(text, str) and text.strip() for _, text in turns)
    return False


def test_damaged_files_are_read_or_refused_with_a_sentence(tmp_path: Path) -> None:
    rng, refused = random.Random(0), 0
    for path in whole_sources(tmp_path):
        whole = path.read_bytes()
        for _ in range(50):
            path.write_bytes(damaged(whole, rng))
            refused += read_or_refused(path)
    assert refused > 100


def test_values_of_other_types_are_read_or_refused_with_a_sentence(tmp_path: Path) -> None:
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
