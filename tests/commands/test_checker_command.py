"""Test `gpt2-small check`: the screen, the exit codes and the reports."""

import json
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from checking import check_text, wrong_text
from processes import ROOT, run_python
from rich.console import Console

from gpt2_small.checker import report_formats as reports
from gpt2_small.checker.exercise_set import GPT2
from gpt2_small.checker.learner import skeleton, verdict_screen
from gpt2_small.checker.mistakes.edited_reference import reference_text
from gpt2_small.checker.mistakes.mistake import find
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.verdict import Result, Verdict
from gpt2_small.errors import UserError

FIELDS = {"component", "check", "status", "mistake", "message", "seconds"}
MODULES = PARTS[: PARTS.index("Transformer") + 1]
COUNTS = ("passed", "failed", "not_written", "waiting")


def run(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "gpt2_small", "check", *arguments, cwd=cwd, PYTHONPATH=str(ROOT), **env)


def test_a_correct_part_ends_with_exit_code_0(tmp_path: Path) -> None:
    (tmp_path / "my_gpt2.py").write_text(reference_text())
    result = run("my_gpt2.py", "--component", "Embedding", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"Embedding holds: \d+ checks passed\.", result.stdout)
    assert "my_gpt2.py  sha256 " in result.stdout


def test_without_a_file_the_screen_says_that_the_reference_was_checked(tmp_path: Path) -> None:
    result = run("--component", "Embedding", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stdout.endswith(
        "This is the reference. To check a file of yours: gpt2-small check FILE\n"
    )


def test_without_a_file_the_learners_file_in_the_folder_is_checked(tmp_path: Path) -> None:
    (tmp_path / "my_gpt2.py").write_text(wrong_text(find("mlp-relu")))
    result = run("--component", "mlp", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout.startswith("my_gpt2.py  sha256 ")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["my_gpt2.py", "MLP", "loss"], "--component MLP --component loss"),
        (["layernorm"], "--component LayerNorm"),
    ],
)
def test_a_part_in_place_of_a_file_gets_its_option(
    arguments: list[str], parts: str, tmp_path: Path
) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr == f"error: check takes one file; for one part of it, give {parts}\n"


def test_a_wrong_part_ends_with_exit_code_1_and_is_reported_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "my_gpt2.py").write_text(wrong_text(find("mlp-relu")))
    paths = ["--json", "a.json", "--junit", "a.xml", "--gradescope", "results.json"]
    result = run(
        "my_gpt2.py", "--component", "mlp", "--component", "layernorm", *paths, cwd=tmp_path
    )
    assert (result.returncode, result.stderr) == (1, "")
    assert "gpt2-small hint MLP" in result.stdout

    report = json.loads((tmp_path / "a.json").read_text())
    assert set(report) == {"solution", "sha256", "version", *COUNTS, "error", "results"}
    assert all(set(row) == FIELDS for row in report["results"])
    assert [report[status] for status in COUNTS] == [
        sum(row["status"] == status for row in report["results"]) for status in COUNTS
    ]
    assert {row["mistake"] for row in report["results"] if row["status"] == "failed"} == {
        "mlp-relu"
    }
    assert report["error"] is None

    suites = {suite.get("name"): suite for suite in ElementTree.parse(tmp_path / "a.xml").getroot()}
    assert set(suites) == {"LayerNorm", "MLP"}
    assert int(suites["MLP"].get("failures")) == report["failed"]
    graded = json.loads((tmp_path / "results.json").read_text())
    assert [test["status"] for test in graded["tests"]] == ["passed", "failed"]
    assert [test["score"] > 0 for test in graded["tests"]] == [True, False]


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        (None, ["my_gpt2.py"], "there is no file my_gpt2.py"),
        ("def f(:\n", ["my_gpt2.py"], "my_gpt2.py, line 1: invalid syntax"),
        ("", ["my_gpt2.py", "--component", "LayerNrom"], "did you mean LayerNorm?"),
    ],
)
def test_unusable_input_ends_with_exit_code_2_and_one_sentence_also_in_json(
    tmp_path: Path, text: str | None, arguments: list[str], sentence: str
) -> None:
    if text is not None:
        (tmp_path / "my_gpt2.py").write_text(text)
    result = run(*arguments, "--json", "a.json", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    report = json.loads((tmp_path / "a.json").read_text())
    assert sentence in report["error"]
    assert report["results"] == []


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_checked(
    tmp_path: Path,
) -> None:
    result = run("--json", "nowhere/a.json", cwd=tmp_path)
    assert result.returncode == 2
    assert "there is no folder" in result.stderr


@pytest.mark.parametrize("flag", ["--json", "--junit", "--gradescope"])
def test_a_report_never_replaces_the_file_that_is_checked(tmp_path: Path, flag: str) -> None:
    mine = tmp_path / "my_gpt2.py"
    mine.write_text(reference_text())
    result = run("my_gpt2.py", flag, "my_gpt2.py", cwd=tmp_path)
    assert result.returncode == 2
    assert "my_gpt2.py exists and is not a report of this kind" in result.stderr
    assert mine.read_text() == reference_text()


def shown(verdict: Verdict, **options) -> str:
    console = Console(width=verdict_screen.WIDTH, **options)
    with console.capture() as captured:
        console.print(verdict_screen.whole(verdict))
    return captured.get()


def whole_verdict(*statuses: tuple[str, str]) -> Verdict:
    given = dict(statuses)
    results = [Result(p, "It holds", given.get(p, "passed"), message="a message") for p in PARTS]
    return Verdict("my_gpt2.py", "0" * 64, results)


def test_the_screen_of_a_failing_file_fits_80_by_24(tmp_path: Path) -> None:
    wrong = wrong_text(find("attention-scale-d-model"))
    text = check_text(tmp_path, wrong, "MultiHeadAttention")
    verdict = whole_verdict()
    verdict.results = [
        r for r in verdict.results if r.component != "MultiHeadAttention"
    ] + text.results
    verdict.reports = text.reports
    lines = shown(verdict).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 23


def test_a_failed_part_is_proposed_next_before_an_unwritten_one() -> None:
    verdict = whole_verdict(("LayerNorm", "not_written"), ("MLP", "failed"))
    assert verdict.first_to_mend() == "MLP"
    assert "MLP. Failed: It holds." in shown(verdict)


def test_without_failures_the_first_unwritten_part_is_proposed_next() -> None:
    verdict = whole_verdict(("Embedding", "not_written"), ("sample", "not_written"))
    assert "Next: Embedding. It is not written yet." in shown(verdict)


def test_every_state_is_shown_in_words_and_no_color_is_respected(monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    verdict = whole_verdict(("MLP", "failed"), ("sample", "waiting"), ("train", "not_written"))
    text = shown(verdict, force_terminal=True)
    assert "\x1b[3" not in text
    for word in ("done", "wrong, 1 of 1", "waiting", "not written"):
        assert word in text


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        ([("MLP", "failed")], 1),
        ([("MLP", "not_written")], 1),
        ([("MLP", "waiting")], 1),
    ],
)
def test_the_exit_code_is_0_only_when_every_check_passed(statuses, code: int) -> None:
    assert whole_verdict(*statuses).exit_code == code


def test_control_characters_of_a_learner_do_not_break_the_xml() -> None:
    results = [Result("MLP", "It holds", "failed", message="bad \x00 \x1b[31m \ud800 <&>")]
    ElementTree.fromstring(reports.as_junit(Verdict("f", None, results)).split("\n", 1)[1])


def test_a_part_is_found_in_any_case() -> None:
    assert GPT2.find_part("multi-head_attention") == "MultiHeadAttention"
    assert GPT2.in_learning_order(["train", "MLP", "mlp"]) == ["MLP", "train"]


@pytest.mark.parametrize(
    ("name", "part"),
    [("MHA", "MultiHeadAttention"), ("loss", "next_token_loss"), ("groups", "parameter_groups")],
)
def test_initials_and_words_of_a_part_get_a_suggestion(name: str, part: str) -> None:
    with pytest.raises(UserError, match=f"there is no part '{name}'; did you mean {part}\\?"):
        GPT2.find_part(name)


def test_a_file_without_a_part_is_said_to_have_none(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, "import torch\n", "LayerNorm")
    said = str(verdict_screen.next_step(verdict, "LayerNorm"))
    assert said == "Next: LayerNorm. The file has no LayerNorm."


def test_an_unknown_part_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match="did you mean TransformerBlock"):
        GPT2.find_part("TransfomerBlok")


@pytest.mark.parametrize(
    ("wrong", "checked"),
    [
        ("TransformerBlock", MODULES),
        *(pytest.param(part, PARTS, marks=pytest.mark.slow) for part in PARTS),
    ],
)
def test_one_wrong_part_fails_no_other_part(
    tmp_path: Path, wrong: str, checked: tuple[str, ...]
) -> None:
    """The reference's code in its place uses the file's other parts."""
    body = ("        " if wrong in MODULES else "    ") + 'raise ValueError("wrong")\n'
    text = skeleton.with_body(reference_text(), wrong, body)
    verdict = check_text(tmp_path, text, *checked, naming=False)
    assert [part for part in checked if verdict.state_of(part) != "passed"] == [wrong]
    others = [r for p in {"Transformer", "train"} - {wrong} for r in verdict.of(p)]
    for together in [result for result in others if "together" in result.check]:
        is_used = wrong in MODULES or together.component == "train"
        said = f"remark: judged with the reference's code for {wrong}"
        assert together.message == (said if is_used else "")
