"""Test gpt2-small export: a folder that transformers loads, or an error."""

import pytest
import torch
from command_line import exit_code_of
from small_continuations import ROUNDING, small_model
from small_gpt2s import characters, hugging_face_gpt2, logits_of, saved_run
from transformers import AutoTokenizer, GPT2LMHeadModel


@pytest.fixture
def export(monkeypatch, capsys):
    def command(*arguments):
        capsys.readouterr()
        return exit_code_of(monkeypatch, "export", *arguments), *capsys.readouterr()

    return command


def test_transformers_loads_the_exported_model_and_its_tokenizer(export, tmp_path):
    saved_run(tmp_path / "run", small_model())
    code, printed, _ = export(tmp_path / "run", tmp_path / "out")
    assert code == 0
    assert printed.startswith(f"Wrote {tmp_path / 'out'}: config.json, ")
    loaded = GPT2LMHeadModel.from_pretrained(tmp_path / "out").eval()
    torch.testing.assert_close(logits_of(loaded), logits_of(small_model()), rtol=0, atol=ROUNDING)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.encode("HELLO") == characters().encode("HELLO")


@pytest.mark.parametrize(
    ("run", "folder", "sentence"),
    [
        ("nowhere", "out", "there is no folder {0}/nowhere; give the folder of a run"),
        ("rnu", "out", "there is no folder {0}/rnu; did you mean {0}/run?"),
        ("empty", "out", "{0}/empty is not the folder of a run; give one that training has made"),
        ("hf", "out", "{0}/hf is not the folder of a run; give one that training has made"),
        ("run", "full", "{0}/full is not empty; give a new folder"),
        ("run", "file", "{0}/file is not a folder; give a new folder"),
    ],
)
def test_an_impossible_export_is_refused_in_one_sentence_and_nothing_is_written(
    export, tmp_path, run, folder, sentence
):
    saved_run(tmp_path / "run", small_model())
    hugging_face_gpt2().save_pretrained(tmp_path / "hf")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "file").touch()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    result = export(tmp_path / run, tmp_path / folder)
    assert result == (2, "", f"error: {sentence.format(tmp_path)}\n")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
