"""Test that a file runs as a script or notebook expects, and changes nothing for others."""

import json
from pathlib import Path

import pytest
import torch

from gpt2_small import binding

SCRIPT = """
import torch
torch.set_grad_enabled(False)
torch.set_default_dtype(torch.float64)
torch.set_default_device("meta")
"""
EXPORTED = """
get_ipython().run_line_magic("matplotlib", "inline")
is_colab = "google.colab" in str(get_ipython())
"""
SCRIPTED = """
import torch

@torch.jit.script
def twice(x):
    return 2 * x
"""


def test_torchs_settings_are_those_of_before_after_a_file_has_run(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    binding.load(path)
    settings = torch.is_grad_enabled(), torch.get_default_dtype(), torch.zeros(()).device.type
    assert settings == (True, torch.float32, "cpu")


def test_torchs_settings_are_those_of_before_after_a_file_has_failed(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT + "1 / 0")
    with pytest.raises(binding.UserError, match="ZeroDivisionError"):
        binding.load(path)
    assert torch.is_grad_enabled()


def test_an_exported_notebook_may_call_get_ipython(tmp_path: Path) -> None:
    path = tmp_path / "exported.py"
    path.write_text(EXPORTED)
    assert not binding.load(path).is_colab


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_notebooks_function_may_be_compiled_from_its_source(tmp_path: Path) -> None:
    path = tmp_path / "scripted.ipynb"
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": SCRIPTED}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": [cell]}))
    assert binding.load(path).twice(torch.ones(())) == 2
