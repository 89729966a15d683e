"""Test several arrays of tokens read as one sequence."""

import gc
import itertools
import warnings
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2_small.data.batches import batch_at, evaluation_batches
from gpt2_small.data.shards import token_sequence
from gpt2_small.data.shards.token_sequence import OpenFiles, TokenFile, TokenSequence
from gpt2_small.errors import UserError

TOKENS = np.arange(1000, dtype=np.uint16)  # each token is its own position
BATCH = {"seed": 5, "step": 3, "batch_size": 12, "n_ctx": 8}


def in_parts(tokens, *cuts, vocab_size=2**16):
    parts = np.split(tokens, cuts)
    return TokenSequence(parts, [f"part {number}" for number in range(len(parts))], vocab_size)


@given(
    cuts=st.lists(st.integers(1, 59), max_size=5),
    start=st.integers(0, 60),
    length=st.integers(1, 60),
)
def test_a_slice_of_parts_equals_that_of_the_whole(cuts, start, length):
    tokens = in_parts(TOKENS[:60], *sorted(cuts))
    assert len(tokens) == 60
    assert np.array_equal(tokens[start : start + length], TOKENS[:60][start : start + length])


@given(
    cuts=st.lists(st.integers(0, 60), max_size=6),
    starts=st.lists(st.integers(0, 40), min_size=1, max_size=9),
    length=st.integers(1, 20),
)
def test_windows_cross_the_boundaries_of_parts(cuts, starts, length):
    tokens = in_parts(TOKENS[:60], *sorted(cuts))
    expected = np.array(starts)[:, None] + np.arange(length)
    assert np.array_equal(tokens.windows(np.array(starts), length), expected)


@given(cuts=st.lists(st.integers(1, 999), max_size=40))
def test_a_batch_of_parts_equals_that_of_the_whole(cuts):
    tokens = in_parts(TOKENS, *sorted(cuts))
    assert torch.equal(batch_at(tokens, **BATCH), batch_at(TOKENS, **BATCH))


@given(
    cuts=st.lists(st.integers(1, 89), max_size=4),
    n_ctx=st.integers(1, 30),
    batch_size=st.integers(1, 5),
    world_size=st.integers(1, 3),
)
def test_evaluation_of_parts_equals_that_of_the_whole(cuts, n_ctx, batch_size, world_size):
    for rank in range(world_size):
        share = {"n_ctx": n_ctx, "batch_size": batch_size, "rank": rank, "world_size": world_size}
        ours = evaluation_batches(in_parts(TOKENS[:90], *sorted(cuts)), **share)
        theirs = evaluation_batches(TOKENS[:90], **share)
        assert all(itertools.starmap(torch.equal, zip(ours, theirs, strict=True)))


@given(cuts=st.lists(st.integers(1, 59), max_size=5), length=st.integers(1, 80))
def test_the_first_tokens_of_parts_equal_those_of_the_whole(cuts, length):
    beginning = in_parts(TOKENS[:60], *sorted(cuts)).beginning(length)
    assert np.array_equal(beginning[:], TOKENS[:60][:length])


def test_an_id_beyond_the_vocabulary_is_refused_with_its_part():
    tokens = in_parts(TOKENS, 300, 600, vocab_size=640)
    assert tokens.windows(np.array([500]), 140).shape == (1, 140)
    with pytest.raises(
        UserError, match="part 2 contains the id 640, outside the 640 ids of its tokenizer"
    ):
        tokens.windows(np.array([3, 500]), 141)


@pytest.mark.parametrize("has_pread", [True, False])
def test_a_short_read_is_continued(tmp_path, monkeypatch, has_pread):
    TOKENS.tofile(tmp_path / "train.bin")
    read_at = token_sequence._read_at
    three_bytes = lambda file, offset, count: read_at(file, offset, min(3, count))  # noqa: E731
    monkeypatch.setattr(token_sequence, "_read_at", three_bytes)
    if not has_pread:  # as on Windows
        monkeypatch.delattr(token_sequence.os, "pread")
    file = TokenFile(tmp_path / "train.bin", np.dtype("<u2"), 0, len(TOKENS))
    tokens = TokenSequence([file], ["train.bin"], vocab_size=2**16)
    assert np.array_equal(tokens[7:40], TOKENS[7:40])


def test_files_in_a_reference_cycle_are_closed(tmp_path):
    TOKENS.tofile(tmp_path / "train.bin")
    tokens = TokenFile(tmp_path / "train.bin", np.dtype("<u2"), 0, len(TOKENS))
    file, files = tokens.open(), OpenFiles()
    files._files[tokens], files.itself = file, files
    watch = weakref.ref(file)
    del file, files
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()
    assert watch() is None
