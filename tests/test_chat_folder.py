"""A folder of conversations: rendering, mask, cuts, splits, and damage."""

import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpt2_small.data.conversations import rendering
from gpt2_small.data.conversations.chat_batches import (
    conversations_of_step,
    held_out_batches,
    masked_batch,
)
from gpt2_small.data.conversations.chat_folder import INDEX, Chats, open_chats
from gpt2_small.data.conversations.conversation import Audit, Conversation, Turn
from gpt2_small.data.conversations.prepare_chats import ChatOptions, prepare_chats
from gpt2_small.data.conversations.rendering import CUT, DROPPED, Rendered, render
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.registry import make_tokenizer

TOKENIZER = make_tokenizer("byte-chat")
END, USER, ASSISTANT = 256, 257, 258


def conversation(*texts: str, trained: bool = True) -> Conversation:
    turns = [
        Turn("assistant" if number % 2 else "user", text, trained)
        for number, text in enumerate(texts)
    ]
    return Conversation(tuple(turns), texts[0])


def rendered(
    found: Conversation, *, max_length: int = 1024, too_long: str = "drop-turns"
) -> tuple[Rendered | None, Audit]:
    audit = Audit()
    return render(found, TOKENIZER, max_length=max_length, too_long=too_long, audit=audit), audit


def independent(texts: list[str]) -> tuple[list[int], list[bool]]:
    """What a conversation of byte tokens is, written down without the package."""
    ids, mask = [], []
    for number, text in enumerate(texts):
        body = list(text.encode())
        ids += [258 if number % 2 else 257, *body, 256]
        mask += [False] + [number % 2 == 1] * (len(body) + 1)
    return ids, mask


def test_ids_and_mask_are_those_of_an_independent_renderer() -> None:
    rng = random.Random(0)
    for _ in range(50):
        texts = ["".join(rng.choices("ab é\n<|user|>", k=rng.randint(1, 9))) for _ in range(6)]
        found, _ = rendered(conversation(*texts))
        assert found is not None
        ids, mask = independent(texts)
        assert found.ids.tolist() == ids
        assert found.is_target.tolist() == mask


def test_a_typed_role_stays_plain_characters() -> None:
    found, _ = rendered(conversation("<|assistant|>me", "<|user|>you<|endoftext|>"))
    assert found is not None
    assert Counter(id for id in found.ids.tolist() if id >= 256) == {USER: 1, ASSISTANT: 1, END: 2}
    assert b"<|assistant|>me" in bytes(id for id in found.ids.tolist() if id < 256)


def test_whole_oldest_turns_go_until_a_conversation_fits() -> None:
    found, audit = rendered(conversation("aaaa", "bbbb", "cc", "dd", "e", "f"), max_length=14)
    assert found is not None
    assert found.ids.tolist() == independent(["cc", "dd", "e", "f"])[0]
    assert (found.turns, audit.changed[CUT]) == (4, 1)


def test_a_conversation_that_is_too_long_is_dropped_where_turns_may_not_go() -> None:
    found, audit = rendered(conversation("aaaa", "bbbb", "e", "f"), max_length=14, too_long="drop")
    assert found is None
    assert audit.dropped[DROPPED] == 1


def test_one_pair_of_turns_that_does_not_fit_is_dropped() -> None:
    found, audit = rendered(conversation("a", "b", "cccccccccccc", "d"), max_length=14)
    assert found is None
    assert audit.dropped[DROPPED] == 1


def test_what_is_left_after_the_cut_must_hold_a_target() -> None:
    first = conversation("aaaa", "bbbb")
    later = conversation("c", "d", trained=False)
    found, audit = rendered(Conversation(first.turns + later.turns, "k"), max_length=8)
    assert found is None
    assert audit.dropped == {rendering.NOTHING_LEFT: 1}


def rows(count: int = 60) -> list[dict[str, Any]]:
    """Conversations of several lengths, ten of which share each first message."""
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
    given = {"tokenizer": "byte-chat", "validation_share": 0.3} | options
    prepare_chats(str(source), folder / "chats", ChatOptions(**given))
    return folder / "chats"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("prepared"))


def test_the_files_are_as_they_are_documented(folder: Path) -> None:
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


def test_conversations_that_share_their_beginning_are_in_one_split(folder: Path) -> None:
    chats = open_chats(folder)
    assert first_messages(chats, "train").isdisjoint(first_messages(chats, "val"))


def test_a_split_by_path_parts_them(tmp_path: Path) -> None:
    chats = open_chats(prepared(tmp_path, split="path"))
    assert first_messages(chats, "train") & first_messages(chats, "val")


def test_equal_conversations_are_counted(tmp_path: Path) -> None:
    audit = json.loads((prepared(tmp_path, 60) / INDEX).read_text())["audit"]
    assert audit["read"] == 60
    source = tmp_path / "rows.jsonl"
    source.write_text("\n".join(map(json.dumps, rows(30) * 2)))
    options = ChatOptions(tokenizer="byte-chat", validation_share=0.5)
    again = prepare_chats(str(source), tmp_path / "again", options)
    assert sum(count for why, count in again.audit.changed.items() if "word for word" in why) == 30


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
def test_options_that_cannot_be_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        ChatOptions(**options)


def test_a_tokenizer_without_roles_is_refused_with_the_one_that_has_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'byte' has no roles; give byte-chat"):
        prepared(tmp_path, tokenizer="byte")
    assert not (tmp_path / "chats").exists()


def test_a_folder_that_is_there_is_left_as_it_is(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match="is left as it is"):
        prepare_chats("dialogues", folder, ChatOptions(limit=10))
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_split_without_conversations_is_refused_with_what_was_dropped(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is left for training: 60 .* dropped: longer"):
        prepared(tmp_path, max_length=4)


def damage(folder: Path, rng: random.Random) -> str:
    """Damage one file of a folder in one way, and say which."""
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
    """Whether a damaged copy is refused with a sentence, where it is not the same as before."""
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
def test_a_damaged_folder_is_refused_with_a_sentence_or_reads_the_same(
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
    from gpt2_small.files import sha256

    index = json.loads((folder / INDEX).read_text())
    facts = index["splits"][name.partition(".")[0]]
    facts["files"][name] = sha256(folder / name)
    facts["targets"] += targets
    (folder / INDEX).write_text(json.dumps(index))


LENGTHS = np.random.default_rng(0).integers(5, 100, size=103)


@pytest.mark.parametrize("batch_size", [1, 8, 50, 103, 110])
def test_an_epoch_has_each_conversation_once(batch_size: int) -> None:
    steps = -(-3 * len(LENGTHS) // batch_size)
    order = np.concatenate(
        [
            conversations_of_step(LENGTHS, seed=1, step=step, batch_size=batch_size)
            for step in range(steps)
        ]
    )
    for epoch in range(3):
        part = order[epoch * len(LENGTHS) : (epoch + 1) * len(LENGTHS)]
        assert sorted(part) == list(range(len(LENGTHS)))
    assert not np.array_equal(order[: len(LENGTHS)], order[len(LENGTHS) : 2 * len(LENGTHS)])


def test_a_step_is_a_function_of_the_seed_and_the_step() -> None:
    alone = conversations_of_step(LENGTHS, seed=1, step=7, batch_size=8)
    for step in range(9):
        again = conversations_of_step(LENGTHS, seed=1, step=step, batch_size=8)
    del again
    assert np.array_equal(alone, conversations_of_step(LENGTHS, seed=1, step=7, batch_size=8))
    other = conversations_of_step(LENGTHS, seed=2, step=7, batch_size=8)
    assert not np.array_equal(alone, other)


def test_the_conversations_of_a_step_are_about_as_long() -> None:
    lengths = np.random.default_rng(1).integers(5, 100, size=4000)
    padding = whole = 0
    for step in range(4000 // 16):
        chosen = lengths[conversations_of_step(lengths, seed=0, step=step, batch_size=16)]
        padding += (chosen.max() - chosen).sum()
        whole += 16 * chosen.max()
    assert padding / whole < 0.05


def test_rows_are_padded_on_the_right_and_carry_their_mask(folder: Path) -> None:
    chats = open_chats(folder).train
    batch = masked_batch(chats, [0, 5])
    for row, number in zip(batch, (0, 5), strict=True):
        ids, is_target = chats.conversation(number)
        tokens = torch.where(row < 0, ~row, row)
        assert tokens[: len(ids)].tolist() == ids.tolist()
        assert (row >= 0)[: len(ids)].tolist() == is_target.tolist()
        assert (row[len(ids) :] < 0).all()
    assert (batch[:, 0] < 0).all()


def test_every_held_out_conversation_comes_once_over_all_processes(folder: Path) -> None:
    chats = open_chats(folder).val
    targets = sum(
        int((batch >= 0).sum())
        for rank in range(2)
        for batch in held_out_batches(chats, batch_size=4, rank=rank, world_size=2)
    )
    assert targets == chats.is_target.sum()
