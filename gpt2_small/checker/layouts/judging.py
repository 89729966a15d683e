"""Decide which parts of a file in a layout are judged, against what, and what is said beside.

The parts of such a file are its own, all at once: a block is made of the file's attention, and a
model of its blocks. So a block or model is compared with the reference that has the mistakes which
were named in its parts, and a mistake costs its own part alone.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.judging.runner import Judged
from gpt2_small.checker.exercise_set import ExerciseSet
from gpt2_small.checker.layouts.built_in import LAYOUTS, find_layout
from gpt2_small.checker.layouts.fixed_d_mlp import WIDE_PART, fixed_fields
from gpt2_small.checker.layouts.inner_mistakes import explained_inside
from gpt2_small.checker.layouts.layout import INSIDE
from gpt2_small.checker.parts import MODULES
from gpt2_small.checker.sandbox.observing import Observer
from gpt2_small.checker.sandbox.task import Task
from gpt2_small.checker.variants import variant_set
from gpt2_small.checker.verdict import PartReport
from gpt2_small.errors import UserError

# What a file in another layout has in its text; others are not looked at for one.
_FOREIGN = re.compile(
    rb"nn\.Linear|nn\.Embedding|Conv1D|c_attn|import GPT2|GPT2LMHeadModel|class (Demo|Attention\b)"
)

# What a file with the contract's own classes has in its text.
_OWN = b"TransformerConfig"


class LayoutRequest:
    """What the layout of a file, and what it fixes, change in how it is checked.

    Without a layout nothing, but for what FIXED says.
    """

    def __init__(self, task: Task, parts: list[str], every_part: bool) -> None:
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
            pass  # the file cannot be run, which is told when it is tried

    def error(self, names: frozenset[str]) -> str | None:
        """Why the file cannot be checked so.

        names: of the parts that it has in the layout, among others.
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
        """The parts to judge: in a layout those that the file has, unless some were named."""
        if self.layout is None or not self.every_part or self.names is None:
            return self.wanted
        return [part for part in self.wanted if part in self.names]

    def leaves_out(self, part: str, claim: Claim) -> bool:
        """Whether a claim is not judged."""
        if self.layout is None:
            return bool(self.fixed) and part == WIDE_PART and claim.group == "initialisation"
        return bool(claim.together) or self.layout.not_judged(part, claim.name, claim.group)

    def was_judged(self, part: str, passed: bool, mistakes: Iterable[str]) -> None:
        """Remember what is wrong in a part; it is not known where it fails without a name."""
        if not passed:
            self._mistakes[part] = tuple(mistakes)

    def exercises(self, part: str, exercises: ExerciseSet) -> ExerciseSet | str:
        """The set that a part is compared with, or for what it waits."""
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
        self, report: PartReport, part: str, judged: Sequence[Judged], seed: int
    ) -> PartReport:
        """The report with the mistake of an inner part that is not judged by itself.

        A model's embeddings, for instance, are no parts of their own where torch's are used.
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
        """What was not judged; without a layout, the one that the file seems to have."""
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
        """The whole parts that were compared with a reference that has a named mistake."""
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
