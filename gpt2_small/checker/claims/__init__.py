"""The checks, one file a part, each a tuple CHECKS in the order in which they are run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

from gpt2_small.checker.claims.observation import Observation
from gpt2_small.checker.parts import FILE_OF, PARTS

Observe = Callable[[ModuleType, int], Observation]


# What a check can be about: what is computed with dropout 0, its gradient, and all that can be
# wrong beside without changing either.
GROUPS = (
    "function",
    "gradient",
    "state",
    "dropout",
    "chance",
    "dtypes",
    "device",
    "initialisation",
    "inputs",
    "refusals",
    "taps",
)


@dataclass(frozen=True)
class Check:
    """A claim about a part.

    component: the part.
    name: the claim, a sentence.
    observe: a plain function over a loaded module and a seed. It may raise `failure.Failure`, and
        whatever the module raises.
    expect: what must be observed, given the reference and the seed; left out, what `observe` sees
        of the reference.
    gate: when it does not hold, the checks after it have nothing to judge, and wait.
    together: parts that take part with the file's own code; it waits until all of them pass, and
        the reference stands in for the rest as always.
    group: what it is about, one of GROUPS; mistakes are looked for group by group.
    seconds: that it needs where that is more than `worker.Limits` gives a check.
    """

    component: str
    name: str
    observe: Observe
    expect: Observe | None = None
    gate: bool = False
    together: tuple[str, ...] = ()
    group: str = "function"
    seconds: float = 0.0

    def expected(self, reference: ModuleType, seed: int) -> Observation:
        """What must be observed."""
        return (self.expect or self.observe)(reference, seed)


@cache
def checks_of(part: str) -> tuple[Check, ...]:
    """The checks of a part, gates first."""
    checks: tuple[Check, ...] = import_module(f"{__name__}.{FILE_OF[part]}").CHECKS
    assert all(check.component == part for check in checks)
    return checks


def all_checks() -> list[Check]:
    """Every check, in learning order."""
    return [check for part in PARTS for check in checks_of(part)]
