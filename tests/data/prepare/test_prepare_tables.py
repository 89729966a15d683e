"""Test rows of CSV and Parquet files: all texts, and counts of unreadable rows."""

import gzip
import itertools
import os

import pytest
from shard_folders import bytes_of, documents_read, index_of, made, steps_of, written

from gpt2_small.data import prepare
from gpt2_small.errors import UserError

TEXTS = written(30)


def texts(*more):
    return sorted([*TEXTS, *more])


# CSV


@pytest.mark.parametrize(("name", "by"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t")])
def test_quoted_fields_with_line_ends_and_quotes_are_read(tmp_path, name, by):
    more = ['says "so",\nand; goes\ton', "x" * 200_000]
    quoted = [text.replace('"', '""') for text in [*TEXTS, *more]]
    lines = "".join(f'{n}{by}"{text}"\r\n' for n, text in enumerate(quoted))
    (tmp_path / name).write_text(f"id{by}text\r\n{lines}", newline="")
    assert documents_read(tmp_path / name) == texts(*more)


@pytest.mark.parametrize("row", [b"only one", b"1,2,3", b'1,"a"b', b"1,na\xefve"])
def test_a_row_with_another_number_of_fields_is_counted(tmp_path, row):
    lines = [b"id,text", *(b"%d,text %d" % (n, n) for n in range(20)), row, b"9,last", b""]
    (tmp_path / "some.csv").write_bytes(b"\n".join(lines))
    found = documents_read(tmp_path / "some.csv", skipped_share=0.1)
    assert found == sorted([*(f"text {n}" for n in range(20)), "last"])
    assert index_of(tmp_path / "out")["left_out"]["rows"]["unreadable"] == 1


@pytest.mark.parametrize("end", ["", 'closed",more\n', 'closed" more\n'])
def test_every_line_after_an_unclosed_quote_is_counted_as_unreadable(tmp_path, end):
    lines = ["text", *(f"text {n}" for n in range(200)), '"open', *["lost"] * 50, end]
    (tmp_path / "some.csv").write_text("\n".join(lines))
    with pytest.raises(
        UserError, match=r"11 of 211 rows cannot be read .* row 201: it (is not CSV|has 2)"
    ):
        documents_read(tmp_path / "some.csv")
    found = documents_read(tmp_path / "some.csv", skipped_share=0.3)
    assert found == sorted(f"text {n}" for n in range(200))
    assert index_of(tmp_path / "out")["left_out"]["rows"]["unreadable"] == 51 + bool(end)


@pytest.mark.parametrize("name", ["some.tsv", "some.TSV.gz"])
def test_commas_in_the_only_column_of_a_tsv_file_are_text(tmp_path, name):
    content = "\n".join(["text", *(f"a, b, {n}" for n in range(20))]).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert documents_read(tmp_path / name) == sorted(f"a, b, {n}" for n in range(20))


def test_two_columns_of_the_same_name_are_refused(tmp_path):
    (tmp_path / "some.csv").write_text("text,text\na,b\n")
    with pytest.raises(UserError, match="has 2 columns 'text'; rename all but one"):
        documents_read(tmp_path / "some.csv")


def test_a_csv_file_without_a_column_text_is_refused(tmp_path):
    (tmp_path / "some.csv").write_text("First story.\nSecond story.\n")
    with pytest.raises(UserError, match=r"no column 'text' in its first line, which is: First"):
        documents_read(tmp_path / "some.csv")


# Parquet


@pytest.fixture
def arrow():
    pytest.importorskip("pyarrow.parquet")
    return pytest.importorskip("pyarrow")


def parquet(arrow, path, row_group_size=7, **columns):
    arrow.parquet.write_table(arrow.table(columns), path, row_group_size=row_group_size)
    return path


@pytest.mark.parametrize(
    "kind", ["string", "large_string", "string_view", "dictionary", "binary", "struct"]
)
def test_a_parquet_column_of_any_type_of_text_is_read(tmp_path, arrow, kind):
    column = arrow.array([*TEXTS, None])
    if kind == "dictionary":
        column = column.dictionary_encode()
    elif kind == "struct":
        column = arrow.StructArray.from_arrays([column, column.is_null()], ["inner", "is_null"])
    else:
        column = column.cast(getattr(arrow, kind)())
    path = parquet(arrow, tmp_path / "some.parquet", text=column, id=list(map(str, range(31))))
    assert documents_read(path, column="text.inner" if kind == "struct" else "text") == texts()
    assert index_of(tmp_path / "out")["left_out"]["rows"]["empty"] == 1


def test_text_in_parquet_that_is_not_utf_8_is_counted(tmp_path, arrow):
    data = arrow.array([*(text.encode() for text in TEXTS), b"na\xefve"])
    column = arrow.Array.from_buffers(arrow.string(), 31, data.buffers())
    path = parquet(arrow, tmp_path / "some.parquet", text=column)
    assert documents_read(path, skipped_share=0.1) == texts()
    assert "is not UTF-8" in index_of(tmp_path / "out")["left_out"]["rows"]["examples"][0]


def test_parquet_resumes_at_any_row(tmp_path, arrow, monkeypatch):
    monkeypatch.setattr(prepare, "BATCH_PIECES", 3)
    path = parquet(arrow, tmp_path / "some.parquet", text=TEXTS)
    expected = made(path, tmp_path / "whole", tokenizer="byte")
    while not (tmp_path / "out/shards.json").exists():
        list(itertools.islice(steps_of(path, tmp_path / "out", tokenizer="byte"), 4))
    assert bytes_of(tmp_path / "out") == bytes_of(expected)


def test_the_disk_space_for_parquet_is_estimated_from_its_column_only(tmp_path, arrow):
    images = [os.urandom(100_000) for _ in TEXTS]
    path = parquet(arrow, tmp_path / "some.parquet", text=TEXTS, image=images)
    (first, *_) = steps_of(path, tmp_path / "out", tokenizer="byte")
    size = sum(len(text.encode()) for text in TEXTS)
    assert first.total_documents == 30
    assert size / 2 < first.total_bytes < size * 2


def test_a_damaged_parquet_file_is_refused_in_one_sentence(tmp_path, arrow):
    path = parquet(arrow, tmp_path / "some.parquet", text=TEXTS)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"some\.parquet is damaged \("):
        documents_read(path)


def test_parquet_is_read_and_its_column_chosen(tmp_path, arrow):
    path = parquet(arrow, tmp_path / "some.parquet", id=list(map(str, range(30))), body=TEXTS)
    with pytest.raises(
        UserError, match="has these columns of text: id, body; choose one with --column"
    ):
        documents_read(path)
    assert documents_read(path, column="body") == texts()
