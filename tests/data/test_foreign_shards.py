"""Test shards of other programs: read correctly, or refused by name."""

import os
import pickle

import numpy as np
import pytest
import torch
from shard_folders import (
    TOKENS,
    bytes_of,
    json_lines,
    made,
    nanogpt_folder,
    windows_of,
    written,
)

from gpt2_small.data.shards import holds_shards, open_shards
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.registry import CharTokenizer, save_tokenizer


@pytest.fixture
def foreign(tmp_path):
    """Return a folder of shards as nanoGPT's prepare.py writes them."""
    return nanogpt_folder(tmp_path / "theirs")


def test_a_folder_of_nanogpts_shards_is_accepted_and_reported_as_such(foreign):
    shards = open_shards(foreign)
    assert (len(shards.train), len(shards.validation)) == (1000, 100)
    assert shards.tokenizer.name == "gpt2"
    assert shards.name == "theirs"
    assert "has no shards.json; tokenizer gpt2 is assumed" in shards.remarks[0]
    batch = windows_of(foreign, 8).batch(**STEP)
    assert torch.equal(batch - batch[:, :1], torch.arange(9).expand(4, 9))


STEP = {"seed": 0, "step": 0, "batch_size": 4, "rank": 0, "world_size": 1}


class Harmful:
    """Runs a program when it is unpickled."""

    def __reduce__(self):
        return os._exit, (1,)


def test_shards_whose_vocabulary_is_a_pickle_are_refused_and_it_is_not_loaded(foreign):
    (foreign / "meta.pkl").write_bytes(pickle.dumps(Harmful()))
    for path in (foreign, foreign / "train.bin"):
        with pytest.raises(
            UserError, match=r"meta\.pkl holds .* vocabulary .* never read; prepare"
        ):
            open_shards(path)
    assert open_shards(foreign, tokenizer="gpt2").tokenizer.name == "gpt2"


def test_the_tokenizer_of_foreign_shards_is_the_given_one_or_the_one_in_the_folder(foreign):
    tokenizer = CharTokenizer("".join(map(chr, range(2000))))
    assert open_shards(foreign, tokenizer=tokenizer).tokenizer is tokenizer
    save_tokenizer(tokenizer, foreign)
    assert open_shards(foreign).tokenizer.name == "char"


def test_of_a_single_file_the_last_tenth_is_for_validation(foreign):
    shards = open_shards(foreign / "train.bin")
    assert np.array_equal(shards.train[:], TOKENS[:900])
    assert np.array_equal(shards.validation[:], TOKENS[900:])


def test_a_folder_of_build_nanogpts_shards_is_accepted(tmp_path):
    for number, part in enumerate(np.split(TOKENS, [100, 700])):
        split = "train" if number else "val"
        np.save(tmp_path / f"edufineweb_{split}_{number:06d}.npy", part)
    shards = open_shards(tmp_path)
    assert np.array_equal(shards.train[:], TOKENS[100:])
    assert np.array_equal(shards.validation[:], TOKENS[:100])


def test_a_file_of_both_splits_is_refused(tmp_path):
    np.save(tmp_path / "retrieval_train_0.npy", TOKENS)
    np.save(tmp_path / "retrieval_test_0.npy", TOKENS)
    with pytest.raises(UserError, match=r"retrieval_train_0\.npy has both 'train' and 'val'"):
        open_shards(tmp_path)


def words_of_4_bytes():
    return np.arange(1000, dtype="<u4").tobytes()


def with_a_header_of_llm_c():
    return np.array([20240520, 1, 1000, *[0] * 253], dtype="<i4").tobytes() + TOKENS.tobytes()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\0" * 11, r"train\.bin has 11 bytes, which is not a whole number of 2-byte tokens"),
        (b"", r"train\.bin has 0 bytes"),
        (
            np.array([5, 50257], "<u2").tobytes(),
            r"train\.bin contains the id 50257, outside the 50257",
        ),
        (with_a_header_of_llm_c(), r"train\.bin is a shard of llm\.c, with a header"),
        (words_of_4_bytes(), r"train\.bin seems to contain tokens of four bytes"),
    ],
)
def test_a_foreign_file_without_tokens_is_refused_by_name(foreign, data, complaint):
    (foreign / "train.bin").write_bytes(data)
    with pytest.raises(UserError, match=complaint):
        open_shards(foreign)


def test_an_id_beyond_the_vocabulary_inside_a_shard_is_found_by_verifying_and_by_training(
    foreign, monkeypatch
):
    tokens = np.zeros(400_000, dtype=np.uint16)
    tokens[200_000] = 60_000
    tokens.tofile(foreign / "train.bin")
    with pytest.raises(UserError, match=r"train\.bin contains the id 60000"):
        open_shards(foreign, verify=True)
    data = windows_of(foreign, 200_000)
    with pytest.raises(UserError, match=r"train\.bin contains the id 60000"):
        data.batch(**STEP)


def test_a_negative_id_inside_a_shard_is_found_by_training(tmp_path):
    tokens = np.zeros(400_000, dtype=np.int32)
    tokens[200_000] = -100
    np.save(tmp_path / "a_train_0.npy", tokens)
    np.save(tmp_path / "a_val_0.npy", TOKENS)
    data = windows_of(tmp_path, 200_000)
    with pytest.raises(UserError, match=r"a_train_0\.npy contains the id -100, outside the 50257"):
        data.batch(**STEP)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((2, 3), np.uint16), r"contains an array \[2, 3\] of uint16"),
        (np.zeros(9, np.float32), r"contains an array \[9\] of float32"),
        (np.array([1, -1]), "contains the id -1"),
        (np.array([Harmful()]), r"contains an array \[1\] of object"),
    ],
)
def test_a_foreign_array_without_tokens_is_refused(tmp_path, array, complaint):
    np.save(tmp_path / "a_val_0.npy", TOKENS)
    np.save(tmp_path / "a_train_0.npy", array)
    with pytest.raises(UserError, match=f"a_train_0.npy {complaint}"):
        open_shards(tmp_path)


def test_a_folder_without_a_validation_split_is_refused_with_its_files(foreign):
    (foreign / "val.bin").unlink()
    with pytest.raises(UserError, match=r"has no val\.bin .*its shards: train\.bin"):
        open_shards(foreign)


def test_shards_are_distinguished_from_other_data(foreign, play, prepared):
    shards = [foreign, foreign / "val.bin", prepared["bin"], prepared["npy"]]
    assert all(holds_shards(path) for path in shards)
    others = [play, play.parent, foreign / "not there"]
    assert not any(holds_shards(path) for path in others)


def test_training_windows_cross_the_ends_of_shards(tmp_path):
    path = json_lines(tmp_path / "some.jsonl", written(60))
    data = windows_of(made(path, tmp_path / "out", tokenizer="byte"), 200)
    assert (data.batch(**STEP) == 256).any()
    assert bytes_of(tmp_path / "out")
