"""List the claims about the fifteen parts, one file a part, each a tuple CLAIMS in running order.

A claim stands once. It is observed where the file runs: `observe` takes the loaded module and a
seed, and gives named tensors and texts. It is judged elsewhere: `summary` makes statistics of what
was observed, and what is expected (the reference, torch's own operation, a property) is compared
with that and sees nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.parts import FILE_OF, PARTS

# Torch imports its compiler, which takes two seconds, when the first optimiser is made.
OPTIMISERS = ("torch._dynamo",)

Observe = Callable[[ModuleType, int], Observation]

# What a claim can be about: what is computed with dropout 0, its gradient, and all that can be
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
class Claim:
    """A claim about a part.

    component: the part.
    name: the claim, a sentence.
    observe: a function over a loaded module, whose other parts are the reference's, and a seed. It
        gives tensors and texts by name, and may raise `failure.Failure` and whatever the module
        raises. It runs beside the file's own code, and so knows nothing of what is expected.
    summary: what is compared of an observation; left out, the observation itself.
    expect: what must be observed, given the reference and the seed; left out, what is observed of
        the reference.
    also: further expectations, each on some of the entries: torch's own operation, a property.
    required: whether a part fails that does not hold it; else the difference is a remark.
    optional: whether a file may leave out what it is about; it passes then, and tells nothing.
    gate: when it does not hold, the claims after it cannot be judged, and wait.
    together: parts that take part with the file's own code; it waits until all of them pass, and
        the reference stands in for the rest as always.
    group: what it is about, one of GROUPS; mistakes are looked for group by group.
    seconds: of processor time that it needs where that is more than `Limits` gives a claim.
    imports: modules that it takes long to import, to be there before the file is run.
    """

    component: str
    name: str
    observe: Observe
    summary: Callable[[Observation], Observation] | None = None
    expect: Observe | None = None
    also: tuple[Observe, ...] = ()
    required: bool = True
    optional: bool = False
    gate: bool = False
    together: tuple[str, ...] = ()
    group: str = "function"
    seconds: float = 0.0
    imports: tuple[str, ...] = ()

    def summarised(self, observed: Observation) -> Observation:
        """What is compared of an observation."""
        return self.summary(observed) if self.summary is not None else observed

    def expected(self, reference: ModuleType, seed: int) -> Observation:
        """What must be observed."""
        if self.expect is not None:
            return self.expect(reference, seed)
        return self.summarised(self.observe(reference, seed))


@cache
def claims_of(part: str) -> tuple[Claim, ...]:
    """The claims about a part, gates first."""
    claims: tuple[Claim, ...] = import_module(f"{__name__}.{FILE_OF[part]}").CLAIMS
    assert all(claim.component == part for claim in claims)
    return claims


def all_claims() -> list[Claim]:
    """Every claim, in learning order."""
    return [claim for part in PARTS for claim in claims_of(part)]
