"""Test docs/page.md: its examples run."""

import re

import pytest
from app_pages import running, small_run
from pages import page
from typer.testing import CliRunner

from gpt2_small.app.models import Models
from gpt2_small.app.openai.interface import served
from gpt2_small.app.serving.guard import Guard
from gpt2_small.cli import app

PAGE = page("page.md")


@pytest.mark.parametrize("command", ["app", "serve"])
def test_the_commands_on_the_page_use_existing_flags(command: str) -> None:
    known = CliRunner().invoke(app, [command, "--help"]).output
    lines = re.findall(rf"^    gpt2-small {command} (.*)$", PAGE, flags=re.MULTILINE)
    assert lines
    flags = {flag for line in lines for flag in re.findall(r"--[a-z-]+", line)}
    assert all(flag in known for flag in flags)


def test_the_code_on_the_page_runs_with_openai_s_client(solution, tmp_path, capsys) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    interface = served(Models(str(small_run(solution, tmp_path / "run"))))
    with running(Guard(interface.application(), token=None)) as address:
        exec(code.replace("http://127.0.0.1:8000", address), {})
    interface.close()
    assert capsys.readouterr().out


def test_the_pages_pictures_exist_and_are_small() -> None:
    from processes import ROOT

    names = re.findall(r"\]\((page-[a-z]+\.png)\)", PAGE)
    assert len(names) == 2
    assert all(0 < (ROOT / "docs" / name).stat().st_size < 400_000 for name in names)
