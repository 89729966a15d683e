"""Test that of a notebook only the code runs that its modules and parts need."""

import math
from pathlib import Path
from typing import Any

import pytest
from checking import warm_checker
from test_notebooks import LAYER_NORM, notebook

from gpt2_small import binding

IMPORTS = "import math\nimport torch\nfrom torch import nn"


def run(folder: Path, *cells: str) -> dict[str, Any]:
    """Run a notebook's cells after its imports; return its names."""
    return vars(binding.load(notebook(folder, IMPORTS, *cells)))


@pytest.mark.parametrize(
    "experiment",
    [
        "text = open('not-here.txt').read()\nprint(text[:100])",
        "model = LayerNorm(config)\nfor step in range(10**9):\n    model.train()",
        "from plotly_of_mine import express\nexpress.line([1, 2])",
        "assert False",
        "with open('not-here.txt') as file:\n    text = file.read()",
        "(InteractiveConsole)\n>>> torch.float32",
        "pip install torch",
        "learning_rate = read_my_settings()",
    ],
)
def test_an_experiment_in_a_notebook_is_not_run(experiment: str, tmp_path: Path) -> None:
    names = run(tmp_path, experiment, LAYER_NORM, experiment)
    assert "LayerNorm" in names
    assert not names.keys() & {"text", "model", "express", "learning_rate"}


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        (["WIDTH = 3\nHEIGHT = WIDTH + 1", "class M(nn.Module):\n    size = HEIGHT"], 4),
        (["if torch.tensor(True):\n    SIZE = 5", "class M(nn.Module):\n    size = SIZE"], 5),
        (["class M(nn.Module):\n    size = 1", "M.size = 6"], 6),
        (["class M(nn.Module):\n    size = 1", "setattr(M, 'size', 7)"], 7),
        (["SIZES = {}\nSIZES['a'] = 8", "class M(nn.Module):\n    size = SIZES['a']"], 8),
        (["SIZES = []\nSIZES.append(9)", "class M(nn.Module):\n    size = SIZES[-1]"], 9),
        (["class A(nn.Module):\n    size = 10", "class M(A):\n    pass"], 10),
        (["from math import *", "class M(nn.Module):\n    size = floor(11.5)"], 11),
        (["def twice(x):\n    return FACTOR * x", "FACTOR = 2",
          "class M(nn.Module):\n    size = twice(6)"], 12),
        (["SIZE = 1; SIZE += 12", "class M(nn.Module):\n    size = SIZE"], 13),
        (["def own(cls):\n    cls.size = 14\n    return cls",
          "@own\nclass M(nn.Module):\n    pass"], 14),
        (["math.pi = 15", "class M(nn.Module):\n    size = math.pi"], 15),
    ],
)  # fmt: skip
def test_what_a_module_uses_is_run(cells: list[str], value: int, tmp_path: Path) -> None:
    pi = math.pi
    try:
        assert run(tmp_path, *cells)["M"].size == value
    finally:
        math.pi = pi  # type: ignore[misc]


def test_a_name_of_a_methods_own_is_no_global_name(tmp_path: Path) -> None:
    method = (
        "class M(nn.Module):\n    def forward(self, x):\n        model = x\n        return model"
    )
    assert "model" not in run(tmp_path, "model = download()", method)


def test_a_parts_function_keeps_its_constants_and_not_the_experiments_it_names(
    tmp_path: Path,
) -> None:
    sample = "def sample(logits):\n    return logits / TEMPERATURE, model, loader"
    cells = ["TEMPERATURE = math.sqrt(4)", "model = download()", "loader = list(model)", sample]
    names = run(tmp_path, *cells)
    assert names["TEMPERATURE"] == 2
    assert not names.keys() & {"model", "loader"}


def test_a_function_with_another_name_is_kept_for_the_hint(tmp_path: Path) -> None:
    cells = ["def get_lr(step, peak=1.0):\n    return peak", "rate = download()", LAYER_NORM]
    assert "get_lr" in run(tmp_path, *cells)


def test_a_notebook_without_modules_and_parts_runs_whole(tmp_path: Path) -> None:
    assert run(tmp_path, "x = [1]\nx.append(2)")["x"] == [1, 2]


def test_a_cell_with_a_part_that_is_no_python_is_reported(tmp_path: Path) -> None:
    error = warm_checker().check(notebook(tmp_path, IMPORTS, LAYER_NORM + "    def f(:\n")).error
    assert error is not None
    assert error.endswith("code cell 2, line 12: invalid syntax")


def test_a_quoted_line_of_a_notebook_has_its_number_in_the_cell(tmp_path: Path) -> None:
    path = notebook(tmp_path, IMPORTS, "x = 1", LAYER_NORM)
    said, *quoted = warm_checker().check(path, ["LayerNorm"]).reports["LayerNorm"].location
    assert said.startswith("Code cell 3, line 10 is the first that differs")
    assert quoted[-1] == "    10 | var = x.var(-1, keepdim=True)"
