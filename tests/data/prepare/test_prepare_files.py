"""Test text files and folders: no document lost, skipped files listed."""

import gzip
import io
import itertools
import os
import sys
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_folders import (
    documents_of,
    index_of,
    json_lines,
    made,
    remarks_of,
    steps_of,
    texts_of,
    write_file,
    written,
)

from gpt2_small.data.corpora import text_files
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.pretoken_split import chunks, chunks_of_blocks

TEXT = "".join(f"Zeile {number}: «naïve» 它\n" for number in range(60))
CUT = len(TEXT) - len(TEXT) // 10


def folder_of(folder, texts):
    """Write a folder of text files with unusual names."""
    names = ["test_pilots.txt", "training_day.txt", "val.txt", "sub/novel.txt", "sub/deep/a b.txt"]
    names += ["part[1]*.txt", "-rf.txt", "two\nlines.txt", "naïve 它.txt", "LICENSE", "code.py"]
    names += ["UPPER.TXT", "m[/b]x.md", *(f"{number:03}.txt" for number in range(len(texts)))]
    for name, text in zip(names, texts, strict=False):
        write_file(folder / name, text)
    return folder


# Folders


def test_every_file_of_a_folder_is_read_whatever_its_name(tmp_path):
    texts = [f"Document {number}.\nIt has two lines." for number in range(20)]
    out = made(folder_of(tmp_path / "texts", texts), tmp_path / "out", tokenizer="byte")
    assert documents_of(out) == sorted(texts)


def test_text_files_beside_files_of_rows_are_read_too(tmp_path):
    texts = written(25)
    write_file(tmp_path / "set/x.txt", "x")
    json_lines(tmp_path / "set/a.jsonl", texts)
    write_file(tmp_path / "set/b.csv", "text\n" + "".join(f'"{t}"\n' for t in ["one", "two"]))
    write_file(tmp_path / "set/c.jsonl.gz", gzip.compress(b'{"text": "three"}\n'))
    out = made(tmp_path / "set", tmp_path / "out", tokenizer="byte")
    assert documents_of(out) == sorted([*texts, "x", "one", "two", "three"])
    assert set(index_of(out)["source"]["files"]) == {"a.jsonl", "b.csv", "c.jsonl.gz", "x.txt"}


def test_of_few_texts_the_last_tenth_of_each_is_held_out_with_a_remark(tmp_path):
    texts = [TEXT[:30], TEXT]
    folder = folder_of(tmp_path / "texts", texts)
    remarks = remarks_of(folder, tmp_path / "out", tokenizer="byte")
    assert any("the last tenth of each is held out" in line for line in remarks)
    end = "<|endoftext|>"
    assert texts_of(tmp_path / "out") == {
        "train": TEXT[:27] + end + TEXT[:CUT] + end,
        "val": TEXT[27:30] + end + TEXT[CUT:] + end,
    }


def test_a_folder_with_one_text_gives_the_same_shards_as_the_text(tmp_path):
    write_file(tmp_path / "one/play.txt", TEXT)
    out = made(tmp_path / "one", tmp_path / "out", tokenizer="byte")
    assert texts_of(out) == {"train": TEXT[:CUT], "val": TEXT[CUT:]}


def test_files_of_a_folder_that_are_left_out_are_listed_by_name(tmp_path):
    folder = folder_of(tmp_path / "texts", written(15))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("inside.txt", "inside")
    left_out = {
        ".hidden.txt": ("hidden", "hidden text"),
        ".git/config": ("hidden", "hidden text"),
        "picture.png": ("not text", b"\x89PNG\r\n\x1a\n\0\0\0"),
        "texts.zip": ("a zip archive", archive.getvalue()),
        "settings.json": ("a JSON object without text", '{"name": "x",\n "size": 3}'),
        "nothing.txt": ("empty", " \n"),
    }
    for name, (_, data) in left_out.items():
        write_file(folder / name, data)
    (folder / "broken").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder)
    remarks = "\n".join(remarks_of(folder, tmp_path / "out", tokenizer="byte"))
    expected = {name.removesuffix("/config"): reason for name, (reason, _) in left_out.items()}
    expected |= {"broken": "a broken link, a pipe or a device", "loop": "a link to a folder"}
    assert index_of(tmp_path / "out")["left_out"]["files"] == expected
    assert documents_of(tmp_path / "out") == sorted(written(15))
    assert all(name in remarks and reason in remarks for name, reason in expected.items())


def test_a_folder_with_a_text_in_another_encoding_is_refused_unless_files_may_be_skipped(tmp_path):
    folder = folder_of(tmp_path / "texts", written(15))
    write_file(folder / "latin.txt", "naïve".encode("latin-1"))
    with pytest.raises(UserError, match=r"1 of the 16 files .* \(latin\.txt; .*byte 0xef.* 0\.063"):
        made(folder, tmp_path / "out", tokenizer="byte")
    out = made(folder, tmp_path / "out", tokenizer="byte", skipped_share=0.1)
    assert documents_of(out) == sorted(written(15))
    assert index_of(out)["left_out"]["files"] == {"latin.txt": "not UTF-8 (byte 0xef at offset 2)"}
    assert "Left out: latin.txt (not UTF-8)." in index_of(out)["remarks"]


def test_a_folder_without_text_is_refused_with_its_contents(tmp_path):
    write_file(tmp_path / "set/a.png", b"\x89PNG\0")
    with pytest.raises(UserError, match=r"holds no text \(a\.png \(not text\)\)"):
        made(tmp_path / "set", tmp_path / "out")


def test_files_outside_the_folder_named_in_its_readme_are_not_read(tmp_path):
    json_lines(tmp_path / "secret.jsonl", ["secret"])
    readme = "---\nconfigs:\n- config_name: default\n  data_files: ../secret.jsonl\n---\n"
    write_file(tmp_path / "set/README.md", readme)
    json_lines(tmp_path / "set/some.jsonl", written(12))
    out = made(tmp_path / "set", tmp_path / "out", tokenizer="byte")
    assert documents_of(out) == sorted([*written(12), readme])


@pytest.mark.skipif(sys.platform != "linux", reason="file names on this system are Unicode")
def test_file_names_that_are_not_utf_8_are_read(tmp_path):
    folder = folder_of(tmp_path / "texts", written(12))
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("coffee")
    (folder / os.fsdecode(b"th\xe9.png")).write_bytes(b"\0")
    out = made(folder, tmp_path / "out", tokenizer="byte")
    assert documents_of(out) == sorted([*written(12), "coffee"])
    assert os.fsdecode(b"th\xe9.png") in index_of(out)["left_out"]["files"]
    assert any(r"th\udce9.png (not text)" in line for line in index_of(out)["remarks"])


# Unusual texts


@pytest.mark.parametrize("spec", ["char", "byte", "gpt2"])
def test_a_text_without_spaces_or_line_ends_is_prepared(tmp_path, spec, monkeypatch):
    monkeypatch.setattr(text_files, "LONGEST_PIECE", 300)
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 64)
    text = "ACGT" * 1000
    out = made(write_file(tmp_path / "genome", text), tmp_path / "out", tokenizer=spec)
    assert texts_of(out) == {"train": text[:3600], "val": text[3600:]}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UserError, match="is a pipe or a device"):
            made(path, tmp_path / "out")


def test_a_text_that_changes_while_it_is_read_is_refused(tmp_path):
    path = write_file(tmp_path / "play.txt", TEXT)
    going = steps_of(path, tmp_path / "out", tokenizer="byte")
    next(going)
    path.write_text(TEXT.upper() + "more")
    with pytest.raises(UserError, match=r"play\.txt was changed while it was read"):
        list(going)


def test_shards_are_refused_as_text(tmp_path):
    out = made(write_file(tmp_path / "play.txt", TEXT), tmp_path / "out", tokenizer="byte")
    with pytest.raises(UserError, match="contains tokens already; give it to `train --data`"):
        made(out, tmp_path / "again")


@given(
    text=st.text(alphabet="ab é\n\t 它", max_size=80),
    cuts=st.lists(st.integers(0, 80), max_size=6),
    size=st.integers(1, 12),
)
def test_chunks_do_not_depend_on_the_blocks_of_a_text(text, cuts, size):
    places = [0, *sorted(cuts), len(text)]
    blocks = [text[start:end] for start, end in itertools.pairwise(places)]
    assert list(chunks_of_blocks(blocks, size)) == list(chunks("".join(blocks), size))
