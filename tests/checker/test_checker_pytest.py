"""Test `pytest --solution FILE`: the same claims and results as `gpt2-small check`."""

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from checking import check_text, reference_with, wrong_text
from processes import ROOT, run_python

from gpt2_small.checker.mistakes.mistake import find

LOOK_UP = "        return self.W_E[tokens]\n"


def pytest_on(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder with a learner's file and no tests."""
    command = ["-m", "pytest", "-p", "no:cacheprovider"]
    command += ["-p", "gpt2_small.checker.pytest_plugin"]
    command += ["--solution", "my_gpt2.py", "--junitxml", "a.xml", *options]
    variables = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return run_python(*command, cwd=folder, **variables)


@pytest.fixture(scope="module")
def wrong(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Run it on a file with a wrong MLP and no Embedding, for the parts that -k selects."""
    folder = tmp_path_factory.mktemp("wrong")
    text = wrong_text(find("mlp-relu")).replace(LOOK_UP, "        raise NotImplementedError\n")
    (folder / "my_gpt2.py").write_text(text)
    return folder, pytest_on(folder, "-k", "MLP or Embedding or LayerNorm")


@pytest.mark.slow
def test_pytest_and_check_agree_on_every_check_of_a_file(wrong, tmp_path: Path) -> None:
    folder, _ = wrong
    found = outcomes(folder)
    text = (folder / "my_gpt2.py").read_text()
    parts = {part for part, _ in found}
    verdict = check_text(tmp_path, text, *parts)
    assert {"LayerNorm", "Embedding", "MLP"} <= parts
    for result in verdict.results:
        expected = "passed" if result.status == "passed" else "failure"
        assert found.get((result.component, result.check), expected) == expected


def outcomes(folder: Path) -> dict[tuple[str, str], str]:
    """Return whether each case passed, failed or was skipped, by its part and check."""
    cases = ElementTree.parse(folder / "a.xml").getroot().iter("testcase")
    return {
        (case.get("classname", "").removeprefix("claims."), case.get("name", "")): next(
            (child.tag for child in case), "passed"
        )
        for case in cases
    }


def test_pytest_names_the_mistake_and_shows_no_traceback_of_ours(wrong) -> None:
    _, result = wrong
    assert result.returncode == 1
    assert "Your MLP uses ReLU as its activation" in result.stdout
    assert "Embedding is not written yet" in result.stdout
    assert "Traceback" not in result.stdout
    assert ".py:" not in result.stdout


def test_a_right_part_alone_passes_with_exit_code_0(tmp_path: Path) -> None:
    (tmp_path / "my_gpt2.py").write_text(reference_with())
    result = pytest_on(tmp_path, "-k", "Unembedding")
    assert result.returncode == 0, result.stdout
