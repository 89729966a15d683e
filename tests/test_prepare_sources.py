"""Where the texts of shards come from: kinds of files, folders, text read in blocks."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_folders import index_of, json_lines, made, written

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.gpt2_pattern import chunks, chunks_of_blocks


def test_parquet_is_read_and_its_column_chosen(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = written(40)
    table = pyarrow.table({"id": [str(number) for number in range(40)], "body": texts})
    parquet.write_table(table, tmp_path / "some.parquet")
    with pytest.raises(UserError, match="its columns of text are: id, body"):
        made(tmp_path / "some.parquet", tmp_path / "out", tokenizer="byte")
    folder = made(tmp_path / "some.parquet", tmp_path / "out", tokenizer="byte", column="body")
    other = made(json_lines(tmp_path / "some.jsonl", texts), tmp_path / "other", tokenizer="byte")
    assert (folder / "train.bin").read_bytes() == (other / "train.bin").read_bytes()


def test_a_folder_of_files_is_one_data_set(tmp_path):
    texts = written(40)
    (tmp_path / "set").mkdir()
    json_lines(tmp_path / "set/a.jsonl", texts[:25])
    json_lines(tmp_path / "set/b.jsonl", texts[25:])
    folder = made(tmp_path / "set", tmp_path / "out", tokenizer="byte")
    other = made(json_lines(tmp_path / "some.jsonl", texts), tmp_path / "other", tokenizer="byte")
    assert (folder / "train.bin").read_bytes() == (other / "train.bin").read_bytes()
    assert set(index_of(folder)["source"]["files"]) == {"a.jsonl", "b.jsonl"}


def test_a_file_name_with_the_signs_of_a_pattern_is_a_name(tmp_path):
    path = json_lines(tmp_path / "part[1]*.jsonl", written(12))
    assert index_of(made(path, tmp_path / "out", tokenizer="byte"))["dtype"] == "uint16"


@given(
    text=st.text(alphabet="ab é\n\t 它", max_size=80),
    cuts=st.lists(st.integers(0, 80), max_size=6),
    size=st.integers(1, 12),
)
def test_blocks_are_chunked_as_the_whole_is(text, cuts, size):
    places = [0, *sorted(cuts), len(text)]
    blocks = [text[start:end] for start, end in itertools.pairwise(places)]
    assert list(chunks_of_blocks(blocks, size)) == list(chunks("".join(blocks), size))
