"""Test the skeleton made from the reference, and its hints."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from checking import check_text
from filled_skeleton import filled_in
from processes import ROOT

from gpt2_small import binding
from gpt2_small.checker.learner import progress
from gpt2_small.checker.learner import skeleton as exercises
from gpt2_small.checker.learner.hints import GUIDES
from gpt2_small.checker.learner.progress import Progress
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.verdict import Verdict


@pytest.fixture(scope="module")
def skeleton() -> str:
    return exercises.skeleton()


@pytest.fixture(scope="module")
def verdict(skeleton: str, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    return check_text(tmp_path_factory.mktemp("learner"), skeleton)


def test_putting_the_bodies_back_gives_the_reference_byte_for_byte(skeleton: str) -> None:
    assert filled_in(skeleton).encode() == binding.reference_path().read_bytes()


def test_a_missing_body_does_not_give_the_reference(skeleton: str) -> None:
    text = filled_in(skeleton)
    without = exercises.with_body(text, "train", "    raise NotImplementedError\n")
    assert without != text


@pytest.mark.parametrize("part", PARTS)
def test_the_skeleton_contains_no_line_of_a_body(skeleton: str, part: str) -> None:
    left = exercises.body_of(skeleton, part).splitlines()
    *steps, stub = [line.strip() for line in left]
    assert all(step.startswith("#") for step in steps)
    assert stub == f'raise NotImplementedError("{exercises.full_name(part)} is not written yet")'


@pytest.mark.parametrize("part", PARTS)
def test_the_steps_of_a_part_are_numbered_from_one_without_gaps(skeleton: str, part: str) -> None:
    numbers = re.findall(r"# (\d+)\. ", exercises.body_of(skeleton, part))
    assert numbers == [str(n) for n in range(1, len(GUIDES[part].steps) + 1)]
    assert numbers


def test_everything_except_the_bodies_equals_the_reference(skeleton: str) -> None:
    def frame(text: str) -> str:
        tree = ast.parse(text)
        for part in PARTS:
            function = exercises.function_of(tree, part)
            function.body = function.body[: ast.get_docstring(function) is not None]
        return ast.dump(tree)

    assert frame(skeleton) == frame(exercises.reference_text())


def test_the_skeleton_can_be_loaded_and_has_every_name_of_a_solution(
    skeleton: str, tmp_path: Path
) -> None:
    (tmp_path / "my_gpt2.py").write_text(skeleton)
    module = binding.load(tmp_path / "my_gpt2.py")
    assert [name for name in binding.SOLUTION_NAMES if not hasattr(module, name)] == []


def test_the_skeleton_passes_ruff(skeleton: str, tmp_path: Path) -> None:
    file = tmp_path / "my_gpt2.py"
    file.write_text(skeleton)
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--config", str(ROOT / "pyproject.toml")]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([*ruff, *command, *config, str(file)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_in_a_new_file_no_check_passes_and_none_raises(verdict: Verdict) -> None:
    counts = verdict.counts()
    assert verdict.error is None
    assert (counts["passed"], counts["failed"]) == (0, 0)


def test_every_check_of_a_new_file_is_not_written(verdict: Verdict) -> None:
    assert verdict.counts()["waiting"] == 0
    assert verdict.counts()["not_written"] == len(verdict.results)


def test_every_part_of_a_new_file_is_not_written_yet(verdict: Verdict) -> None:
    assert {verdict.state_of(part) for part in verdict.parts()} == {"not_written"}
    assert tuple(verdict.parts()) == PARTS


def test_a_written_part_passes_and_the_others_stay_not_written(
    skeleton: str, tmp_path: Path
) -> None:
    written = exercises.with_body(skeleton, "Embedding", exercises.reference_body("Embedding"))
    verdict = check_text(tmp_path, written, "Embedding", "MLP")
    assert (verdict.state_of("Embedding"), verdict.state_of("MLP")) == ("passed", "not_written")


def test_show_prints_the_references_code_without_the_docstring() -> None:
    tree = ast.parse(exercises.reference_text())
    for part in PARTS:
        function = exercises.function_of(tree, part)
        if ast.get_docstring(function) is not None:
            del function.body[0]
        (shown,) = ast.parse(exercises.reference_code(part)).body
        assert ast.dump(shown) == ast.dump(function)


def test_every_part_has_its_own_steps_and_three_hints() -> None:
    assert tuple(GUIDES) == PARTS
    hints = [hint for guide in GUIDES.values() for hint in guide.hints]
    assert len(set(hints)) == 3 * len(PARTS)


def test_hints_advance_from_the_first_to_the_last_and_stay_there() -> None:
    progress_so_far = Progress()
    given = [progress.next_hint(progress_so_far, "MLP", ()) for _ in range(4)]
    assert [hint.text for hint in given] == [*GUIDES["MLP"].hints, GUIDES["MLP"].hints[-1]]
    assert [(hint.number, hint.of) for hint in given] == [(1, 3), (2, 3), (3, 3), (3, 3)]


def test_a_named_mistake_has_its_own_hints_which_are_counted_separately() -> None:
    progress_so_far = Progress(hints={"LayerNorm": 2})
    first = progress.next_hint(progress_so_far, "LayerNorm", ["layer-norm-no-epsilon"])
    assert (first.about, first.number) == ("layer-norm-no-epsilon", 1)
    assert progress_so_far.hints == {"LayerNorm": 2, "layer-norm-no-epsilon": 1}


def test_the_second_mistakes_hints_follow_those_of_the_first() -> None:
    progress_so_far = Progress(hints={"layer-norm-no-epsilon": 3})
    two = ["layer-norm-no-epsilon", "layer-norm-unbiased-variance"]
    assert (
        progress.next_hint(progress_so_far, "LayerNorm", two).about
        == "layer-norm-unbiased-variance"
    )


def test_progress_is_restored_as_saved(tmp_path: Path) -> None:
    file = tmp_path / "my_gpt2.py"
    before = Progress(["LayerNorm"], ["MLP"], {"MLP": 2})
    assert progress.write(file, before)
    assert progress.read(file) == before
    assert [path.name for path in tmp_path.iterdir()] == [".my_gpt2.progress.json"]


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"format": "another/1", "done": ["MLP"]}'],
)
def test_damaged_progress_counts_as_none(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "my_gpt2.py"
    progress.path_for(file).write_bytes(damage)
    assert progress.read(file) == Progress()


def test_invalid_entries_of_saved_progress_are_ignored(tmp_path: Path) -> None:
    file = tmp_path / "my_gpt2.py"
    kept = {"format": progress.FORMAT, "done": ["MLP", "Nope"], "shown": 3, "hints": {"MLP": "x"}}
    progress.path_for(file).write_text(json.dumps(kept))
    assert progress.read(file) == Progress(["MLP"])


def test_progress_that_cannot_be_saved_is_reported_without_stopping(tmp_path: Path) -> None:
    assert not progress.write(tmp_path / "no such folder" / "my_gpt2.py", Progress())
