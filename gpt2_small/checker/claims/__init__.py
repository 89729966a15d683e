"""List the claims about the fifteen parts, a file for each with a tuple CLAIMS in running order.

`observe` runs in the file's process: it takes the loaded module and a seed, and returns named
tensors and texts. Another process judges: `summary` reduces an observation to statistics, which
are compared with the expectation: the reference, torch's operation, or a property.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.parts import PARTS, import_about

# Torch imports its compiler when the first optimiser is constructed; that takes two seconds.
OPTIMISERS = ("torch._dynamo",)

Observe = Callable[[ModuleType, int], Observation]

# Subjects of claims: the function with dropout 0, its gradient, and properties that change neither.
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
    observe: a function of a loaded module, with the reference's other parts, and a seed. Returns
        tensors and texts by name; raises `failure.Failure` and what the module raises. It runs in
        the file's process, so it contains no expectation.
    summary: reduces an observation to the compared values; default: the observation itself.
    expect: the expected values, from the reference and the seed; default: those of the reference.
    also: further expectations for some of the entries: torch's operation, a property.
    required: whether a failure fails the part; else it is a remark.
    optional: whether a file may lack the subject; the claim then passes.
    gate: if it fails, the claims after it wait.
    together: parts whose code is the file's in this claim; it waits until all of them pass. The
        other parts are the reference's.
    group: its subject, one of GROUPS; mistakes are searched for group by group.
    seconds: its limit of processor time if above that of `Limits`.
    imports: slow modules to import before the file is run.
    is_drawn: whether a wrong part's values depend on the order of its draws.
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
    is_drawn: bool = False

    def summarised(self, observed: Observation) -> Observation:
        """The compared values of an observation."""
        return self.summary(observed) if self.summary is not None else observed

    def expected(self, reference: ModuleType, seed: int) -> Observation:
        """The expected values."""
        if self.expect is not None:
            return self.expect(reference, seed)
        return self.summarised(self.observe(reference, seed))


@cache
def claims_of(part: str) -> tuple[Claim, ...]:
    """The claims about a part, gates first."""
    claims: tuple[Claim, ...] = import_about(part, "claims").CLAIMS
    assert all(claim.component == part for claim in claims)
    return claims


def all_claims() -> list[Claim]:
    """Every claim, in learning order."""
    return [claim for part in PARTS for claim in claims_of(part)]
