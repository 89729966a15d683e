"""Test Arrow files and folders of `datasets`: all texts, resumed or not."""

import itertools
import json
import os

import pytest
from shard_folders import bytes_of, documents_read, index_of, made, steps_of, written

from gpt2_small.data import prepare
from gpt2_small.data.conversations.records import read_rows
from gpt2_small.data.corpora import open_corpus
from gpt2_small.errors import UserError

pyarrow = pytest.importorskip("pyarrow")
import pyarrow.ipc  # noqa: E402, F811

TEXTS = written(60)


def saved(path, columns, *, kind="stream", rows=7):
    """Write an Arrow file of these columns, in batches of some rows."""
    table = pyarrow.table(columns)
    new = {"stream": pyarrow.ipc.new_stream, "file": pyarrow.ipc.new_file}[kind]
    with new(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_each_row_of_an_arrow_file_is_a_document(tmp_path, kind):
    columns = {"id": list(range(60)), "text": TEXTS}
    assert documents_read(saved(tmp_path / "a.arrow", columns, kind=kind)) == sorted(TEXTS)


@pytest.mark.parametrize(
    "type_",
    [pyarrow.large_string(), pyarrow.string_view(), pyarrow.dictionary("int32", "string")],
    ids=["large_string", "string_view", "dictionary"],
)
def test_every_arrow_type_of_text_is_read(tmp_path, type_):
    columns = {"text": pyarrow.array(TEXTS).cast(type_)}
    assert documents_read(saved(tmp_path / "a.arrow", columns)) == sorted(TEXTS)


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_a_file_truncated_while_it_is_read_is_refused(tmp_path, kind):
    path = saved(
        tmp_path / "a.arrow", {"text": [f"{n} {'x' * 9_000}" for n in range(200)]}, kind=kind
    )
    pieces = open_corpus(str(path)).pieces()
    next(pieces)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(UserError, match=r"a\.arrow (is damaged|was changed while it was read)"):
        list(pieces)


def test_a_nested_field_is_read_and_rows_without_text_are_counted(tmp_path):
    rows = [{"body": text} for text in TEXTS] + [{"body": None}, None]
    path = saved(tmp_path / "a.arrow", {"n": range(62), "meta": rows})
    assert documents_read(path, column="meta.body") == sorted(TEXTS)
    assert index_of(tmp_path / "out")["left_out"]["rows"]["empty"] == 2


def test_a_folder_saved_by_datasets_is_read_without_its_metadata_files(tmp_path):
    datasets = pytest.importorskip("datasets")
    parts = {"train": TEXTS[:40], "test": TEXTS[40:]}
    folder = tmp_path / "saved"
    datasets.DatasetDict(
        {name: datasets.Dataset.from_dict({"text": texts}) for name, texts in parts.items()}
    ).save_to_disk(str(folder))
    assert documents_read(folder) == sorted(TEXTS)
    left_out = index_of(tmp_path / "out")["left_out"]["files"]
    assert set(left_out) == {
        "dataset_dict.json",
        *(f"{part}/{name}.json" for part in parts for name in ("dataset_info", "state")),
    }


@pytest.mark.parametrize("stop", [2, 3, 5])
def test_a_preparation_resumes_within_an_arrow_file(tmp_path, monkeypatch, stop):
    monkeypatch.setattr(prepare, "BATCH_PIECES", 9)
    path = saved(tmp_path / "a.arrow", {"text": TEXTS})
    options = {"tokenizer": "byte", "save_seconds": 0.0}
    list(itertools.islice(steps_of(path, tmp_path / "cut", **options), stop))
    assert bytes_of(made(path, tmp_path / "cut", **options)) == bytes_of(
        made(path, tmp_path / "whole", **options)
    )


@pytest.mark.parametrize("kind", ["stream", "file"])
@pytest.mark.parametrize("left", [0.0, 0.3, 0.5, 0.7, 0.99])
def test_a_file_that_is_cut_off_is_refused(tmp_path, kind, left):
    path = saved(tmp_path / "a.arrow", {"text": TEXTS}, kind=kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left)])
    with pytest.raises(UserError, match=r"a\.arrow is damaged .*; copy it again"):
        documents_read(path)


def test_conversations_are_read_from_an_arrow_file(tmp_path):
    rows = [[{"role": "user", "content": text}] for text in TEXTS]
    path = saved(tmp_path / "a.arrow", {"messages": rows})
    assert [row["messages"][0]["content"] for row in read_rows(path)] == TEXTS
    assert json.dumps(next(iter(read_rows(path))))
