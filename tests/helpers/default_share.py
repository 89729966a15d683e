"""Leave a share of many like cases in the default suite and mark the others slow."""

from collections.abc import Iterable
from typing import Any

import pytest
from _pytest.mark import ParameterSet


def slowly(case: Any) -> ParameterSet:
    """Mark a case of `pytest.mark.parametrize` (a value or a tuple of values) as slow."""
    if isinstance(case, ParameterSet):
        return case._replace(marks=(*case.marks, pytest.mark.slow))
    values = case if type(case) is tuple else (case,)
    return pytest.param(*values, marks=pytest.mark.slow)


def one_in(every: int, cases: Iterable[Any], first: int = 0) -> list[Any]:
    """Return all cases; mark all but every so many slow."""
    return [case if at % every == first else slowly(case) for at, case in enumerate(cases)]


def few(default: Iterable[Any], cases: Iterable[Any]) -> list[Any]:
    """Return all cases; mark those outside the default suite slow."""
    chosen, every = list(default), list(cases)
    assert all(case in every for case in chosen), f"{chosen} are not all among the cases"
    return [case if case in chosen else slowly(case) for case in every]
