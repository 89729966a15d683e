"""Store the observations of a part, and compare them with those of wrong references."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from torch import Tensor

from gpt2_small.checker.claims import GROUPS
from gpt2_small.checker.claims.judging.runner import RAISED
from gpt2_small.checker.claims.observing.observation import alike
from gpt2_small.checker.claims.observing.parameters import ABSENT, INSTEAD
from gpt2_small.checker.exercise_set import ExerciseSet
from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit
from gpt2_small.checker.mistakes.matching.drawn_rows import draws_from_the_same, rows_apart
from gpt2_small.checker.mistakes.matching.dropout_evidence import DropoutEvidence
from gpt2_small.checker.mistakes.matching.trace_evidence import Evidence
from gpt2_small.checker.mistakes.matching.wrong_references import (
    Seen,
    explains_one,
    wrong_references,
)
from gpt2_small.checker.mistakes.mistake import Mistake, distinct
from gpt2_small.checker.sandbox.tracing import Trace

# Entries that are wrong if the function is, in any check.
_OF_THE_FUNCTION = ("the output", "the tokens", "the loss")


class ObservedPart:
    """A part's observations, and the mistakes found so far in its function.

    seen: observations by check. failed: the failed checks. known: the candidate mistakes.
    function: those that explain the function. is_whole: whether they explain it exactly.
    """

    def __init__(
        self,
        part: str,
        seen: Seen,
        failed: Sequence[str],
        seed: int,
        traces: Mapping[str, Trace],
        exercises: ExerciseSet,
    ) -> None:
        self.part, self.traces = part, traces
        self.wrong = wrong_references(part, seed, exercises)
        self.seen = {
            name: entries
            for name, entries in seen.items()
            if name in self.wrong.checks
            and (name in failed or not self.wrong.checks[name].optional)
        }
        self.failed = [name for name in failed if name in self.seen]
        self.known = distinct(exercises.what_can_be_named(part))
        self.evidence = Evidence(self.wrong, self.known, traces.get(""))
        self.dropouts = DropoutEvidence(self.wrong, traces.get(""))
        self.function: tuple[Mistake, ...] = ()
        self.is_whole = True

    def group_of(self, name: str) -> str:
        return self.wrong.checks[name].group

    def names_of(self, group: str) -> list[str]:
        names = [name for name in self.seen if self.group_of(name) == group]
        return names if self.is_whole else [name for name in names if not self.follows(name)]

    def failed_in(self, group: str) -> list[str]:
        return [name for name in self.failed if name in self.names_of(group)]

    @cached_property
    def tells_much(self) -> bool:
        """Whether no failed check of the function raised, or another one observed a tensor.

        One number or word beside an error is no evidence for a mistake.
        """
        failed = self.failed_in("function")
        seen = [self.seen[name] for name in failed if not self.raised(name)]
        return len(seen) in (0, len(failed)) or any(
            not isinstance(entry, (str, int, float))
            for entries in seen
            for entry in entries.values()
        )

    @cached_property
    def is_finite(self) -> bool:
        """Whether the file's outputs have no infinity and no NaN."""
        entries = [e for n in self.names_of("function") for e in self.seen[n].values()]
        return all(bool(e.isfinite().all()) for e in entries if isinstance(e, Tensor))

    def follows(self, name: str) -> bool:
        """Whether a check's failure may follow from a wrong, unexplained function."""
        return self.group_of(name) != "function" and any(
            entry.startswith(_OF_THE_FUNCTION) for entry in self.seen[name]
        )

    @property
    def is_open(self) -> bool:
        """Whether the function is wrong and not explained exactly."""
        return bool(self.failed_in("function")) and not (self.function and self.is_whole)

    @property
    def has_other_names(self) -> bool:
        """Whether parameters are missing, so that values could not be loaded."""
        missing = [name for name in self.failed_in("state") if "names and shapes" in name]
        return bool(missing)

    @property
    def takes_no_values(self) -> bool:
        """Whether the reference's values cannot be loaded into a parameter.

        It has another shape, or is a tensor that is not a parameter.
        """
        return any(
            parameter.endswith(INSTEAD) or shape != self.wrong.seen((), name).get(parameter, shape)
            for name in self.failed_in("state")
            if "names and shapes" in name
            for parameter, shape in self.seen[name].items()
        )

    def missing_parameters(self) -> set[str]:
        """The contract's parameters that the file lacks."""
        return {
            f"{name}: {parameter}"
            for name in self.failed_in("state")
            if "names and shapes" in name
            for parameter in self.wrong.seen((), name).keys() - self.seen[name].keys()
        }

    def renames_as(self, mistake: Mistake) -> bool:
        """Whether the file has the parameters that a mistake renames under other names."""
        missing = self.missing_parameters()
        renamed = {one for one in missing if not self._is_absent(one)}
        taken = {
            f"{name}: {parameter}"
            for name in self.failed_in("state")
            if "names and shapes" in name
            for parameter in self.wrong.seen((), name).keys()
            - self.wrong.seen((mistake,), name).keys()
        }
        return bool(taken) and taken <= renamed

    def _is_absent(self, missing: str) -> bool:
        """Whether no parameter of the file can stand for a missing one."""
        name, _, parameter = missing.rpartition(": ")
        return f"{parameter}{ABSENT}" in self.seen[name]

    @property
    def is_unjudged(self) -> bool:
        """Whether the file's outputs are unknown: it has other names, or raises."""
        failed = self.failed_in("function")
        return self.has_other_names or (bool(failed) and all(map(self.raised, failed)))

    def raised(self, name: str) -> bool:
        return RAISED in self.seen[name]

    def explains(self, mistakes: tuple[Mistake, ...], group: str) -> bool:
        """Whether a group's observations of these mistakes equal the file's.

        Checks that raised have no observation; if all failed checks raised, the mistakes must
        raise there too, first with the same error.
        """
        failed = self.failed_in(group)
        raised = [name for name in failed if self.raised(name)]
        try:
            if failed and len(raised) == len(failed):
                first = raised[0]
                if not alike(self.seen[first], self.wrong.seen(mistakes, first)) or any(
                    self.wrong.seen(mistakes, name).get(RAISED) != self.seen[name][RAISED]
                    for name in raised
                ):
                    return False
            numeric = [
                name
                for name in self.names_of(group)
                if not self.raised(name) and not self._is_remark(name)
            ]
            numeric.sort(key=lambda name: name not in failed)  # failed checks are tried first
            return all(self.fits(mistakes, name) for name in numeric)
        except EditDoesNotFit:
            return False

    def _is_remark(self, name: str) -> bool:
        """Whether a check can only make a remark, and observes no numbers of the function."""
        is_computed = any(isinstance(value, Tensor) for value in self.seen[name].values())
        return not (is_computed or self.wrong.checks[name].required or name in self.failed)

    def explains_one(self, mistakes: tuple[Mistake, ...], name: str) -> bool:
        """Whether one check's observations of these mistakes equal the file's."""
        try:
            return not self.raised(name) and self.fits(mistakes, name)
        except EditDoesNotFit:
            return False

    def fits(self, mistakes: tuple[Mistake, ...], name: str) -> bool:
        if self.group_of(name) == "taps":
            return alike(self.seen[name], self.wrong.seen(mistakes, name))
        if self.group_of(name) == "gradient" and not self.is_finite:
            return True  # equal functions may propagate NaN to different gradients
        if self.wrong.checks[name].is_drawn and name in self.failed and mistakes:
            if self.part == "sample":
                return self._draws_from_the_same(mistakes) and self.wrong.fails(mistakes, name)
            if not explains_one(self.wrong, self.function, self.seen, name):
                return self.wrong.fails(mistakes, name)
        return explains_one(self.wrong, mistakes, self.seen, name)

    def contradicts(self, mistakes: tuple[Mistake, ...]) -> bool:
        """Whether these mistakes fail a group of checks that the file passes."""
        passing = [g for g in GROUPS if not self.failed_in(g) and g not in ("dtypes", "taps")]
        return any(
            self.wrong.fails(mistakes, name)
            for group in passing
            for name in self.names_of(group)
            if self.wrong.checks[name].required
        )

    def left_over(self, mistakes: tuple[Mistake, ...]) -> int:
        """The number of failed groups that these mistakes do not explain."""
        groups = {self.group_of(name) for name in self.failed}
        return sum(not self.explains(mistakes, group) for group in groups)

    def _draws_from_the_same(self, mistakes: tuple[Mistake, ...]) -> bool:
        """Whether the file draws from the probabilities of these mistakes, in every row."""
        trace = self.traces.get("")
        return trace is not None and draws_from_the_same(trace, self.wrong.trace(mistakes))

    def draws_apart(self, mistakes: tuple[Mistake, ...]) -> float:
        """The share of rows with other probabilities than the file's."""
        trace = self.traces.get("")
        return 0.0 if trace is None else rows_apart(trace, self.wrong.trace(mistakes))
