"""Test what Gradescope gets: the page's autograder script, and remarks for the instructor."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from processes import ROOT

from gpt2_small.checker.report_formats import as_gradescope
from gpt2_small.checker.verdict import Result, Verdict
from gpt2_small.commands.learning.check import _tell_the_instructor

PAGE = (ROOT / "docs" / "instructors.md").read_text()


def results_after(folder: Path, command: str) -> str | None:
    """Run the page's `run_autograder` with this `gpt2-small`; return results.json, if there."""
    (script,) = re.findall(r"```bash\n(#!/usr/bin/env bash\nresults=.*?)```", PAGE, re.DOTALL)
    program = folder / "venv" / "bin" / "gpt2-small"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/usr/bin/env bash\n{command}\n")
    program.chmod(0o755)
    (folder / "results").mkdir()
    script = script.replace("/autograder", str(folder))
    assert subprocess.run(["bash", "-c", script]).returncode == 0
    results = folder / "results" / "results.json"
    return results.read_text() if results.exists() else None


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_autograder_takes_the_results_of_every_verdict(tmp_path: Path, code: int) -> None:
    assert results_after(tmp_path, f'echo "{{}}" > "${{@: -1}}"; exit {code}') == "{}\n"


def test_a_file_that_kills_the_check_cannot_leave_results_of_its_own(tmp_path: Path) -> None:
    forged = f'echo forged > {tmp_path}/results/results.json; echo forged > "${{@: -1}}"'
    assert results_after(tmp_path, f"{forged}; kill -9 $$") is None


def test_the_instructor_gets_remarks_on_the_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    verdict = Verdict(
        "a.py",
        results=[Result("LayerNorm", "A claim", "passed"), Result("MLP", "A claim", "failed")],
        source=b"import solution\nclass MLP: pass\n",
        accesses=["reads solution.py, the reference (line 1)", "reads \x1b[2J"],
    )
    _tell_the_instructor(verdict)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "For the instructor: LayerNorm holds, but is not defined in the file",
        "For the instructor: reads solution.py, the reference (line 1)",
        "For the instructor: imports solution, the reference (line 1)",
        r"For the instructor: reads \x1b[2J",
    ]


def test_a_failed_part_does_not_list_the_checks_that_wait_for_it() -> None:
    results = [
        Result("MLP", "It is built", "failed", message="because"),
        *(Result("MLP", f"Check {n}", "waiting", message="waits") for n in range(9)),
    ]
    (test,) = json.loads(as_gradescope(Verdict("a.py", None, results)))["tests"]
    assert test["output"] == "It is built: because"
