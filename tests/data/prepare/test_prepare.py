"""Test the bytes of prepared shards."""

import hashlib
import json
import random

import numpy as np
import pytest
import tiktoken
from shard_folders import (
    SPACED_PLAY,
    bytes_of,
    divided,
    index_of,
    json_lines,
    made,
    set_small_batches,
    share_of_hash,
    steps_of,
    texts_of,
    tokens_of,
    written,
)

from gpt2_small import stories
from gpt2_small.data import parallel_encoding, prepare
from gpt2_small.data.corpora import corpus, text_files
from gpt2_small.data.shards import index
from gpt2_small.tokenizers.gpt2_table import gpt2_ranks
from gpt2_small.tokenizers.protocol import BaseTokenizer
from gpt2_small.tokenizers.registry import load_tokenizer, make_tokenizer

# The pattern of openai/gpt-2.
ORIGINAL_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


@pytest.fixture(scope="module")
def documents():
    return [*written(200), "It ends with <|endoftext|>", "\n\n", "  led by spaces"]


@pytest.fixture
def lines(tmp_path, documents):
    return json_lines(tmp_path / "documents.jsonl", documents)


@pytest.fixture
def small_batches(monkeypatch):
    """Make pieces and batches small, so that a small text has many."""
    set_small_batches(monkeypatch)
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 64)


@pytest.fixture(scope="module")
def plainly_encoded():
    """Return documents encoded one after the other by the engine, in one process."""
    engine = tiktoken.Encoding(
        "gpt2", pat_str=ORIGINAL_PATTERN, mergeable_ranks=gpt2_ranks(), special_tokens={}
    )

    def encode(documents):
        ids = []
        for document in documents:
            ids += [*engine.encode_ordinary(document), 50256]
        return np.array(ids, dtype="<u2").tobytes()

    return encode


def test_the_shards_equal_the_engines_ids_document_by_document(
    tmp_path, lines, documents, plainly_encoded, small_batches
):
    folder = made(lines, tmp_path / "out", validation_share=0.2)
    train, validation = divided(documents, 0.2)
    assert 20 < len(validation) < 60
    assert (folder / "train.bin").read_bytes() == plainly_encoded(train)
    assert (folder / "val.bin").read_bytes() == plainly_encoded(validation)


def test_nanogpts_reader_reads_them(tmp_path, lines, documents):
    folder = made(lines, tmp_path / "out", validation_share=0.2)
    train, validation = divided(documents, 0.2)
    tokenizer = load_tokenizer(folder)
    for name, expected in (("train.bin", train), ("val.bin", validation)):
        data = np.memmap(folder / name, dtype=np.uint16, mode="r")
        text = tokenizer.decode(data.astype(np.int64).tolist())
        assert text == "".join(f"{document}<|endoftext|>" for document in expected)


def test_build_nanogpts_reader_reads_them(tmp_path, lines, documents, plainly_encoded):
    folder = made(lines, tmp_path / "out", validation_share=0.2, kind="npy", shard_tokens=1000)
    for split, part in zip(("train", "val"), divided(documents, 0.2), strict=True):
        names = sorted(path.name for path in folder.iterdir() if split in path.name)
        arrays = [np.load(folder / name) for name in names]
        assert {array.dtype for array in arrays} == {np.dtype("uint16")}
        assert {len(array) for array in arrays[:-1]} <= {1000}
        assert np.concatenate(arrays).tobytes() == plainly_encoded(part)
    assert len(names) >= 2


def test_an_npy_shard_equals_the_file_of_numpy_save(tmp_path, play):
    folder = made(play, tmp_path / "out", tokenizer="byte", kind="npy", shard_tokens=5000)
    array = np.load(folder / "train_000001.npy")
    np.save(tmp_path / "theirs.npy", array)
    assert len(array) == 5000
    assert (folder / "train_000001.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()


@pytest.mark.parametrize("spec", ["gpt2", "byte", "char", "bpe:300"])
def test_a_text_file_is_encoded_in_pieces_as_in_one(tmp_path, play, spec, small_batches):
    folder = made(play, tmp_path / "out", tokenizer=spec)
    cut = len(SPACED_PLAY) - len(SPACED_PLAY) // 10
    tokenizer = make_tokenizer(spec, SPACED_PLAY if spec == "char" else SPACED_PLAY[:cut])
    assert load_tokenizer(folder).to_dict() == tokenizer.to_dict()
    assert tokens_of(folder, "train") == tokenizer.encode(SPACED_PLAY[:cut])
    assert tokens_of(folder, "val") == tokenizer.encode(SPACED_PLAY[cut:])


def test_several_processes_write_the_same_bytes_as_one(tmp_path, lines, small_batches, monkeypatch):
    monkeypatch.setattr(prepare, "BATCH_CHARACTERS", 2000)
    alone, together = (
        made(lines, tmp_path / f"by {count}", processes=count, tokenizer="byte") for count in (1, 2)
    )
    assert bytes_of(alone) == bytes_of(together)


def test_results_out_of_order_are_detected(tmp_path, play, small_batches, monkeypatch):
    right = made(play, tmp_path / "right", tokenizer="byte")
    in_order = prepare.encode_in_order

    def shuffled(*arguments):
        results = list(in_order(*arguments))
        random.Random(0).shuffle(results)
        return iter(results)

    monkeypatch.setattr(prepare, "encode_in_order", shuffled)
    wrong = made(play, tmp_path / "wrong", tokenizer="byte")
    assert bytes_of(right).keys() == bytes_of(wrong).keys()
    assert bytes_of(right)["train.bin"] != bytes_of(wrong)["train.bin"]


@pytest.mark.parametrize("kind", ["bin", "npy"])
def test_the_size_of_a_shard_changes_only_its_boundaries(tmp_path, play, kind):
    folder = made(play, tmp_path / "out", tokenizer="byte", kind=kind, shard_tokens=999)
    unlimited = made(play, tmp_path / "whole", tokenizer="byte")
    for split in ("train", "val"):
        entries = index_of(folder)["splits"][split]["shards"]
        skipped = 128 if kind == "npy" else 0
        cut = [(folder / entry["file"]).read_bytes()[skipped:] for entry in entries]
        assert {len(part) for part in cut[:-1]} <= {2 * 999}
        assert b"".join(cut) == (unlimited / f"{split}.bin").read_bytes()


def test_the_index_describes_every_file(tmp_path, lines, documents):
    folder = made(lines, tmp_path / "out", validation_share=0.2, tokenizer="byte")
    index = index_of(folder)
    train, validation = divided(documents, 0.2)
    assert index["format"] == "gpt2-small-shards/1"
    assert index["dtype"] == "uint16"
    assert index["tokenizer"]["name"] == "byte"
    assert index["source"]["name"] == "documents.jsonl"
    assert index["source"]["sha256"] == sha256_of(lines)
    assert index["settings"]["validation_share"] == 0.2
    for split, part in (("train", train), ("val", validation)):
        (shard,) = index["splits"][split]["shards"]
        tokens = sum(len(document.encode()) + 1 for document in part)
        assert index["splits"][split]["documents"] == len(part)
        assert index["splits"][split]["tokens"] == shard["tokens"] == tokens
        assert shard["file"] == f"{split}.bin"
        assert shard["bytes"] == 2 * tokens
        assert shard["sha256"] == sha256_of(folder / shard["file"])
    assert sorted(bytes_of(folder)) == ["shards.json", "tokenizer.json", "train.bin", "val.bin"]


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_ids_past_65535_take_four_bytes(tmp_path, play, monkeypatch):
    for module in (parallel_encoding, prepare, index):
        monkeypatch.setattr(module, "id_dtype", lambda size: np.uint32)
    folder = made(play, tmp_path / "out", tokenizer="byte")
    cut = len(SPACED_PLAY) - len(SPACED_PLAY) // 10
    assert index_of(folder)["dtype"] == "uint32"
    assert np.fromfile(folder / "train.bin", dtype="<u4").tolist() == list(
        SPACED_PLAY[:cut].encode()
    )


def test_all_copies_of_a_document_are_in_the_same_split(tmp_path):
    texts = written(60)
    copies = [*texts, *reversed(texts), texts[9]]
    path = json_lines(tmp_path / "twice.jsonl", copies)
    train, validation = (
        set(text.split("<|endoftext|>"))
        for text in texts_of(made(path, tmp_path / "out", validation_share=0.3)).values()
    )
    assert len(validation) > 10
    assert texts[9] in validation
    assert train & validation == {""}


def test_the_tenth_distinct_document_is_held_out_for_any_share(tmp_path):
    path = json_lines(tmp_path / "ten.jsonl", [*written(9)[:1] * 5, *written(10)])
    folder = made(path, tmp_path / "out", tokenizer="byte", validation_share=0.0001)
    assert texts_of(folder)["val"] == f"{written(10)[9]}<|endoftext|>"


def test_of_fewer_than_ten_distinct_documents_the_last_tenth_of_each_is_held_out(tmp_path):
    texts = [*("abcdefghij" * number for number in range(1, 10)), "abcdefghij"]
    path = json_lines(tmp_path / "nine.jsonl", texts)
    steps = list(steps_of(path, tmp_path / "out", tokenizer="byte"))
    assert any("the last tenth of each is held out" in line for line in steps[0].remarks)
    found = texts_of(tmp_path / "out")
    parts = [(text[: -len(text) // 10], text[-len(text) // 10 :]) for text in texts]
    assert found["train"] == "".join(f"{train}<|endoftext|>" for train, _ in parts)
    assert found["val"] == "".join(f"{held_out}<|endoftext|>" for _, held_out in parts)


def test_the_default_share_for_validation_depends_on_the_size(tmp_path, lines):
    folder = made(lines, tmp_path / "out", tokenizer="byte")
    assert index_of(folder)["settings"]["validation_share"] == 0.1


def test_empty_documents_are_skipped(tmp_path):
    path = json_lines(tmp_path / "some.jsonl", ["", *written(12), ""])
    index = index_of(made(path, tmp_path / "out", tokenizer="byte"))
    assert sum(part["documents"] for part in index["splits"].values()) == 12


def test_without_an_end_of_text_documents_end_with_an_empty_line(tmp_path):
    texts = written(30)
    path = json_lines(tmp_path / "some.jsonl", texts)
    folder = made(path, tmp_path / "out", tokenizer="char", validation_share=0.2)
    tokenizer = load_tokenizer(folder)
    ids = np.fromfile(folder / "train.bin", dtype="<u2").tolist()
    assert tokenizer.decode(ids) == "".join(f"{text}\n\n" for text in divided(texts, 0.2)[0])


def test_byte_pairs_are_learned_only_from_the_training_documents(tmp_path):
    texts = [*written(40), *(f"zq{'zq' * number}" for number in range(40))]
    share = 0.5
    held_out = [text for text in texts if "zq" in text and share_of_hash(text) < share]
    path = json_lines(tmp_path / "some.jsonl", [*texts[:40], *held_out])
    folder = made(path, tmp_path / "out", tokenizer="bpe:280", validation_share=share)
    assert len(held_out) > 10
    assert "zq" not in json.dumps(load_tokenizer(folder).to_dict()).replace(" ", "")


def test_stories_begin_with_their_own_mark_and_no_end_of_text(tmp_path):
    folder = made("stories", tmp_path / "out", max_documents=50, validation_share=0.2)
    tokenizer = stories.StoriesTokenizer()
    texts = [stories.join_words(words) for words in stories.training_stories(0, 50)]
    expected = [id for text in divided(texts, 0.2)[0] for id in tokenizer.encode(text)]
    assert np.fromfile(folder / "train.bin", dtype="<u2").tolist() == expected
    assert load_tokenizer(folder).name == "stories"


def test_the_number_of_documents_can_be_limited(tmp_path, lines, documents):
    folder = made(lines, tmp_path / "out", tokenizer="byte", max_documents=30)
    index = index_of(folder)
    assert sum(part["documents"] for part in index["splits"].values()) == 30


class Marking(BaseTokenizer):
    """A tokenizer of letters; `encode` puts `mark` before a text, like tokenizers with a BOS."""

    name, vocab_size, end_of_text, mark = "marking", 130, 128, 129
    around = (129,), ()

    def encode(self, text):
        return [self.mark, *self.encode_ordinary(text)]

    def encode_ordinary(self, text):
        return list(text.encode())

    def to_dict(self):
        return {"name": self.name}


def test_ids_before_each_text_come_once_for_each_document(small_batches):
    pieces = [
        corpus.Piece("one ", "train", ends=False),
        corpus.Piece("two", "train", begins=False),
        corpus.Piece("three", "train"),
    ]
    found = parallel_encoding.encode_batch(Marking(), pieces, corpus.HeldOut(0.1))
    assert found.ids["train"].tolist() == [129, *b"one two", 128, 129, *b"three", 128]
