"""Test docs/training.md: its flags, presets and files exist."""

import re
import sys
from dataclasses import fields

import pytest
from processes import ROOT

from gpt2_small import cli
from gpt2_small.training.recipes.recipe import Recipe
from gpt2_small.training.recipes.settings import MAY_CHANGE
from gpt2_small.training.recipes.training_presets import PRESETS

PAGE = (ROOT / "docs/training.md").read_text(encoding="utf-8")


def test_the_flags_on_the_page_exist(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpt2-small", "train", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    known = capsys.readouterr().out
    flags = set(re.findall(r"--[a-z][a-z-]+", PAGE))
    assert {flag for flag in flags if f"{flag} " not in known} == set()


def test_the_table_lists_exactly_the_presets():
    [section] = re.findall(r"^## Presets$(.*?)^## ", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", section, flags=re.MULTILINE) == list(PRESETS)


def test_the_page_names_every_field_that_a_run_may_change():
    changeable = re.search(
        r"resumed run may change (.*?),\s+and the number", PAGE, flags=re.DOTALL
    )[1]
    assert set(re.findall(r"`(\w+)`", changeable)) == set(MAY_CHANGE)
    assert set(MAY_CHANGE) <= {field.name for field in fields(Recipe)}
