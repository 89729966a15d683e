"""Test randomly damaged files: each is read or refused, and none hangs."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import random
import shutil
from itertools import islice

import numpy as np
import pytest
from shard_folders import bytes_of, json_lines, made, steps_of, written

from gpt2_small.data import prepare
from gpt2_small.data.conversations.records import read_rows
from gpt2_small.data.shards import open_shards
from gpt2_small.errors import UserError

TEXTS = written(25)
QUICK, LONG = 6, 60  # damaged copies of each file


def damaged(data, rng):
    """Return a copy with bytes flipped, cut off, inserted, removed or repeated."""
    data, at = bytearray(data), rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.choice([1, 2, 16, 300]))
    how = rng.randrange(5)
    if how == 0:
        for _ in range(rng.choice([1, 3, 30])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how == 1:
        del data[at:]
    elif how == 2:
        data[at:at] = rng.choice([b"\0", b"[" * 5000, b'"', b"\n", b"{}", b"\xff", os.urandom(40)])
    elif how == 3:
        del data[at:end]
    else:
        data[at:at] = data[at:end]
    return bytes(data)


def originals():
    """Return the bytes of an undamaged file of each kind, by name."""
    lines = "".join(json.dumps({"id": "x", "text": text}) + "\n" for text in TEXTS).encode()
    table = io.StringIO()
    csv.writer(table).writerows([["id", "text"], *(["x", text] for text in TEXTS)])
    text = "\n".join(TEXTS)
    files = {
        "a.jsonl": lines,
        "a.json": json.dumps([{"text": text} for text in TEXTS], indent=1).encode(),
        "a.csv": table.getvalue().encode(),
        "a.txt": text.encode(),
        "b.txt": text.encode("utf-16"),
        "a.txt.gz": gzip.compress(text.encode(), mtime=0),
        "a.jsonl.bz2": bz2.compress(lines),
        "a.csv.xz": lzma.compress(table.getvalue().encode()),
    }
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return files
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS}), buffer, row_group_size=9)
    return files | {
        "a.parquet": buffer.getvalue(),
        "a.jsonl.zst": pyarrow.Codec("zstd").compress(lines, asbytes=True),
    }


FILES = originals()
COUNTS = [QUICK, pytest.param(LONG, marks=pytest.mark.slow)]


def check_all(count, attempt):
    """Attempt each damaged copy; a refusal must be one line."""
    refusals = []
    for number in range(count):
        try:
            attempt(number)
        except UserError as error:
            refusals.append(str(error))
    assert refusals
    assert not any("\n" in refusal for refusal in refusals)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_text_is_read_or_refused(tmp_path, name, count):
    def attempt(number):
        path = tmp_path / name
        path.write_bytes(damaged(FILES[name], random.Random(f"{name} {number}")))
        made(path, tmp_path / f"out {number}", tokenizer="byte", skipped_share=0.02)

    check_all(count, attempt)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", ["shards.json", "tokenizer.json", "train_000000.npy"])
def test_a_damaged_folder_of_shards_is_read_or_refused(tmp_path, name, count):
    path = json_lines(tmp_path / "a.jsonl", TEXTS)
    expected = made(path, tmp_path / "whole", tokenizer="bpe:270", kind="npy")

    def attempt(number):
        folder = shutil.copytree(expected, tmp_path / f"{number}")
        data = damaged((folder / name).read_bytes(), random.Random(f"{name} {number}"))
        (folder / name).write_bytes(data)
        if number % 2:
            (folder / "shards.json").unlink()  # shards of other programs have no index
        tokens = open_shards(folder, verify=number % 3 == 0).train
        tokens.windows(np.zeros(3, dtype=np.int64), min(len(tokens), 9))

    check_all(count, attempt)


@pytest.mark.parametrize("count", COUNTS)
def test_a_damaged_state_is_refused(tmp_path, count, monkeypatch):
    monkeypatch.setattr(prepare, "BATCH_PIECES", 4)
    path = json_lines(tmp_path / "a.jsonl", TEXTS)
    list(islice(steps_of(path, tmp_path / "begun", tokenizer="byte"), 5))
    expected = bytes_of(made(path, tmp_path / "whole", tokenizer="byte"))

    def attempt(number):
        folder = shutil.copytree(tmp_path / "begun", tmp_path / f"{number}")
        state = folder / "unfinished/progress.json"
        state.write_bytes(damaged(state.read_bytes(), random.Random(number)))
        assert bytes_of(made(path, folder, tokenizer="byte")) == expected

    check_all(count, attempt)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", [n for n in FILES if ".json" in n or "parquet" in n])
def test_a_damaged_file_of_conversations_is_read_or_refused(tmp_path, name, count):
    def attempt(number):
        path = tmp_path / name
        path.write_bytes(damaged(FILES[name], random.Random(f"{name} {number}")))
        list(read_rows(path))

    check_all(count, attempt)
