"""Choose the parts of a file in a layout to judge, their references, and the remarks.

Outer parts of such a file contain its own inner parts: a block has the file's attention, a model
its blocks. A block or model is compared with the reference with the mistakes named in its inner
parts, so that a mistake fails only its own part.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.judging.runner import JudgedClaim
from gpt2_small.checker.exercise_set import ExerciseSet
from gpt2_small.checker.layouts.fixed_d_mlp import WIDE_PART, fixed_fields
from gpt2_small.checker.layouts.inner_mistakes import explained_inside
from gpt2_small.checker.layouts.known_layouts import LAYOUTS, find_layout
from gpt2_small.checker.layouts.layout import INSIDE
from gpt2_small.checker.parts import MODULES
from gpt2_small.checker.sandbox.child_runner import Observer
from gpt2_small.checker.sandbox.task import ChildTask
from gpt2_small.checker.variants import variant_set
from gpt2_small.checker.verdict import PartReport
from gpt2_small.errors import UserError

# Texts of files in another layout; only files with one are tried.
_FOREIGN = re.compile(
    rb"nn\.Linear|nn\.Embedding|Conv1D|c_attn|import GPT2|GPT2LMHeadModel|class (Demo|Attention\b)"
)

# Texts of files with the contract's classes.
_OWN = b"TransformerConfig"


class LayoutRequest:
    """The changes to a check that a file's layout and fixed fields cause.

    Without a layout, only FIXED changes anything.
    """

    def __init__(self, task: ChildTask, parts: list[str], every_part: bool) -> None:
        self.task, self.wanted, self.every_part = task, parts, every_part
        self.layout = None if task.layout is None else find_layout(task.layout)
        self.names: frozenset[str] | None = None
        self.fixed: tuple[str, ...] = ()
        self._problem: str | None = None
        self._mistakes: dict[str, tuple[str, ...]] = {}
        try:
            self.fixed = fixed_fields(task.source, str(task.path))
        except UserError as error:
            self._problem = str(error)
        except (SyntaxError, ValueError):
            pass  # loading reports that the file cannot be run

    def error(self, names: frozenset[str]) -> str | None:
        """Why the file cannot be checked in the layout; None if it can.

        names: the file's names, with those of its parts in the layout.
        """
        self.names = names
        if self._problem is not None or self.layout is None or self.parts:
            return self._problem
        return (
            f"{self.task.path} has no class of the layout {self.layout.name}: none has one of the "
            "usual names (CausalSelfAttention, MLP, Block, GPT, ...) or the layout's parameters"
        )

    @property
    def parts(self) -> list[str]:
        """The parts to judge: in a layout, the requested ones or those of the file."""
        if self.layout is None or not self.every_part or self.names is None:
            return self.wanted
        return [part for part in self.wanted if part in self.names]

    def leaves_out(self, part: str, claim: Claim) -> bool:
        """Whether a claim is not judged."""
        if self.layout is None:
            return bool(self.fixed) and part == WIDE_PART and claim.group == "initialisation"
        return bool(claim.together) or self.layout.not_judged(part, claim.name, claim.group)

    def was_judged(self, part: str, passed: bool, mistakes: Iterable[str]) -> None:
        """Store a part's named mistakes, or that it failed without a name."""
        if not passed:
            self._mistakes[part] = tuple(mistakes)

    def exercises(self, part: str, exercises: ExerciseSet) -> ExerciseSet | str:
        """The set to compare a part with, or the reason why it waits."""
        if self.layout is None:
            return exercises
        wrong = [inner for inner in INSIDE.get(part, ()) if inner in self._mistakes]
        unknown = [inner for inner in wrong if not self._mistakes[inner]]
        if unknown:
            return f"waits for {unknown[0]}, of which it is made"
        ids = tuple(one for inner in wrong for one in self._mistakes[inner])
        try:
            return variant_set(ids) if ids else exercises
        except UserError:
            return f"waits for {wrong[0]}, of which it is made"

    def with_mistake_inside(
        self, report: PartReport, part: str, judged: Sequence[JudgedClaim], seed: int
    ) -> PartReport:
        """The report with a mistake in an inner part that is not judged separately.

        For instance, a model with torch's embeddings has no embedding parts.
        """
        if self.layout is None or report.mistakes:
            return report
        ids = tuple(i for inner in INSIDE.get(part, ()) for i in self._mistakes.get(inner, ()))
        for inner in INSIDE.get(part, ()):
            found = None if inner in self.parts else explained_inside(inner, ids, judged, seed)
            if found is not None:
                text = f"Its {inner} {found.sentence}. This explains every result exactly."
                return replace(report, mistakes=(found.id,), naming=text)
        return report

    def remarks(self, passed: set[str], observer: Observer) -> list[str]:
        """Remarks on what was not judged; without a layout, a proposed one."""
        if self.layout is not None:
            return [*self._absent(), *self._with_mistakes(), *self.layout.all_remarks(self.parts)]
        found = []
        if self.fixed and WIDE_PART in self.parts:
            found.append(
                f"Not judged of {WIDE_PART}: {', '.join(self.fixed)}, which it fixes, "
                "and how its parameters are first drawn."
            )
        looks_foreign = _FOREIGN.search(self.task.source) is not None
        if looks_foreign and not set(MODULES) & set(self.parts) <= passed:
            found += self._proposal(observer)
        return found

    def _absent(self) -> list[str]:
        assert self.layout is not None
        absent = [part for part in self.wanted if part not in self.parts]
        return [f"Not in the file: {', '.join(absent)}."] if absent else []

    def _with_mistakes(self) -> list[str]:
        """The outer parts that were compared with a reference with named mistakes."""
        found = []
        for part in self.parts:
            wrong = [inner for inner in INSIDE.get(part, ()) if self._mistakes.get(inner)]
            if wrong:
                ids = ", ".join(one for inner in wrong for one in self._mistakes[inner])
                found.append(f"{part} is compared with the reference with {ids}.")
        return found

    def _proposal(self, observer: Observer) -> list[str]:
        proposed = observer.proposal()
        if proposed is None and _OWN not in self.task.source:
            return [
                f"Its classes are those of no built-in layout ({', '.join(LAYOUTS)}). A layout of "
                "its own takes one pattern for each tensor: gpt2_small.checker.layouts.adapted, "
                "described in docs/variants.md"
            ]
        if proposed is None:
            return []
        name, parts = proposed
        return [
            f"Its parameters are named as in the layout {name} ({', '.join(parts)}). "
            f"To check it so: gpt2-small check {self.task.path} --layout {name}"
        ]
