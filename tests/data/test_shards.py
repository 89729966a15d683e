"""Test reading shards: one sequence, and the refusal of damaged and foreign ones."""

import json
import math
import os
import shutil

import numpy as np
import pytest
import torch
from processes import printed_by
from shard_folders import PLAY, made, nanogpt_folder, windows_of

from gpt2_small.data.batches import bigram_loss, evaluation_batches
from gpt2_small.data.shards import holds_shards, open_shards, token_sequence
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.registry import ByteTokenizer, CharTokenizer, save_tokenizer

BATCH = {"seed": 5, "step": 3, "batch_size": 12, "n_ctx": 8}


@pytest.fixture
def folder(prepared, tmp_path):
    """Return a folder with several shards that a test may damage."""
    return shutil.copytree(prepared["bins"], tmp_path / "shards")


@pytest.fixture
def foreign(tmp_path):
    """Return a folder of shards as nanoGPT's prepare.py writes them."""
    return nanogpt_folder(tmp_path / "theirs")


# Prepared shards


@pytest.mark.parametrize("kind", ["bin", "bins", "npy"])
def test_prepared_shards_decode_to_the_text(prepared, kind):
    shards = open_shards(prepared[kind], verify=True)
    cut = len(PLAY) - len(PLAY) // 10
    assert bytes(shards.train[:].tolist()).decode() == PLAY[:cut]
    assert bytes(shards.validation[:].tolist()).decode() == PLAY[cut:]
    assert isinstance(shards.tokenizer, ByteTokenizer)
    assert shards.remarks == ()


def test_shards_are_memory_mapped_and_not_loaded(folder):
    shards = open_shards(folder)
    times = (folder / "train_000002.bin").stat()
    with (folder / "train_000002.bin").open("r+b") as file:
        file.write(b"\xff\x00")
    os.utime(folder / "train_000002.bin", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert shards.train.windows(np.array([2000]), 1).tolist() == [[255]]


@pytest.mark.parametrize("kept", [0, 400])
def test_a_shard_truncated_while_it_is_read_is_reported_in_one_sentence(folder, kept):
    shards = open_shards(folder)
    shards.train.windows(np.array([2000]), 1)
    os.truncate(folder / "train_000002.bin", kept)
    with pytest.raises(UserError, match=r"train_000002\.bin was changed or truncated while it was"):
        shards.train.windows(np.array([2900]), 60)


def test_a_shard_replaced_before_it_is_reopened_is_refused(folder, monkeypatch):
    monkeypatch.setattr(token_sequence, "OPEN_FILES", 1)
    shards = open_shards(folder)
    shards.train[:]
    (folder / "train_000000.bin").write_bytes((folder / "train_000001.bin").read_bytes())
    with pytest.raises(UserError, match=r"train_000000\.bin was changed or truncated"):
        shards.train[:10]


def test_more_shards_than_the_limit_of_open_files_are_read(tmp_path, play):
    program = (
        "import resource, numpy as np\n"
        "from gpt2_small.data.shards import open_shards\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
        "tokens = open_shards(OUT).train\n"
        "starts = np.arange(0, len(tokens) - 50, 7)\n"
        "print(int(tokens.windows(starts, 50).sum()))"
    )
    out = made(play, tmp_path / "many", tokenizer="byte", shard_tokens=40)
    text = PLAY[: len(PLAY) - len(PLAY) // 10].encode()
    total = sum(sum(text[start : start + 50]) for start in range(0, len(text) - 50, 7))
    assert len(list(out.glob("train_*"))) > 150
    assert printed_by(program.replace("OUT", repr(str(out))), tmp_path) == str(total)


def test_the_batch_of_a_step_does_not_depend_on_the_shards(prepared):
    step = {"seed": 1, "step": 7, "batch_size": 32, "rank": 0, "world_size": 1}
    batches = [windows_of(folder, 50).batch(**step) for folder in prepared.values()]
    assert batches[0].shape == (32, 51)
    assert torch.equal(batches[0], batches[1])
    assert torch.equal(batches[0], batches[2])


@pytest.mark.parametrize("world_size", [2, 4])
def test_the_shares_of_all_ranks_stacked_are_the_batch_of_one_process(prepared, world_size):
    data = windows_of(prepared["npy"], 50)
    step = {"seed": 1, "step": 7, "batch_size": 32}
    shares = [data.batch(**step, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert torch.equal(torch.cat(shares), data.batch(**step, rank=0, world_size=1))


def test_a_steps_batch_is_the_same_after_others_and_after_reopening(prepared):
    step = {"seed": 1, "batch_size": 8, "rank": 0, "world_size": 1}
    data = windows_of(prepared["bins"], 20)
    first = [data.batch(step=number, **step) for number in range(4)]
    again = windows_of(prepared["bins"], 20)
    assert all(torch.equal(again.batch(step=number, **step), first[number]) for number in (3, 1))


def test_evaluation_reads_every_held_out_window_once_or_the_given_number_of_tokens(prepared):
    shares = {"batch_size": 3, "rank": 0, "world_size": 1}
    held_out = PLAY[len(PLAY) - len(PLAY) // 10 :].encode()
    for limit, expected in ((None, held_out), (100, held_out[:100]), (10**9, held_out)):
        data = windows_of(prepared["bins"], 30, limit)
        targets = [batch[:, 1:].flatten() for batch in data.held_out(**shares)]
        assert bytes(torch.cat(targets).tolist()) == expected[1:]


def test_shards_have_the_rest_of_the_data_protocol(prepared):
    data = windows_of(prepared["bins"], 30)
    cut = len(PLAY) - len(PLAY) // 10
    train, held_out = (np.frombuffer(part.encode(), "u1") for part in (PLAY[:cut], PLAY[cut:]))
    expected = bigram_loss(train, evaluation_batches(held_out, n_ctx=30, batch_size=9), 257)
    assert data.name == "play.txt"
    assert data.start_token == 256
    assert math.isclose(data.bigram_loss(), expected)


def test_without_an_end_of_text_a_sample_begins_after_the_first_token(tmp_path, play):
    data = windows_of(made(play, tmp_path / "out", tokenizer="char"), 30)
    assert data.tokenizer.decode([data.start_token]) == PLAY[0]


def test_a_context_longer_than_the_data_is_refused_with_both_numbers(prepared):
    length = len(PLAY) - len(PLAY) // 10
    assert windows_of(prepared["bins"], length - 1).n_ctx == length - 1
    with pytest.raises(UserError, match=f"has {length} tokens, fewer than the {length + 1} of one"):
        windows_of(prepared["bins"], length)


# Damage


def test_a_missing_shard_is_refused_by_name(folder):
    (folder / "train_000003.bin").unlink()
    with pytest.raises(UserError, match=r"train_000003\.bin is missing, and the index lists it"):
        open_shards(folder)


def test_a_shard_of_a_wrong_size_is_refused_by_name_with_both_sizes(folder):
    os.truncate(folder / "train_000001.bin", 1998)
    with pytest.raises(UserError, match=r"train_000001\.bin has 1,998 bytes, .* says 2,000"):
        open_shards(folder)


@pytest.mark.parametrize("kind", ["bins", "npy"])
def test_a_changed_byte_is_found_when_everything_is_verified(prepared, tmp_path, kind):
    folder = shutil.copytree(prepared[kind], tmp_path / "shards")
    shard = sorted(folder.glob("train_*"))[2]
    data = bytearray(shard.read_bytes())
    data[1000] ^= 1
    shard.write_bytes(data)
    assert len(open_shards(folder).train) > 0
    with pytest.raises(UserError, match=rf"{shard.name} is damaged \(its SHA-256"):
        open_shards(folder, verify=True)


def test_a_changed_header_is_refused(prepared, tmp_path):
    folder = shutil.copytree(prepared["npy"], tmp_path / "shards")
    shard = folder / "train_000000.npy"
    shard.write_bytes(shard.read_bytes().replace(b"'<u2'", b"'>u2'"))
    with pytest.raises(UserError, match=r"train_000000\.npy is damaged \(its header"):
        open_shards(folder)


@pytest.mark.parametrize("name", ["train_000009.bin", "more.npy"])
def test_a_shard_that_the_index_does_not_list_is_refused_by_name(folder, name):
    (folder / name).write_bytes(b"\0\0")
    with pytest.raises(UserError, match=f"{name} is not listed in shards.json"):
        open_shards(folder)


def test_the_tokenizer_of_other_shards_is_refused(folder):
    save_tokenizer(CharTokenizer("abc"), folder)
    with pytest.raises(UserError, match=r"tokenizer\.json is not the one that shards\.json lists"):
        open_shards(folder)


def test_a_tokenizer_other_than_the_shards_own_is_refused(prepared):
    with pytest.raises(UserError, match="holds tokens of byte, not of gpt2"):
        open_shards(prepared["bin"], tokenizer="gpt2")
    assert open_shards(prepared["bin"], tokenizer="byte").tokenizer.name == "byte"


def damaged(index, change):
    content = json.loads(index.read_text())
    change(content)
    index.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda index: index.update(format="gpt2-small-shards/2"), "another version"),
        (lambda index: index.pop("splits"), r"shards\.json is damaged"),
        (lambda index: index.update(dtype="u3"), r"shards\.json is damaged"),
        (lambda index: index["splits"].update(train=[]), r"shards\.json is damaged"),
        (lambda index: index["splits"]["val"]["shards"].clear(), r"shards\.json is damaged"),
        (lambda index: index["splits"]["val"]["shards"][0].pop("tokens"), r"json is damaged"),
        (lambda index: index["splits"]["val"]["shards"][0].update(tokens=3), "the 3 tokens of"),
        (
            lambda index: index["splits"]["val"]["shards"][0].update(file="../val.bin"),
            r"shards\.json is damaged",
        ),
    ],
)
def test_a_damaged_index_is_refused(folder, change, complaint):
    damaged(folder / "shards.json", change)
    with pytest.raises(UserError, match=complaint):
        open_shards(folder)


def test_an_index_other_than_json_is_refused(folder):
    (folder / "shards.json").write_text("{")
    with pytest.raises(UserError, match=r"shards\.json is damaged, it is not JSON"):
        open_shards(folder)


def test_unfinished_shards_are_refused_with_the_command_to_resume(tmp_path):
    (tmp_path / "out/unfinished").mkdir(parents=True)
    assert holds_shards(tmp_path / "out")
    with pytest.raises(UserError, match="is not finished; give the `prepare` command"):
        open_shards(tmp_path / "out")


def test_a_missing_folder_is_refused_with_a_suggestion(folder):
    with pytest.raises(
        UserError, match=r"there are no shards at .*shrads; did you mean .*shards\?"
    ):
        open_shards(folder.with_name("shrads"))
