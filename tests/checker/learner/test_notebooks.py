"""Test checking notebooks: code cells in order, with cell and line in messages."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from checking import check_text, warm_checker
from processes import ROOT

import gpt2_small
from gpt2_small import notebooks
from gpt2_small.checker.exercise_sets import find_lesson
from gpt2_small.checker.learner import verdict_screen
from gpt2_small.checker.learner.skeleton import skeleton
from gpt2_small.errors import UserError

IMPORTS = "%matplotlib inline\n!pip list\nimport torch\nfrom torch import nn\ntorch?"
LAYER_NORM = """class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))
        self.eps = config.layer_norm_eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        var = x.var(-1, keepdim=True)
        return (x - mean) / (var + self.eps).sqrt() * self.w + self.b
"""


def notebook(folder: Path, *cells: str) -> Path:
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    path = folder / "mine.ipynb"
    text = {"cells": [{"cell_type": "markdown", "source": "# GPT-2"}, *code], "nbformat": 4}
    path.write_text(json.dumps(text))
    return path


def test_the_code_cells_of_a_notebook_are_checked_in_order(tmp_path: Path) -> None:
    path = notebook(tmp_path, IMPORTS, LAYER_NORM)
    verdict = warm_checker().check(path, ["LayerNorm"])
    assert verdict.reports["LayerNorm"].mistakes == ("layer-norm-unbiased-variance",)
    with verdict_screen.console_for_learners().capture() as captured:
        verdict_screen.console_for_learners().print(verdict.place(verdict.results[3].line or 0))
    assert verdict.place(verdict.results[3].line or 0) == "code cell 2, line 10"
    assert captured.get() == ""


def test_an_error_in_a_cell_is_reported_with_the_cells_number_and_line(tmp_path: Path) -> None:
    path = notebook(tmp_path, IMPORTS, "x = 1\ny = z + 1")
    error = warm_checker().check(path).error
    assert error is not None
    assert error.endswith("code cell 2, line 2: NameError: name 'z' is not defined")


SURROGATE = json.dumps({"cells": [{"cell_type": "code", "source": "x = '\ud83d'"}]})


@pytest.mark.parametrize("text", ["", "{}", '{"cells": 3}', "null", SURROGATE])
def test_an_invalid_notebook_is_refused_with_the_way_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.ipynb"
    path.write_text(text)
    with pytest.raises(UserError, match="is not a notebook of format 4"):
        warm_checker().check(path)


def test_a_line_of_a_python_file_has_no_cell_number() -> None:
    assert notebooks.place(b"a = 1\nb = 2\n", 2) == "line 2"


def test_a_part_under_another_name_is_reported_with_the_expected_name(tmp_path: Path) -> None:
    text = "from torch import nn\n\n\nclass CausalSelfAttention(nn.Module):\n    pass\n"
    (result, *_) = check_text(tmp_path, text, "MultiHeadAttention").results
    assert "CausalSelfAttention (line 4) looks like it: rename it to MultiHead" in result.message


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """Simulate IPython after these cells."""

    def pretend(*cells: str) -> None:
        ipython = ModuleType("IPython")
        shell = SimpleNamespace(user_ns={"In": ["", *cells]})
        ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "IPython", ipython)

    monkeypatch.setattr(gpt2_small.binding, "BOUND_MODULE", "nothing.is.bound")
    return pretend


def test_check_in_a_notebook_checks_the_last_text_of_each_cell(run, capsys) -> None:
    right = LAYER_NORM.replace("x.var(-1, keepdim=True)", "x.var(-1, False, keepdim=True)")
    run("import torch\nfrom torch import nn", LAYER_NORM, right, "raise KeyError")
    verdict = gpt2_small.check(parts=["LayerNorm"])
    assert verdict.exit_code == 0
    assert "LayerNorm holds" in capsys.readouterr().out
    assert repr(verdict) == "<Verdict of this notebook: 1 of 1 parts done>"


def test_check_takes_one_part_by_its_name(run, capsys) -> None:
    run("import torch\nfrom torch import nn", LAYER_NORM)
    verdict = gpt2_small.check(parts="LayerNorm")
    assert verdict.parts() == ["LayerNorm"]
    assert repr(verdict) == "<Verdict of this notebook: 0 of 1 parts done; next: LayerNorm>"


def test_check_of_a_part_in_place_of_a_file_names_the_right_argument(run) -> None:
    run()
    with pytest.raises(UserError, match=r"no file MLP; .*gpt2_small\.check\(parts=\['MLP'\]\)"):
        gpt2_small.check("MLP")


def test_check_outside_a_notebook_asks_for_a_file(run) -> None:
    run()
    sys.modules["IPython"].get_ipython = lambda: None  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="give a file"):
        gpt2_small.check()


def test_check_in_a_lessons_notebook_checks_the_loaded_file(run, tmp_path: Path, capsys) -> None:
    file = tmp_path / "my_bigram.py"
    file.write_text(skeleton(find_lesson("bigram")))
    run("import gpt2_small")
    shell = sys.modules["IPython"].get_ipython()
    shell.user_ns |= {"torch": torch, "bigram": gpt2_small.load(file)}
    verdict = gpt2_small.check()
    assert verdict.solution == str(file)
    assert "Next: count_pairs. It is not written yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("lessons/*/lesson.ipynb")), ids=lambda path: path.parent.name
)
def test_a_lessons_own_notebook_is_refused_with_the_file_that_it_loads(path: Path) -> None:
    with pytest.raises(UserError, match=r"is a lesson's notebook, which loads my_\w+\.py; check"):
        notebooks.python_of(path, path.read_bytes())


def test_a_notebook_that_only_mentions_the_lessons_is_checked(tmp_path: Path) -> None:
    text = "# reference = find_lesson('gpt').reference\nclass LayerNorm: ..."
    path = notebook(tmp_path, text)
    code = notebooks.python_of(path, path.read_bytes())
    assert b"class LayerNorm" in code


def test_a_user_error_in_a_cell_is_shown_as_one_sentence(tmp_path: Path) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    shown: list[str] = []
    shell = InteractiveShell()
    shell._showtraceback = lambda _type, _value, lines: shown.extend(lines)  # type: ignore[method-assign]
    shell.run_cell(f"import gpt2_small\ngpt2_small.load({str(tmp_path / 'none.py')!r})")
    (line,) = shown
    assert line == f"UserError: there is no file {tmp_path / 'none.py'}; check the name"


COLAB = (
    "!pip install -q einops\nfrom google.colab import drive, files\ndrive.mount('/content/drive')\n"
    "import importlib.util\nassert importlib.util.find_spec('google.colab')\n"
    "uploaded = files.upload()\nlisted = !ls\n",
    "%%time\nimport torch\nfrom torch import nn\n" + LAYER_NORM,
    "%%bash\nls -la\n",
    "width = (24\n    % 7)\nassert width == 3\n",
)


def test_a_notebook_of_colab_is_checked(tmp_path: Path) -> None:
    """A mounted drive, a timed cell, a captured shell command, an expression over several lines."""
    path = notebook(tmp_path, *COLAB)
    verdict = warm_checker().check(path, ["LayerNorm"])
    assert verdict.error is None
    assert verdict.reports["LayerNorm"].mistakes == ("layer-norm-unbiased-variance",)


@pytest.mark.parametrize("first", ["!pip install -q", "%pip install", "found = !ls"])
def test_a_shell_command_on_several_lines_is_left_out(first: str) -> None:
    cell = f"{first} \\\n    einops \\\n    torch\nx = 1 + \\\n    2\n"
    cells = [{"cell_type": "code", "source": cell}]
    text = notebooks.python_of(Path("a.ipynb"), json.dumps({"cells": cells}).encode())
    names: dict[str, object] = {}
    exec(text, names)
    assert names["x"] == 3
    assert text.count(b"\n") == 6


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x0c"])
def test_only_pythons_line_ends_end_a_line_of_a_cell(separator: str) -> None:
    cell = f"x = 'a{separator}b'\r\ny = 1\n"
    cells = [{"cell_type": "code", "source": cell}]
    names: dict[str, object] = {}
    exec(notebooks.python_of(Path("a.ipynb"), json.dumps({"cells": cells}).encode()), names)
    assert (names["x"], names["y"]) == (f"a{separator}b", 1)


def test_shell_cells_are_left_out() -> None:
    cells = [{"cell_type": "code", "source": "%%bash\nls -la"}]
    text = notebooks.python_of(Path("a.ipynb"), json.dumps({"cells": cells}).encode())
    assert b"# ls -la" in text
