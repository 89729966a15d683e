"""The list of checks as pytest items, so that `pytest --solution FILE` works from a wheel too.

The file is checked once, in processes of its own, when the first of the selected items is run.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from gpt2_small import binding
from gpt2_small.checker.claims import Check, checks_of
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.pytest_plugin import NotWrittenYet
from gpt2_small.checker.report_formats import located
from gpt2_small.checker.sandbox.client import Checker
from gpt2_small.checker.verdict import Result, Verdict

_VERDICT = pytest.StashKey[Verdict]()


class CheckFailed(Exception):
    """A check does not hold, or waits."""


class PartNode(pytest.Collector):
    """The checks of a part."""

    def collect(self) -> Iterator["CheckItem"]:
        for check in checks_of(self.name):
            yield CheckItem.from_parent(self, name=check.name, check=check)


class CheckItem(pytest.Item):
    """One check of the bound solution."""

    def __init__(self, *, check: Check, **fields: Any) -> None:
        super().__init__(**fields)
        self.check = check
        self.add_marker(pytest.mark.component(check.component))

    def runtest(self) -> None:
        result = self.result()
        if result.status == "not_written":
            raise NotWrittenYet(self.check.component)
        if result.status != "passed":
            raise CheckFailed(located(result))

    def result(self) -> Result:
        """What the check of this item said."""
        verdict = self.session.stash.get(_VERDICT, None)
        if verdict is None:
            verdict = checked(self.session)
            self.session.stash[_VERDICT] = verdict
        if verdict.error is not None:
            raise CheckFailed(verdict.error)
        found = [result for result in verdict.of(self.check.component) if result.check == self.name]
        if not found:
            pytest.skip("it needs all parts to be checked")
        return found[0]

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if not isinstance(excinfo.value, CheckFailed):
            return super().repr_failure(excinfo, style)
        verdict = self.session.stash.get(_VERDICT, None)
        report = verdict.reports.get(self.check.component) if verdict is not None else None
        naming = report.naming if report is not None else ""
        return "\n".join(filter(None, [str(excinfo.value), naming]))

    def reportinfo(self) -> tuple[Any, int | None, str]:
        return self.path, None, f"{self.check.component}: {self.name}"


def checked(session: pytest.Session) -> Verdict:
    """The verdict on the bound solution, over the parts of the selected items."""
    parts = {item.check.component for item in session.items if isinstance(item, CheckItem)}
    with Checker() as checker:
        return checker.check(binding.solution_path(binding.bound()), parts)


def check_items(session: pytest.Session) -> list[pytest.Item]:
    """All checks as items."""
    items: list[pytest.Item] = []
    for part in PARTS:
        node = PartNode.from_parent(session, name=part, nodeid=f"checks::{part}")
        items += node.collect()
    return items
