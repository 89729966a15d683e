"""Test `gpt2-small variant` and `check --as`: the screen and the refusals."""

from pathlib import Path

import pytest
from checking import reference_text
from typer.testing import CliRunner

from gpt2_small.checker.variants import variant_set
from gpt2_small.cli import app
from gpt2_small.errors import UserError


def refusal(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def test_an_unknown_edit_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    out = tmp_path / "v.py"
    assert "did you mean rotary?" in refusal("variant", "--with", "rotari", "--out", str(out))
    assert not out.exists()


def test_edits_that_exclude_each_other_are_refused_with_both_names(tmp_path: Path) -> None:
    out = tmp_path / "v.py"
    both = ("--with", "no-positions", "--with", "positional-embedding-sinusoidal")
    told = refusal("variant", *both, "--out", str(out))
    assert "no-positions" in told
    assert "positional-embedding-sinusoidal" in told
    assert not out.exists()


def test_variant_does_not_overwrite_an_existing_file(tmp_path: Path) -> None:
    out = tmp_path / "v.py"
    out.write_text("mine")
    assert "exists already" in refusal("variant", "--with", "rotary", "--out", str(out))
    assert out.read_text() == "mine"


def test_the_screen_shows_the_edits_in_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["variant", "--with", "mlp-relu", "--out", "v.py"])
    assert result.exit_code == 0
    assert '-    return F.gelu(pre, approximate="tanh")\n+    return pre.relu()' in result.output
    assert max(map(len, result.output.splitlines())) <= 80
    assert Path("v.py").read_text() == variant_set(("mlp-relu",)).reference_text()


def test_check_refuses_an_unknown_edit(tmp_path: Path) -> None:
    path = tmp_path / "v.py"
    path.write_text(reference_text())
    assert "mlp-relu" in refusal("check", str(path), "--as", "mlp-rel")
