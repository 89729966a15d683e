"""Test files that Git LFS has not downloaded: refused by name, never read as content."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gpt2_small import load_pretrained
from gpt2_small.data.conversations.records import read_rows
from gpt2_small.data.corpora import open_corpus
from gpt2_small.data.shards import open_shards
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.hugging_face import read_tokenizer_folder

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:324f0a8e12a933bab3c3adb1c166875d6868776c82729a6afb982148a6919ccc\n"
    "size 6674931\n"
)


def open_chats(path: Path) -> None:
    list(read_rows(path))


def open_beside(path: Path) -> None:
    """Open shards of which only one file is a pointer."""
    (path.parent / "val.bin").write_bytes(bytes(2000))
    open_shards(path.parent)


def load_model_of(path: Path) -> None:
    (path.parent / "config.json").write_text('{"model_type": "gpt2"}')
    load_pretrained(path.parent)


@pytest.mark.parametrize(
    ("name", "open_file"),
    [
        ("text.txt", lambda path: open_corpus(str(path))),
        ("rows.jsonl", lambda path: open_corpus(str(path))),
        ("rows.json", lambda path: open_corpus(str(path))),
        ("rows.csv", lambda path: open_corpus(str(path))),
        ("rows.parquet", lambda path: open_corpus(str(path))),
        ("rows.arrow", lambda path: open_corpus(str(path))),
        ("text.txt", lambda path: open_corpus(str(path.parent))),
        ("chats.jsonl", open_chats),
        ("chats.parquet", open_chats),
        ("train.bin", open_shards),
        ("train.bin", open_beside),
        ("tokenizer.json", lambda path: read_tokenizer_folder(path.parent)),
        ("model.safetensors", load_model_of),
    ],
)
def test_a_git_lfs_pointer_is_refused_by_name(
    tmp_path: Path, name: str, open_file: Callable[[Path], object]
) -> None:
    if name.endswith((".parquet", ".arrow")):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_text(POINTER)
    with pytest.raises(UserError, match=rf"{name} is a Git LFS pointer, .*; run git lfs pull"):
        open_file(path)
