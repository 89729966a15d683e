"""Test `gpt2-small prepare --chat` and `--show`: audit, warning and errors."""

import json
from pathlib import Path

import chat_folders as folders
import pytest
from command_line import exit_code_of
from rich.text import Text

from gpt2_small.commands.screens.chat_data_report import OTHER, TARGET, shown
from gpt2_small.data.conversations.chat_folder import open_chats
from gpt2_small.data.conversations.conversation import SYSTEM, TRAILING
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import load_tokenizer, make_tokenizer, save_tokenizer


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Run `gpt2-small prepare`; return exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "80")
    code = exit_code_of(monkeypatch, "prepare", *arguments)
    return code, *capsys.readouterr()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = folders.rows(40)
    rows[0]["messages"].insert(0, {"role": "system", "content": "Be brief."})
    rows[1]["messages"].append({"role": "user", "content": "And?"})
    rows.append({"messages": [{"role": "user", "content": "Hello?"}]})
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_the_audit_counts_every_conversation(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "chats"
    options = ["--tokenizer", "byte-chat", "--validation-share", 0.3]
    code, printed, error = run(monkeypatch, capsys, source, "--chat", "--out", out, *options)
    assert (code, error) == (0, "")
    assert f"Wrote {out}/" in printed
    assert "read 41 conversations, kept 40" in printed
    assert "of them trained" in printed
    assert f"changed: 1 {SYSTEM}" in printed
    assert f"changed: 1 {TRAILING}" in printed
    assert "dropped: 1 no answer of the assistant" in printed
    index = json.loads((out / "chats.json").read_text())
    assert index["source"]["format"] == "messages"
    assert sum(part["conversations"] for part in index["splits"].values()) == 40


def test_a_split_by_path_prints_a_warning(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--tokenizer", "byte-chat", "--validation-share", 0.3, "--split", "path"]
    code, _, error = run(
        monkeypatch, capsys, source, "--chat", "--out", tmp_path / "chats", *options
    )
    assert code == 0
    assert "warning: --split path" in error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rows.jsonl", "--chat"], "there is no --out"),
        (["rows.jsonl", "--chat", "--out", "x", "--format", "npy"], "--format does not go with"),
        (["rows.jsonl", "--chat", "--out", "x", "--column", "c"], "--column does not go with"),
        (["rows.jsonl", "--out", "x", "--lang", "en"], "--lang is for conversations; add --chat"),
        (["rows.jsonl", "--chat", "--out", "x", "--from", "alpca"], "did you mean alpaca?"),
        (["rows.jsonl", "--chat", "--out", "x", "--from", "alpaca"], "is not of the format alpaca"),
        (
            ["rows.jsonl", "--chat", "--out", "x", "--paths", "best"],
            "--paths is for oasst's trees of messages, not for rows.jsonl; leave it out",
        ),
        (["rows.jsonl", "--chat", "--out", "x", "--lang", "en"], "--lang is for oasst's trees of"),
        (["dialogues", "--chat", "--out", "x", "--paths", "all"], "--paths is for oasst's trees"),
        (["dialogues", "--chat", "--out", "x", "--from", "alpaca"], "not for dialogues; leave it"),
        (["rows.jsonl", "--chat", "--out", "x", "--split", "val"], "--split is 'val'"),
        (["rows.jsnl", "--chat", "--out", "x"], "did you mean"),
        (["rows.jsonl", "--chat", "--out", "rows.jsonl"], "exists already"),
        (["rows.jsonl", "--show", "2"], "holds no conversations"),
        (["rows.jsonl", "--show", "2", "--chat"], "--chat does not go with --show"),
        (["rows.jsonl", "--show", "2", "--tokenizer", "byte"], "--tokenizer does not go with"),
        (["rows.jsonl", "--chat", "--out", "x", "--skip-bad-rows", "0"], "--skip-bad-rows does"),
    ],
)
def test_an_impossible_option_is_refused_in_one_sentence_and_writes_nothing(
    arguments: list[str],
    sentence: str,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(source.parent)
    code, _, error = run(monkeypatch, capsys, *arguments)
    assert code == 2
    assert sentence in " ".join(error.split())
    assert "Traceback" not in error
    assert [path.name for path in source.parent.iterdir()] == ["rows.jsonl"]


def styles(tokenizer: Tokenizer, text: Text) -> list[tuple[str, str]]:
    return [(text.plain[span.start : span.end], str(span.style)) for span in text.spans]


def test_a_runs_tokenizer_is_used_and_gets_roles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "Who lost the kite? " * 20
    rows = [{"instruction": f"{text} {n}", "output": "Mara"} for n in range(20)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "run"
    folder.mkdir()
    save_tokenizer(make_tokenizer("bpe:265", text), folder)
    flags = ["--tokenizer", folder, "--validation-share", 0.3, "--out", tmp_path / "chats"]
    assert run(monkeypatch, capsys, path, "--chat", *flags)[0] == 0
    made, own = load_tokenizer(tmp_path / "chats"), load_tokenizer(folder)
    assert made.roles is not None
    assert made.encode(text) == own.encode(text)


def test_show_makes_targets_bright_and_the_rest_dim(tmp_path: Path) -> None:
    chats = open_chats(folders.prepared(tmp_path))
    ids, is_target = chats.train.conversation(0)
    text = shown(chats.tokenizer, ids, is_target)
    found = styles(chats.tokenizer, text)
    bright = "".join(piece for piece, style in found if style == TARGET)
    dim = "".join(piece for piece, style in found if style == OTHER)
    assert set(bright.removesuffix("<|endoftext|>")) == {"x"}
    assert dim.startswith("<|user|> question")
    assert dim.endswith("<|endoftext|><|assistant|> ")
    assert text.plain.count("\n") == 1


def test_show_prints_n_conversations_within_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folders.prepared(tmp_path)
    code, printed, _ = run(monkeypatch, capsys, folder, "--show", 2)
    assert code == 0
    assert printed.count("<|assistant|>") == 2
    assert printed.count("of them trained") == 2
    assert max(map(len, printed.splitlines())) <= 80


def test_control_characters_in_a_text_do_not_reach_the_terminal() -> None:
    found, _ = folders.rendered(folders.conversation("\x1b[31mred", "b"))
    assert found is not None
    assert "\x1b" not in shown(folders.TOKENIZER, found.ids, found.is_target).plain


def test_the_dialogues_are_prepared_by_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--max-documents", 60, "--validation-share", 0.3]
    code, printed, _ = run(
        monkeypatch, capsys, "dialogues", "--chat", "--out", tmp_path / "chats", *options
    )
    assert code == 0
    assert "train --preset chat-stories" in printed
    assert open_chats(tmp_path / "chats").tokenizer.name == "dialogues-chat"


@pytest.mark.network
def test_oasst1_gives_the_published_number_of_best_paths(tmp_path: Path) -> None:
    """One path per tree of the training split, in every language, none too long."""
    from gpt2_small.data.conversations.prepare_chats import ChatOptions, prepare_chats

    options = ChatOptions(lang="all", max_length=100_000)
    prepared = prepare_chats("oasst1", tmp_path / "oasst1", options)
    splits = prepared.index["splits"].values()
    assert sum(part["conversations"] for part in splits) == 9846


@pytest.mark.network
def test_gpt2s_first_loss_on_oasst1_is_far_above_the_published_final_one(tmp_path: Path) -> None:
    """The published fine-tuning ends at 2.25; before the first step GPT-2's loss is well above."""
    import torch

    from gpt2_small import binding
    from gpt2_small.data.conversations.prepare_chats import ChatOptions, prepare_chats
    from gpt2_small.training.distributed import Processes
    from gpt2_small.training.recipes.training_presets import training_preset
    from gpt2_small.training.session import open_run

    prepare_chats("oasst1", tmp_path / "oasst1", ChatOptions(limit=3000))
    alone = Processes(rank=0, world_size=1, device=torch.device("cpu"))
    changes = {"data": str(tmp_path / "oasst1"), "init_from": "gpt2", "evaluation_tokens": 5000}
    preset = training_preset("chat-oasst")
    with open_run(binding.bound(), tmp_path / "run", preset, changes, alone) as run:
        loss = run.training.evaluate()
    assert loss is not None
    assert 2.4 < loss < 5.0
