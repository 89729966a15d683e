"""Test docs/checkpoints.md: its examples run and its tables are complete."""

import re
import shlex

from pages import page
from processes import run_python
from small_gpt2s import characters, our_gpt2, saved_run

from gpt2_small.weights import folder_tokenizer, hub_models
from gpt2_small.weights.hugging_face_config import ALIASES, GELU_TANH

PAGE = page("checkpoints.md")


def test_the_code_on_the_page_runs(tmp_path, monkeypatch, capsys):
    saved_run(tmp_path / "runs" / "play", our_gpt2(), characters())
    [commands] = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for line in commands.splitlines():
        words = shlex.split(line.replace("gpt2-small", "gpt2_small", 1))
        done = run_python("-m", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    [python] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(python, "checkpoints.md", "exec"), {})
    assert capsys.readouterr().out == "char 61 [] {}\n"


def test_every_model_name_that_the_code_knows_is_on_the_page():
    rows = [f"{rows:,}" for rows in folder_tokenizer.GPT2_ROWS]
    for name in [*hub_models.HUB_NAMES, *ALIASES.values(), *GELU_TANH]:
        assert f"`{name}`" in PAGE, name
    assert all(row in PAGE for row in rows)
