"""Test pytest --solution FILE: selected tests, output and exit codes."""

import ast
import hashlib
import subprocess
from pathlib import Path

import pytest
from against_reference import edited_reference
from processes import ROOT, run_fresh_python, run_python

from gpt2_small import binding

TESTS = """
import gpt2_small, pytest

@pytest.mark.component("LayerNorm")
def test_layer_norm():
    assert gpt2_small.LayerNorm().forward() == 1

@pytest.mark.component("MLP")
def test_mlp():
    assert gpt2_small.MLP().forward() == 1

def test_something_else():
    raise AssertionError("not about the solution")
"""
RIGHT = """
class LayerNorm:
    def forward(self):
        return 1

class MLP:
    def forward(self):
        return LayerNorm().forward()
"""


def make_project(folder: Path) -> Path:
    """Write two tests of parts, one other test, and a correct learner's file."""
    (folder / "test_tiny.py").write_text(TESTS)
    (folder / "my_gpt2.py").write_text(RIGHT)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    return folder


@pytest.fixture
def project(tmp_path) -> Path:
    return make_project(tmp_path)


def pytest_with_all_plugins(
    project: Path, *options: str, fresh: bool = False, **variables: str
) -> subprocess.CompletedProcess[str]:
    variables = {"COLUMNS": "300", **variables}
    run = run_fresh_python if fresh else run_python
    return run("-m", "pytest", "-p", "no:cacheprovider", *options, cwd=project, **variables)


def pytest_in(project: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with only our plugin, which starts quickly."""
    variables = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **variables}
    return pytest_with_all_plugins(
        project, "-p", "gpt2_small", *options, "test_tiny.py", **variables
    )


@pytest.fixture(scope="module")
def right(tmp_path_factory) -> subprocess.CompletedProcess[str]:
    """Run it with the option on a correct file, while the variable names a missing file."""
    project = make_project(tmp_path_factory.mktemp("right"))
    return pytest_in(project, "--solution", "my_gpt2.py", GPT2_SMALL_SOLUTION="nowhere.py")


def test_the_option_overrides_the_environment_variable_and_a_correct_file_exits_with_0(right):
    assert right.returncode == 0, right.stdout + right.stderr


def test_a_warning_while_the_file_is_run_is_not_a_failure(project):
    warning = "import warnings\nwarnings.warn('deprecated', DeprecationWarning, stacklevel=1)\n"
    (project / "my_gpt2.py").write_text(warning + RIGHT)
    (project / "pytest.ini").write_text("[pytest]\nfilterwarnings = error::DeprecationWarning\n")
    run = pytest_in(project, "--solution", "my_gpt2.py")
    assert run.returncode == 0, run.stdout + run.stderr


def test_with_a_solution_only_tests_of_parts_run(right):
    assert "2 passed, 1 deselected" in right.stdout


def test_the_header_names_the_file_and_its_hash(right):
    digest = hashlib.sha256(RIGHT.encode()).hexdigest()[:12]
    assert f"solution: my_gpt2.py (sha256 {digest})" in right.stdout


def test_the_environment_variable_does_the_same_as_the_option(project):
    result = pytest_in(project, GPT2_SMALL_SOLUTION="my_gpt2.py")
    assert result.returncode == 0, result.stdout
    assert "2 passed, 1 deselected" in result.stdout


def test_for_a_file_in_another_folder_the_tests_configuration_applies(project, tmp_path_factory):
    file = tmp_path_factory.mktemp("elsewhere") / "my_gpt2.py"
    file.write_text(RIGHT)
    options = (
        "--collect-only",
        "-p",
        "no:cacheprovider",
        "-p",
        "gpt2_small",
        "--solution",
        str(file),
    )
    result = run_python(
        "-m", "pytest", *options, cwd=project, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", COLUMNS="300"
    )
    assert f"rootdir: {project}" in result.stdout
    assert "configfile: pytest.ini" in result.stdout


def test_a_wrong_part_fails_with_exit_code_1(project):
    (project / "my_gpt2.py").write_text(RIGHT.replace("return 1", "return 2"))
    result = pytest_in(project, "--solution", "my_gpt2.py")
    assert result.returncode == 1
    assert "2 failed, 1 deselected" in result.stdout


def test_an_unwritten_part_is_reported_without_a_traceback(project):
    (project / "my_gpt2.py").write_text(RIGHT.replace("return 1", "raise NotImplementedError"))
    result = pytest_in(project, "--solution", "my_gpt2.py")
    assert result.returncode == 1
    assert "FAILED test_tiny.py::test_layer_norm - LayerNorm is not written yet" in result.stdout
    assert "FAILED test_tiny.py::test_mlp - LayerNorm is not written yet" in result.stdout
    assert "NotImplementedError" not in result.stdout


def test_a_missing_part_is_reported_as_not_written(project):
    (project / "my_gpt2.py").write_text(RIGHT.replace("class MLP", "class Mlp"))
    result = pytest_in(project, "--solution", "my_gpt2.py")
    assert result.returncode == 1
    assert "FAILED test_tiny.py::test_mlp - MLP is not written yet" in result.stdout
    assert "1 failed, 1 passed, 1 deselected" in result.stdout


def test_a_not_implemented_error_of_anything_else_keeps_its_traceback(project):
    (project / "other.py").write_text("def f():\n    raise NotImplementedError('elsewhere')\n")
    text = "import sys; sys.path.insert(0, '.'); import other\n" + RIGHT
    (project / "my_gpt2.py").write_text(text.replace("return 1", "other.f()"))
    result = pytest_in(project, "--solution", "my_gpt2.py")
    assert result.returncode == 1
    assert "elsewhere" in result.stdout
    assert "is not written yet" not in result.stdout


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my_gtp2.py", "there is no file {0}/my_gtp2.py; did you mean {0}/my_gpt2.py?"),
        (".", "{0} is a folder; give the Python file with your solution"),
        ("syntax.py", "{0}/syntax.py, line 2: invalid syntax"),
        (
            "exits.py",
            "{0}/exits.py, line 1: the file calls exit(); remove the call",
        ),
    ],
)
def test_an_unusable_file_is_reported_in_one_sentence_with_exit_code_2(project, name, sentence):
    (project / "syntax.py").write_text("x = 1\nx = = 1\n")
    (project / "exits.py").write_text("exit()\n")
    result = pytest_in(project, "--solution", name)
    assert result.returncode == 2
    assert result.stderr == f"Exit: {sentence.format(project)}\n"
    assert result.stdout == ""


def test_a_broken_file_in_the_environment_variable_exits_with_2(project):
    result = pytest_in(project, GPT2_SMALL_SOLUTION="nowhere.py")
    assert result.returncode == 2
    assert result.stderr == f"Exit: there is no file {project}/nowhere.py; check the name\n"


def test_a_stray_solution_in_the_working_directory_is_not_picked_up(project):
    (project / "solution.py").write_text("raise SystemExit('picked up')\n")
    (project / "test_tiny.py").write_text(
        "def test_bound(solution):\n    assert solution.TransformerConfig().d_model == 768\n"
    )
    result = pytest_in(project)
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_unrelated_project_is_not_changed_by_the_plugin(project):
    (project / "test_tiny.py").write_text(
        "import sys\n"
        "def test_nothing_heavy_was_loaded():\n"
        "    assert not {'torch', 'beartype', 'einops', 'transformers'} & set(sys.modules)\n"
    )
    without = ("-p", "no:jaxtyping", "-p", "no:hypothesispytest")
    result = pytest_with_all_plugins(project, *without, fresh=True)
    assert result.returncode == 0, result.stdout
    assert "solution" not in result.stdout
    with_variable = pytest_with_all_plugins(
        project, *without, fresh=True, GPT2_SMALL_SOLUTION="my_gpt2.py"
    )
    assert "1 passed" in with_variable.stdout


@pytest.mark.slow
def test_the_kits_own_tests_of_parts_are_collected_for_a_file_elsewhere(tmp_path):
    path = tmp_path / "my_gpt2.py"
    path.write_text(RIGHT)
    options = ("--collect-only", "-q", "--solution", str(path))
    result = pytest_with_all_plugins(ROOT, *options, fresh=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "claims::LayerNorm::" in result.stdout
    assert "tests/test_sampling.py::" in result.stdout


@pytest.mark.slow
def test_an_unwritten_part_fails_in_the_kits_own_tests_and_the_others_pass(tmp_path):
    path = edited_reference(
        tmp_path,
        (
            "        return self.output_dropout(output + self.b_O)",
            "        raise NotImplementedError",
        ),
    )
    selected = (ROOT / "tests/reference/test_oracle.py", "-k", "test_a_component_alone", "-q")
    result = pytest_with_all_plugins(ROOT, "--solution", str(path), *map(str, selected))
    assert result.returncode == 1, result.stdout + result.stderr
    failures = [line for line in result.stdout.splitlines() if line.startswith("FAILED")]
    # Attention, the block and the model.
    assert len(failures) == 3
    assert all(line.endswith("MultiHeadAttention is not written yet") for line in failures)
    assert "3 failed, 5 passed" in result.stdout
    assert "Traceback" not in result.stdout


def test_test_modules_import_no_name_of_the_solution_at_module_level():
    """A file without that name would stop the collection instead of failing as not written."""
    taken = [
        f"{path.name}: {alias.name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom) and node.module == "gpt2_small"
        for alias in node.names
        if alias.name in binding.SOLUTION_NAMES
    ]
    assert taken == []
