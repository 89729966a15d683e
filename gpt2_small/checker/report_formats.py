"""Write a verdict as JSON, JUnit XML or Gradescope's JSON."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

from gpt2_small import __version__
from gpt2_small.checker.verdict import Result, Verdict
from gpt2_small.files.atomic import write_atomically

POINTS = 100.0


def as_json(verdict: Verdict) -> str:
    """The object of `check --json`."""
    return json.dumps(verdict.as_json(), indent=1, ensure_ascii=False) + "\n"


def as_junit(verdict: Verdict) -> str:
    """Format JUnit XML: a suite for each part, a case for each check."""
    name = f"gpt2-small {__version__} check {verdict.solution}"
    root = ElementTree.Element("testsuites", name=name)
    for part in verdict.parts():
        results = verdict.of(part)
        suite = _suite(root, part, results)
        for result in results:
            case = ElementTree.SubElement(
                suite, "testcase", classname=part, name=result.check, time=f"{result.seconds:.6f}"
            )
            if result.status == "waiting":
                ElementTree.SubElement(case, "skipped", message=_printable(result.message))
            elif result.status != "passed":
                kind = result.mistake or result.status
                failure = ElementTree.SubElement(
                    case, "failure", type=kind, message=_printable(result.message)
                )
                failure.text = _printable(located(result))
    if verdict.error is not None:
        suite = ElementTree.SubElement(root, "testsuite", name="file", tests="1", errors="1")
        case = ElementTree.SubElement(
            suite, "testcase", classname="file", name="The file can be run"
        )
        ElementTree.SubElement(case, "error", message=_printable(verdict.error))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ElementTree.Element, part: str, results: list[Result]) -> ElementTree.Element:
    failures = sum(result.status in ("failed", "not_written") for result in results)
    waiting = sum(result.status == "waiting" for result in results)
    return ElementTree.SubElement(
        root,
        "testsuite",
        name=part,
        tests=str(len(results)),
        failures=str(failures),
        skipped=str(waiting),
        time=f"{sum(result.seconds for result in results):.6f}",
    )


def _printable(text: str) -> str:
    """Remove characters that are invalid in XML."""
    return "".join(c for c in text if c in "\t\n\r" or " " <= c <= "\ud7ff" or c >= "\ue000")


def as_gradescope(verdict: Verdict) -> str:
    """Format Gradescope's results.json, with equal points for each part."""
    parts = verdict.parts() or list(verdict.all_parts)
    most = round(POINTS / len(verdict.all_parts), 4)
    tests = []
    for part in parts:
        passed = verdict.error is None and verdict.state_of(part) == "passed"
        tests.append(
            {
                "name": part,
                "score": most if passed else 0.0,
                "max_score": most,
                "status": "passed" if passed else "failed",
                "output": verdict.error or _explained(verdict, part),
                "visibility": "visible",
            }
        )
    seconds = round(sum(result.seconds for result in verdict.results), 3)
    content: dict[str, object] = {"tests": tests, "execution_time": seconds}
    checked_by = f"Checked by gpt2-small {__version__}."
    content["output"] = f"{verdict.error}\n{checked_by}" if verdict.error else checked_by
    return json.dumps(content, indent=1) + "\n"


def _explained(verdict: Verdict, part: str) -> str:
    """The explanation of a part's points."""
    results = verdict.of(part)
    if verdict.state_of(part) == "passed":
        return f"All {len(results)} checks passed."
    naming = verdict.reports[part].naming if part in verdict.reports else ""
    wrong = [result for result in results if result.status in ("failed", "not_written")]
    problems = [located(result) for result in wrong or results if result.status != "passed"]
    return "\n".join(filter(None, [naming, *dict.fromkeys(problems)])) or "It was not checked."


def located(result: Result) -> str:
    """A result's message with the check and the line."""
    line = f" (line {result.line})" if result.line is not None else ""
    return f"{result.check}{line}: {result.message}" if result.message else result.check


FORMATS: Mapping[str, Callable[[Verdict], str]] = {
    "json": as_json,
    "junit": as_junit,
    "gradescope": as_gradescope,
}


def write(path: Path, text: str) -> None:
    """Write a report atomically. Raises UserError on failure."""
    write_atomically(path.absolute(), text, errors="replace")
