"""Test HellaSwag's questions, downloaded through `datasets` and written as JSON lines."""

from pathlib import Path
from typing import Any

import pytest
from command_line import Ran, run_in_an_empty_folder  # noqa: F401
from evaluation_oracles import as_json, questions

from gpt2_small.data.corpora import hub_corpus
from gpt2_small.evaluation.choices import read_questions
from gpt2_small.files import atomic

COMMAND = ("prepare", "hellaswag", "--out", "data")
FILE = Path("data/hellaswag_val.jsonl")


@pytest.fixture
def on_the_hub(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Serve rows as the Hub's validation split; the train split has other rows."""
    datasets = pytest.importorskip("datasets")
    huggingface_hub = pytest.importorskip("huggingface_hub")
    rows = [as_json(each) | {"ind": number} for number, each in enumerate(questions(5))]

    class Answer:
        sha = "0123abc"

    def load_dataset(path: str, **options: Any) -> dict[str, Any]:
        assert (path, options["revision"]) == ("Rowan/hellaswag", "0123abc")
        splits = {"train": rows[:1], "validation": rows}
        return {name: datasets.Dataset.from_list(splits[name]) for name in splits}

    monkeypatch.setattr(hub_corpus, "is_offline", lambda: False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: Answer())
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return rows


def test_the_written_file_contains_the_validation_split(run: Any, on_the_hub: Any) -> None:
    done: Ran = run(*COMMAND)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Wrote {FILE}: 5 questions.\n")
    assert read_questions(FILE) == questions(5)


def test_offline_it_is_refused_in_one_sentence(run: Any) -> None:
    pytest.importorskip("datasets")
    done: Ran = run(*COMMAND)
    assert done.code == 2
    assert "'Rowan/hellaswag' is unavailable offline" in done.err
    assert not Path("data").exists()


def test_an_existing_file_is_not_overwritten(run: Any, on_the_hub: Any) -> None:
    FILE.parent.mkdir()
    FILE.write_text("mine")
    done: Ran = run(*COMMAND)
    assert done.code == 2
    assert f"{FILE} exists already" in " ".join(done.err.split())
    assert FILE.read_text() == "mine"


def test_rows_in_another_format_are_refused(run: Any, on_the_hub: list[dict[str, Any]]) -> None:
    del on_the_hub[3]["endings"]
    done: Ran = run(*COMMAND)
    assert done.code == 2
    assert "row 4 of Rowan/hellaswag has no 'endings'" in " ".join(done.err.split())
    assert not FILE.exists()


def test_a_write_that_fails_leaves_no_file(
    run: Any, on_the_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    done: Ran = run(*COMMAND)
    assert done.code == 2
    assert list(FILE.parent.iterdir()) == []


def test_a_flag_for_texts_is_refused_for_hellaswag(run: Any) -> None:
    done: Ran = run(*COMMAND, "--tokenizer", "byte")
    assert done.code == 2
    assert "--tokenizer does not go with hellaswag" in " ".join(done.err.split())
