"""Test rows of JSON files: all texts, and counts of unreadable rows."""

import gzip
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_folders import (
    bytes_of,
    documents_of,
    documents_read,
    index_of,
    json_lines,
    made,
    steps_of,
    written,
)

from gpt2_small.data import prepare
from gpt2_small.data.corpora import decompression
from gpt2_small.data.corpora.row_formats import json_rows
from gpt2_small.errors import UserError

TEXTS = written(30)


def rows(path, records):
    """Write a file of JSON lines; strings are written unchanged."""
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in records]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def texts(*more):
    return sorted([*TEXTS, *more])


# JSON lines


@pytest.mark.parametrize(
    ("first", "counted"),
    [
        ({"text": None}, "empty"),
        ({"text": ""}, "empty"),
        ({"text": 5}, "unreadable"),
        ({"text": ["a", "list"]}, "unreadable"),
        ({"other": "no text"}, "unreadable"),
        (["a", "list"], "unreadable"),
        (b'{"text": tw', "unreadable"),
        (b'{"text": "\xff"}', "unreadable"),
        (b'{"text": ' + b"[" * 100_000, "unreadable"),
    ],
)
def test_a_row_without_text_is_counted_at_any_place(tmp_path, first, counted):
    records = [{"text": text, "n": number} for number, text in enumerate(TEXTS)]
    for place in (0, 15, 30):
        path = rows(tmp_path / f"{place}.jsonl", [*records[:place], first, *records[place:]])
        out = made(path, tmp_path / f"out {place}", tokenizer="byte", skipped_share=0.1)
        assert documents_of(out) == texts()
        counts = index_of(out)["left_out"]["rows"]
        assert (counts["rows"], counts[counted]) == (31, 1)
        assert counts["empty"] + counts["unreadable"] == 1


def test_a_changing_type_in_another_column_is_ignored(tmp_path):
    kinds = [None, 1, "one", [1], {"a": [None]}, {"a": "b"}]
    records = [{"id": kinds[n % 6], "text": text} for n, text in enumerate(TEXTS)]
    assert documents_read(rows(tmp_path / "some.jsonl", records)) == texts()


def test_a_lone_surrogate_becomes_the_replacement_character(tmp_path):
    line = rb'{"text": "a \ud83d\ude00 pair, a lone \ud800 and \udcff"}'
    path = rows(tmp_path / "some.jsonl", [line, *({"text": text} for text in TEXTS)])
    assert documents_read(path) == texts("a 😀 pair, a lone � and �")


def test_line_ends_blank_lines_byte_order_marks_and_a_missing_last_line_end_are_ignored(tmp_path):
    data = "\ufeff" + "\r\n\r\n".join(json.dumps({"text": text}) for text in TEXTS)
    (tmp_path / "some.ndjson").write_text(data, newline="")
    assert documents_read(tmp_path / "some.ndjson") == texts()


def test_lines_that_are_json_strings_are_documents(tmp_path):
    assert documents_read(rows(tmp_path / "some.jsonl", TEXTS)) == texts()


@pytest.mark.parametrize("name", ["body", "content", "the text", "a.b"])
def test_the_only_column_of_text_is_found(tmp_path, name):
    path = json_lines(tmp_path / "some.jsonl", TEXTS, column=name, stars=5, tags=["a"])
    if name == "a.b":
        with pytest.raises(UserError, match=r"columns of text: a\.b"):
            documents_read(path)
    else:
        remark = f"The documents are the texts in the column {name!r}."
        assert remark in list(steps_of(path, tmp_path / "out", tokenizer="byte"))[-1].remarks
        assert documents_of(tmp_path / "out") == texts()


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_conversations_are_not_prepared_as_texts_of_another_column(tmp_path, suffix):
    records = [{"id": f"id {n}", "messages": [{"role": "user", "content": "a"}]} for n in range(20)]
    path = tmp_path / f"chats{suffix}"
    if suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(records), path)
    else:
        rows(path, records)
    sentence = r"lists of objects in messages; prepare conversations with `prepare --chat`, or .*id"
    with pytest.raises(UserError, match=sentence):
        documents_read(path)
    assert documents_read(path, column="id") == sorted(f"id {n}" for n in range(20))


def test_several_columns_of_text_require_a_choice(tmp_path):
    path = json_lines(tmp_path / "some.jsonl", TEXTS, column="body", title="t")
    with pytest.raises(UserError, match="these columns of text: body, title"):
        documents_read(path)
    with pytest.raises(UserError, match=r"no text in a column 'bdy', but .*; did you mean body\?"):
        documents_read(path, column="bdy")
    assert documents_read(path, column="body") == texts()


def test_a_nested_field_is_chosen_with_a_dot(tmp_path):
    path = rows(tmp_path / "some.jsonl", [{"id": "x", "a": {"b": text}} for text in TEXTS])
    assert documents_read(path, column="a.b") == texts()


def test_too_many_bad_rows_are_refused_with_the_first_one_and_the_way_out(tmp_path):
    records = [{"text": text} for text in TEXTS]
    path = rows(tmp_path / "some.jsonl", [*records[:2], {"text": 5}, *records[2:]])
    with pytest.raises(UserError, match=r"1 of 31 rows .* row 3: its text is a number, not") as no:
        documents_read(path)
    assert "--skip-bad-rows 0.033" in str(no.value)
    steps = list(steps_of(path, tmp_path / "out", tokenizer="byte", skipped_share=0.033))
    assert documents_of(tmp_path / "out") == texts()
    assert any("Left out 1 of 31 rows" in line for line in steps[-1].remarks)


def test_many_bad_rows_are_refused_long_before_the_end(tmp_path):
    path = rows(
        tmp_path / "some.jsonl", [*({"text": text} for text in TEXTS), *[{"text": 5}] * 3000]
    )
    with pytest.raises(UserError, match=r"11 of 41 rows cannot be read"):
        documents_read(path)


def test_bad_rows_are_counted_once_over_all_interruptions(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "BATCH_PIECES", 3)
    records = [*({"text": text} for text in TEXTS), {"text": 5}, {"text": None}]
    path = rows(tmp_path / "some.jsonl", [*records[25:], *records[:25]])
    options = {"tokenizer": "byte", "skipped_share": 0.1}
    expected = made(path, tmp_path / "whole", **options)
    while not (tmp_path / "out/shards.json").exists():
        list(itertools.islice(steps_of(path, tmp_path / "out", **options), 4))
    assert bytes_of(tmp_path / "out") == bytes_of(expected)
    counts = index_of(expected)["left_out"]["rows"]
    assert (counts["rows"], counts["unreadable"], counts["empty"]) == (32, 1, 1)


def test_compressed_rows_are_read_and_truncated_ones_refused(tmp_path):
    data = gzip.compress(json_lines(tmp_path / "plain.jsonl", TEXTS).read_bytes())
    (tmp_path / "some.jsonl.gz").write_bytes(data)
    assert documents_read(tmp_path / "some.jsonl.gz") == texts()
    (tmp_path / "cut.jsonl.gz").write_bytes(data[:-20])
    with pytest.raises(UserError, match=r"cut\.jsonl\.gz is truncated or damaged"):
        made(tmp_path / "cut.jsonl.gz", tmp_path / "cut")


# JSON


@pytest.mark.parametrize("name", ["some.json", "some.jsonl"])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_is_read_an_element_at_a_time(tmp_path, name, indent, monkeypatch):
    monkeypatch.setattr(json_rows, "BLOCK_BYTES", 50)
    records = [{"n": [1, {"a": 2.5e3}], "text": f'{text} "\\ 😀'} for text in TEXTS]
    text = json.dumps(records, indent=indent, ensure_ascii=indent is None)
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert documents_read(tmp_path / name) == sorted(record["text"] for record in records)


@given(
    st.lists(st.one_of(st.text(max_size=9), st.integers(), st.booleans(), st.none()), max_size=9),
    st.integers(1, 40),
    st.integers(0, 8),
)
def test_an_array_is_read_in_blocks_as_in_one(tmp_path_factory, values, block, first):
    path = tmp_path_factory.mktemp("array") / "some.json"
    path.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8", errors="replace")
    values = json.loads(path.read_text(encoding="utf-8"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "BLOCK_BYTES", block)
        found = list(json_rows.json_array(path, 0))
        assert [value for value, _ in found] == values
        if first < len(found):
            again = list(json_rows.json_array(path, found[first][1]))
            assert again == found[first + 1 :]


@pytest.mark.parametrize("end", ["", ",", '{"text": tw}]', "] more"])
def test_a_damaged_array_is_refused_with_the_place(tmp_path, end):
    text = json.dumps([{"text": text} for text in TEXTS])[:-1]
    (tmp_path / "some.json").write_text(f"{text}{end}")
    with pytest.raises(UserError, match=r"some\.json is not JSON from about byte [\d,]+ on"):
        documents_read(tmp_path / "some.json")


def test_a_folder_with_one_json_object_per_file_is_read(tmp_path):
    (tmp_path / "set").mkdir()
    for number, text in enumerate(TEXTS):
        record = {"title": "t", "text": text, "size": {"words": 3}}
        indent = number % 3 or None
        (tmp_path / f"set/{number:02}.json").write_text(json.dumps(record, indent=indent))
    (tmp_path / "set/settings.json").write_text('{"name": "the only text"}')
    assert documents_read(tmp_path / "set") == texts()
    left_out = index_of(tmp_path / "out")["left_out"]["files"]
    assert left_out == {"settings.json": "a JSON object without text"}


@pytest.mark.parametrize("text", ['{"name": "x"}', '{"data":\n [{"text": "x"}]}', '{"text": 5}'])
def test_an_object_without_text_is_refused_with_the_way_out(tmp_path, text):
    (tmp_path / "some.json").write_text(text)
    with pytest.raises(UserError, match=r"is one JSON object without a text in 'text'; give an"):
        documents_read(tmp_path / "some.json")


def test_json_lines_in_a_json_file_are_read(tmp_path):
    assert documents_read(json_lines(tmp_path / "some.json", TEXTS)) == texts()


def test_the_disk_space_for_json_lines_is_estimated_from_the_text_only(tmp_path):
    path = json_lines(tmp_path / "some.jsonl", TEXTS, image="x" * 5000)
    (first, *_) = steps_of(path, tmp_path / "out", tokenizer="byte", column="text")
    size = sum(len(text.encode()) for text in TEXTS)
    assert size / 2 < first.total_bytes < size * 2


def test_an_extremely_long_line_is_counted_and_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(json_rows, "LONGEST_LINE", 2000)
    monkeypatch.setattr(decompression, "BLOCK_BYTES", 64)
    records = [{"text": text} for text in TEXTS]
    path = rows(tmp_path / "some.jsonl", [records[0], {"text": "x" * 9000}, *records[1:]])
    assert documents_read(path, skipped_share=0.1) == texts()
