"""Test a folder of conversations: its files, splits, refusals, and damage."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_folders import END, USER, independent, prepared, rows
from conversation_sources import message, write_lines
from shard_folders import share_of_hash

from gpt2_small.data.conversations.chat_folder import INDEX, Chats, open_chats
from gpt2_small.data.conversations.prepare_chats import ChatOptions, prepare_chats
from gpt2_small.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("prepared"))


def test_the_files_have_the_documented_format(folder: Path) -> None:
    index = json.loads((folder / INDEX).read_text())
    assert index["format"] == "gpt2-small-chats/1"
    for split in ("train", "val"):
        ids = np.fromfile(folder / f"{split}.bin", dtype="<u2")
        mask = np.fromfile(folder / f"{split}.mask", dtype=np.uint8)
        starts = np.fromfile(folder / f"{split}.starts", dtype="<i8")
        assert len(ids) == len(mask) == index["splits"][split]["tokens"]
        assert starts[0] == 0
        assert (ids[starts] == USER).all()
        assert len(starts) == index["splits"][split]["conversations"]
        for piece, marks in zip(np.split(ids, starts[1:]), np.split(mask, starts[1:]), strict=True):
            texts = bytes(piece.astype(np.uint8)[piece < 256]).decode()
            cut = texts.index("x") if "x" in texts else len(texts)
            assert piece.tolist() == independent([texts[:cut], texts[cut:]])[0]
            assert marks.tolist() == independent([texts[:cut], texts[cut:]])[1]


def first_messages(chats: Chats, split: str) -> set[bytes]:
    part = getattr(chats, split)
    pieces = (part.conversation(number)[0].tolist() for number in range(len(part)))
    return {bytes(ids[1 : ids.index(END)]) for ids in pieces}


def test_conversations_with_the_same_first_message_are_in_one_split(folder: Path) -> None:
    chats = open_chats(folder)
    assert first_messages(chats, "train").isdisjoint(first_messages(chats, "val"))


def test_a_split_by_path_separates_them(tmp_path: Path) -> None:
    chats = open_chats(prepared(tmp_path, split="path"))
    assert first_messages(chats, "train") & first_messages(chats, "val")


def test_equal_conversations_are_counted(tmp_path: Path) -> None:
    audit = json.loads((prepared(tmp_path, 60) / INDEX).read_text())["audit"]
    assert audit["read"] == 60
    source = tmp_path / "rows.jsonl"
    source.write_text("\n".join(map(json.dumps, rows(30) * 2)))
    options = ChatOptions(tokenizer="byte-chat", validation_share=0.5)
    again = prepare_chats(str(source), tmp_path / "again", options)
    assert sum(count for why, count in again.audit.changed.items() if "identical to" in why) == 30


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shape": "shareGPT"}, r"--from is 'shareGPT'; did you mean sharegpt\?"),
        ({"paths": "every"}, "--paths is 'every'"),
        ({"split": "train"}, "--split is 'train'"),
        ({"too_long": "cut"}, "--too-long is 'cut'"),
        ({"max_length": 3}, "--max-length is 3"),
        ({"validation_share": 0.0}, "--validation-share is 0"),
        ({"tokenizer": "gpt3"}, "unknown tokenizer 'gpt3'"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        ChatOptions(**options)


def test_a_tokenizer_without_roles_is_refused_with_the_one_that_has_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'byte' has no roles; give byte-chat"):
        prepared(tmp_path, tokenizer="byte")
    assert not (tmp_path / "chats").exists()


def test_an_existing_folder_is_not_changed(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match="was not changed"):
        prepare_chats("dialogues", folder, ChatOptions(limit=10))
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_split_without_conversations_is_refused_with_the_counts_of_dropped_ones(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=r"is left for training: 60 .* dropped: longer"):
        prepared(tmp_path, max_length=4)


def prepared_rows(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    write_lines(folder / "some.jsonl", rows)
    given = ChatOptions(tokenizer="byte-chat", **options)
    return prepare_chats(str(folder / "some.jsonl"), folder / "chats", given).folder


def turns(*texts: Any, roles: tuple[str, ...] = ("user", "assistant")) -> dict[str, Any]:
    """Return a row of messages."""
    pairs = zip(roles, texts, strict=True)
    return {"messages": [{"role": role, "content": text} for role, text in pairs]}


@pytest.mark.parametrize(
    ("rows", "options", "sentence"),
    [
        ([turns("a", "b")], {}, r"validation: 1 was read; give at least 10 conversations with dif"),
        (
            [turns("a", "b")],
            {"validation_share": 0.5},
            r"training: 1 was read; give at least 10 conversations with different first messages$",
        ),
        (
            [turns("a", "b")] * 20,
            {"split": "path"},
            r"20 were read; give at least 10 different conversations$",
        ),
        (
            [turns(f"{n}", "word " * 9) for n in range(20)],
            {"max_length": 5},
            r"dropped: longer than --max-length: 20; give a larger --max-length$",
        ),
        (
            [turns(f"{n}", "b", roles=("user", "bot")) for n in range(20)],
            {},
            r"write user, assistant or system for the role 'bot'$",
        ),
        ([turns("a", None)] * 20, {}, r"give conversations whose turns are texts$"),
        ([turns("a", "")] * 20, {}, r"in which the assistant answers the user$"),
        ([message("a"), message("aa", "a", 0)], {"lang": "de"}, r"another --lang, or --lang all$"),
    ],
)
def test_the_way_out_of_a_split_without_conversations_is_that_of_its_cause(
    rows: list[dict[str, Any]], options: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        prepared_rows(tmp_path, rows, **options)


@pytest.mark.parametrize("count", [10, 20])
def test_the_tenth_conversation_is_held_out_if_no_other_is(count: int, tmp_path: Path) -> None:
    rows = [turns(f"question {n}", "b") for n in range(count)]
    folder = prepared_rows(tmp_path, [*rows, rows[9]], validation_share=1e-9)
    chats = open_chats(folder)
    assert first_messages(chats, "val") == {b"question 9"}
    assert (len(chats.train), len(chats.val)) == (count - 1, 2)


def test_the_tenth_conversation_is_not_held_out_if_another_is(tmp_path: Path) -> None:
    rows = [turns(f"question {n}", "b") for n in range(40)]
    chats = open_chats(prepared_rows(tmp_path, rows, validation_share=0.1))
    expected = {
        text.encode() for text in (f"question {n}" for n in range(40)) if share_of_hash(text) < 0.1
    }
    assert first_messages(chats, "val") == expected != set()


def damage(folder: Path, rng: random.Random) -> str:
    """Damage one file of a folder in one way, and return a description."""
    path = rng.choice(sorted(folder.iterdir()))
    data = bytearray(path.read_bytes())
    kind = rng.choice(["flip", "cut", "grow", "empty", "gone", "zeros"])
    if kind == "flip":
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[rng.randrange(len(data)) :]
    elif kind == "grow":
        data += rng.randbytes(rng.randint(1, 9))
    elif kind == "zeros":
        data[:] = bytes(len(data))
    path.write_bytes(b"" if kind == "empty" else bytes(data))
    if kind == "gone":
        path.unlink()
    return f"{path.name}: {kind}"


def refused(folder: Path, seed: int, tmp_path: Path) -> bool:
    """Return whether a damaged copy is refused; if not, assert that it reads the same as before."""
    copy = tmp_path / f"damaged-{seed}"
    shutil.copytree(folder, copy)
    what = damage(copy, random.Random(seed))
    before, after = open_chats(folder), None
    try:
        after = open_chats(copy)
    except UserError as error:
        return bool(str(error).strip())
    finally:
        shutil.rmtree(copy)
    assert what.startswith(("manifest.json", INDEX)), what
    for split in ("train", "val"):
        one, other = getattr(before, split), getattr(after, split)
        assert np.array_equal(one.ids, other.ids), what
        assert np.array_equal(one.is_target, other.is_target), what
        assert np.array_equal(one.starts, other.starts), what
    return False


@pytest.mark.parametrize("part", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_damaged_folder_is_refused_with_one_sentence_or_reads_the_same(
    part: int, folder: Path, tmp_path: Path
) -> None:
    seeds = range(60) if part == 0 else range(60, 500)
    results = [refused(folder, seed, tmp_path) for seed in seeds]
    assert sum(results) > 0.7 * len(results)


def test_a_conversation_without_a_target_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "chats"
    shutil.copytree(folder, copy)
    mask = np.fromfile(copy / "train.mask", dtype=np.uint8)
    starts = np.fromfile(copy / "train.starts", dtype="<i8")
    lost = int(mask[starts[3] : starts[4]].sum())
    mask[starts[3] : starts[4]] = 0
    mask.tofile(copy / "train.mask")
    rewrite_index(copy, "train.mask", targets=-lost)
    with pytest.raises(UserError, match=r"conversation 3 of the training part .* has no target"):
        open_chats(copy)


def rewrite_index(folder: Path, name: str, *, targets: int) -> None:
    from gpt2_small.files.hashes import sha256

    index = json.loads((folder / INDEX).read_text())
    facts = index["splits"][name.partition(".")[0]]
    facts["files"][name] = sha256(folder / name)
    facts["targets"] += targets
    (folder / INDEX).write_text(json.dumps(index))
