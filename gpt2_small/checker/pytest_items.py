"""Define a pytest item for every claim, so that `pytest --solution FILE` works from a wheel too.

A pytest session checks the file once, in separate processes, when its first item runs.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from gpt2_small import binding
from gpt2_small.checker import exercise_sets
from gpt2_small.checker.claims import Claim
from gpt2_small.checker.exercise_set import ExerciseSet
from gpt2_small.checker.parts import NotWrittenYet
from gpt2_small.checker.report_formats import located
from gpt2_small.checker.sandbox.client import Checker
from gpt2_small.checker.verdict import PartReport, Result, Verdict

_VERDICT = pytest.StashKey[Verdict]()


class ClaimFails(Exception):
    """A claim failed or waits; only the message is shown."""


class PartNode(pytest.Collector):
    """The claims about a part."""

    def __init__(self, *, exercises: ExerciseSet, **fields: Any) -> None:
        super().__init__(**fields)
        self.exercises = exercises

    def collect(self) -> Iterator["ClaimItem"]:
        for claim in self.exercises.claims(self.name):
            yield ClaimItem.from_parent(self, name=claim.name, claim=claim)


class ClaimItem(pytest.Item):
    """One claim about the bound solution."""

    def __init__(self, *, claim: Claim, **fields: Any) -> None:
        super().__init__(**fields)
        self.claim = claim
        self.add_marker(pytest.mark.component(claim.component))

    def runtest(self) -> None:
        raise_unless_passed(
            result_of(self.session, self.claim), report_of(self.session, self.claim)
        )

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, ClaimFails):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        return self.path, None, f"{self.claim.component}: {self.name}"


def raise_unless_passed(result: Result, report: PartReport | None = None) -> None:
    """Raise ClaimFails or NotWrittenYet unless a claim passed."""
    if result.status == "not_written":
        raise NotWrittenYet(result.component)
    if result.status != "passed":
        naming = report.naming if report is not None else ""
        raise ClaimFails("\n".join(filter(None, [located(result), naming])))


def result_of(session: pytest.Session, claim: Claim) -> Result:
    """The result of a claim about the bound solution."""
    verdict = verdict_of(session)
    if verdict.error is not None:
        raise ClaimFails(verdict.error)
    results = [result for result in verdict.of(claim.component) if result.check == claim.name]
    if not results:
        pytest.skip("a claim about several parts together; it runs when all of them are selected")
    return results[0]


def report_of(session: pytest.Session, claim: Claim) -> PartReport | None:
    """The report on a claim's part."""
    return verdict_of(session).reports.get(claim.component)


def verdict_of(session: pytest.Session) -> Verdict:
    """The verdict on the bound solution's parts in the selected tests."""
    verdict = session.stash.get(_VERDICT, None)
    if verdict is None:
        markers = (mark for item in session.items for mark in item.iter_markers("component"))
        path = binding.solution_path(binding.bound())
        known = exercise_sets.of_file(path).parts
        parts = {name for mark in markers for name in mark.args if name in known}
        with Checker() as checker:
            verdict = checker.check(path, parts)
        session.stash[_VERDICT] = verdict
    return verdict


def claim_items(session: pytest.Session) -> list[pytest.Item]:
    """All claims about the bound solution as items."""
    exercises = exercise_sets.of_file(binding.solution_path(binding.bound()))
    items: list[pytest.Item] = []
    for part in exercises.parts:
        node = PartNode.from_parent(
            session, name=part, nodeid=f"claims::{part}", exercises=exercises
        )
        items += node.collect()
    return items
