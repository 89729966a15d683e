"""Test docs/chat.md: its examples run and its names exist."""

import re
import sys
from pathlib import Path

import pytest
from processes import ROOT
from small_gpt2s import saved_run

from gpt2_small import binding, cli
from gpt2_small.stories.dialogues.dialogue_tokenizer import DIALOGUE_WORDS, dialogue_tokenizer
from gpt2_small.training.recipes.training_presets import PRESETS

PAGE = (ROOT / "docs/chat.md").read_text(encoding="utf-8")


def help_of(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setattr(sys, "argv", ["gpt2-small", command, "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    return capsys.readouterr().out


def test_the_python_on_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = dict(d_model=16, n_layers=1, n_heads=2, n_ctx=240, d_vocab=len(DIALOGUE_WORDS))
    solution = binding.bound()
    model = solution.Transformer(solution.TransformerConfig(**sizes))
    saved_run(tmp_path / "runs/chat", model, dialogue_tokenizer())
    exec(PAGE.split("```python\n")[1].split("```")[0], {})
    assert "'role': 'user'" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["prepare", "train", "chat", "export"])
def test_the_commands_on_the_page_use_only_existing_flags(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = help_of(command, monkeypatch, capsys)
    lines = re.findall(rf"^(?:\$ )?gpt2-small {command} (.*)$", PAGE, flags=re.MULTILINE)
    lines += re.findall(rf"`gpt2-small {command} (.*?)`", PAGE)
    assert lines
    flags = {flag for line in lines for flag in re.findall(r"--[a-z][a-z-]+", line)}
    assert {flag for flag in flags if flag not in known} == set()


def test_every_flag_of_prepare_on_the_page_exists(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = help_of("prepare", monkeypatch, capsys)
    for flag in ("--from", "--lang", "--paths", "--split", "--max-length", "--too-long", "--show"):
        assert f"`{flag}" in PAGE or f"{flag} " in PAGE
        assert flag in known


def test_the_presets_and_tests_on_the_page_exist() -> None:
    for preset in re.findall(r"`(chat-[a-z]+)`", PAGE):
        assert preset in PRESETS
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))
    assert len(named) >= 6
    assert all((ROOT / name).is_file() for name in named)


def test_the_page_states_the_size_of_the_vocabulary() -> None:
    assert f"It knows {len(DIALOGUE_WORDS) - 3} words." in PAGE  # without the end and the roles
