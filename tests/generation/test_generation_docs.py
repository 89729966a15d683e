"""Test docs/generation.md: its examples run."""

import re
import sys

import pytest
from processes import ROOT
from small_gpt2s import our_gpt2, saved_run

from gpt2_small import cli
from gpt2_small.stories import StoriesTokenizer


def test_the_python_on_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = our_gpt2(d_vocab=StoriesTokenizer.vocab_size)
    saved_run(tmp_path / "runs/stories", model, StoriesTokenizer())
    page = (ROOT / "docs/generation.md").read_text()
    exec(page.split("```python\n")[1].split("```")[0], {})
    assert len(capsys.readouterr().out.splitlines()) > 2


def test_the_commands_on_the_page_use_only_existing_flags(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpt2-small", "sample", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    known = capsys.readouterr().out
    page = (ROOT / "docs/generation.md").read_text()
    flags = set(re.findall(r"--[a-z][a-z-]+", page)) - {"--help"}
    assert {flag for flag in flags if f"{flag} " not in known} == set()
