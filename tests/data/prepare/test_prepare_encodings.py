"""Test compressed files and encodings: read correctly, or refused with the offset."""

import bz2
import gzip
import json
import lzma
import os
import sys
import zipfile

import pytest
from shard_folders import bytes_of, index_of, made, remarks_of, texts_of, write_file, written

from gpt2_small.data.corpora import decompression, text_files
from gpt2_small.errors import UserError

TEXT = "".join(f"Zeile {number}: «naïve» 它\n" for number in range(60))
CUT = len(TEXT) - len(TEXT) // 10
RECORDS = [{"text": text} for text in dict.fromkeys(written(200))]
ROWS = {
    "some.jsonl": "".join(f"{json.dumps(record)}\n" for record in RECORDS),
    "some.json": json.dumps(RECORDS),
    "some.csv": "text\n" + "".join('"{text}"\n'.format(**record) for record in RECORDS),
}


def zstd(data):
    return pytest.importorskip("pyarrow").Codec("zstd").compress(data, asbytes=True)


COMPRESSORS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd}


# Compressed files


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_a_compressed_text_is_read_as_the_text(tmp_path, suffix):
    compressed = COMPRESSORS[suffix](TEXT[:300].encode()) + COMPRESSORS[suffix](TEXT[300:].encode())
    for name in (f"play.txt{suffix}", "play.txt", "play"):
        out = made(
            write_file(tmp_path / suffix / name, compressed),
            tmp_path / f"{name}!",
            tokenizer="byte",
        )
        assert texts_of(out) == {"train": TEXT[:CUT], "val": TEXT[CUT:]}


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_a_truncated_compressed_file_is_refused(tmp_path, suffix):
    complete = COMPRESSORS[suffix](os.urandom(4000).hex().encode())
    for length in (len(complete) // 2, len(complete) - 3):
        path = write_file(tmp_path / f"play.txt{suffix}", complete[:length])
        with pytest.raises(UserError, match=r"play\.txt.* is truncated or damaged"):
            made(path, tmp_path / "out")


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_a_file_whose_second_stream_is_damaged_is_refused(tmp_path, suffix):
    parts = [COMPRESSORS[suffix](TEXT.encode()) for _ in range(2)]
    for damage in (b"XX" + parts[1][2:], parts[1][:-2], b"garbage"):
        path = write_file(tmp_path / f"play.txt{suffix}", parts[0] + damage)
        with pytest.raises(UserError, match=r"play\.txt.* is truncated or damaged"):
            made(path, tmp_path / "out")


def test_zstd_of_several_processes_is_read(tmp_path):
    data = b"".join(
        b"\x50\x2a\x4d\x18\x04\0\0\0" + b"size" + zstd(part.encode())
        for part in (TEXT[:300], TEXT[300:])
    )
    out = made(write_file(tmp_path / "play.txt.zst", data), tmp_path / "out", tokenizer="byte")
    assert texts_of(out) == {"train": TEXT[:CUT], "val": TEXT[CUT:]}


def test_zero_bytes_after_a_compressed_stream_are_ignored(tmp_path):
    path = write_file(tmp_path / "play.txt.xz", lzma.compress(TEXT.encode()) + b"\0" * 8)
    assert texts_of(made(path, tmp_path / "out", tokenizer="byte"))["val"] == TEXT[CUT:]


def test_an_uncompressed_file_with_a_compressed_files_name_is_read_as_text(tmp_path):
    out = made(write_file(tmp_path / "play.txt.gz", TEXT), tmp_path / "out", tokenizer="byte")
    assert texts_of(out)["val"] == TEXT[CUT:]


def test_an_archive_is_refused_with_the_way_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "play.zip", "w") as zipped:
        zipped.writestr("play.txt", TEXT)
    with pytest.raises(UserError, match=r"play\.zip is a zip archive; unpack it"):
        made(tmp_path / "play.zip", tmp_path / "out")


def test_zstd_without_its_package_is_refused_with_the_packages_name(tmp_path, monkeypatch):
    path = write_file(tmp_path / "play.txt.zst", zstd(b"text"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="needs the `pyarrow` package: pip install pyarrow"):
        made(path, tmp_path / "out")


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_sets_the_encoding_and_is_not_part_of_the_text(
    tmp_path, encoding, monkeypatch
):
    monkeypatch.setattr(decompression, "BLOCK_BYTES", 7)
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 7)
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path = write_file(tmp_path / "play.txt", (mark + TEXT).encode(encoding))
    out = made(path, tmp_path / "out", tokenizer="byte")
    assert texts_of(out) == {"train": TEXT[:CUT], "val": TEXT[CUT:]}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("kind", ["utf-8-sig", "utf-16", "utf-32", *COMPRESSORS])
def test_rows_have_the_same_split_in_every_encoding_and_compression(tmp_path, name, kind):
    rows = ROWS[name]
    data = COMPRESSORS[kind](rows.encode()) if kind in COMPRESSORS else rows.encode(kind)
    plain = write_file(tmp_path / "plain" / name, rows)
    other = write_file(tmp_path / "other" / name, data)
    expected = made(plain, tmp_path / "a", tokenizer="byte")
    found = made(other, tmp_path / "b", tokenizer="byte")
    assert bytes_of(found)["val.bin"] == bytes_of(expected)["val.bin"]
    documents = {split: facts["documents"] for split, facts in index_of(found)["splits"].items()}
    assert documents["val"] > 0.05 * sum(documents.values())


def test_a_compressed_file_does_not_change_the_split_of_its_folder(tmp_path):
    rows = ROWS["some.jsonl"].encode()
    found = []
    for name, data in (("b.jsonl", rows), ("b.jsonl.gz", gzip.compress(rows))):
        folder = tmp_path / name
        write_file(folder / "a.jsonl", '{"text": "one"}\n')
        write_file(folder / name, data)
        found.append(made(folder, tmp_path / f"of {name}", tokenizer="byte"))
    assert texts_of(found[0]) == texts_of(found[1])


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is empty"),
        (b" \n \n", "has white space alone"),
        (b"naive text\0more", r"a zero byte at offset 10"),
        (b"some na\xefve words", r"byte 0xef at offset 7\).*iconv -f WINDOWS-1252"),
        (b"cut off \xe4\xb8", r"byte 0xe4 at offset 8"),
        ("text".encode("utf-16-le"), r"a zero byte at offset 1\).* `iconv -f UTF-16LE -t UTF-8"),
        ("text".encode("utf-16-be"), r"a zero byte at offset 0\).* `iconv -f UTF-16BE -t UTF-8"),
        ("text".encode("utf-32-le"), r"a zero byte at offset 1\).* `iconv -f UTF-32LE -t UTF-8"),
        ("text".encode("utf-32-be"), r"a zero byte at offset 0\).* `iconv -f UTF-32BE -t UTF-8"),
        ("abcd日本".encode("iso2022_jp"), r"ISO-2022 at offset 4\).* `iconv -f ISO-2022-JP -t"),
        ("한국".encode("iso2022_kr"), r"ISO-2022 at offset 0\).* `iconv -f ISO-2022-KR -t UTF-8"),
        (b"\xff\xfeo\0d", r"begins as UTF-16-LE and is not"),
        (b"%PDF-1.7\n\xb5\xed", r"convert it to text with pdftotext"),
    ],
)
def test_a_file_that_is_not_text_is_refused_by_name_and_offset(
    tmp_path, data, complaint, monkeypatch
):
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 4)
    path = write_file(tmp_path / "data.txt", data)
    with pytest.raises(UserError, match=complaint) as refusal:
        text_files.scan_text(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_name_in_a_proposed_command_is_quoted(tmp_path):
    path = write_file(tmp_path / "my play.txt", b"na\xefve")
    with pytest.raises(UserError, match=r"-t UTF-8 '.*/my play.txt'` if"):
        text_files.scan_text(path)


def test_windows_line_ends_are_kept_and_get_a_remark(tmp_path):
    path = write_file(tmp_path / "play.txt", "one\r\ntwo\r\n" * 20)
    (remark,) = remarks_of(path, tmp_path / "out", tokenizer="byte")[:1]
    assert remark == "40 lines end with CR LF (Windows), which is not changed."
    assert texts_of(tmp_path / "out")["train"] == "one\r\ntwo\r\n" * 18


def test_a_literal_end_of_text_in_a_text_gets_a_remark(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 5)
    path = write_file(tmp_path / "play.txt", "A story.<|endoftext|>\n" * 29)
    remarks = remarks_of(path, tmp_path / "out", tokenizer="byte")
    assert remarks[0].startswith(
        "<|endoftext|> occurs 29 times in the text: it is encoded as plain"
    )
