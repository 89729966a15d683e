"""Track the state of a learner's file across saves, and tell what is new."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.learner import progress
from gpt2_small.checker.verdict import PartReport, Result, Verdict

_UNKNOWN = "it is being checked"


@dataclass(frozen=True)
class Notice:
    """Something to tell the learner.

    kind: `verdict`: a part was checked again; `finished`: a part holds now that did not before;
        `whole`: all parts hold, together too; `error`: the file cannot be run; `gone`: it is not
        there; `hint`: one was asked for.
    part: the part that it is about.
    text: what there is to say beside.
    """

    kind: Literal["verdict", "finished", "whole", "error", "gone", "hint"]
    part: str = ""
    text: str = ""


class Lesson:
    """A learner's file: the state of its parts, what was changed last, what is news.

    focus: the part that the learner works at.
    complete: all parts hold, also together.
    """

    def __init__(self, path: Path, shown_as: str, exercises: ExerciseSet = GPT2) -> None:
        self.path = path
        self.exercises = exercises
        self.parts = exercises.parts
        self.progress = progress.read(path, exercises)
        self.kept = True
        self.focus: str | None = None
        self.hint: progress.Hint | None = None
        self.complete = False
        self.problem: str | None = None
        self._shown_as = shown_as
        self._sha256 = ""
        self._results: dict[str, list[Result]] = {}
        self._reports: dict[str, PartReport] = {}
        self._before: dict[str, str] = {}
        self._failing: set[str] = set()

    def verdict(self) -> Verdict:
        """All that is known, parts that were not checked yet as waiting."""
        results = [
            result
            for part in self.parts
            for result in self._results.get(part, [Result(part, "", "waiting", message=_UNKNOWN)])
        ]
        return Verdict(
            self._shown_as, self._sha256, results, self._reports, self.problem, self.parts
        )

    def done(self) -> list[str]:
        """The parts that hold."""
        verdict = self.verdict()
        return [part for part in self.parts if verdict.state_of(part) == "passed"]

    def is_known(self) -> bool:
        """Whether every part has been checked."""
        return all(part in self._results for part in self.parts)

    def saved(self, sha256: str, changed: Sequence[str]) -> None:
        """The file has a new text, in which these parts differ."""
        self._sha256 = sha256
        self.problem = self.hint = None
        self._failing.clear()
        if changed:
            self.complete = False
        if len(changed) < len(self.parts):
            self.focus = next(iter(changed), self.focus)

    def is_gone(self, now: Path | None) -> list[Notice]:
        """The file is not there."""
        self.problem = f"{self._shown_as} is gone; waiting for it to come back"
        if now is not None:
            self.problem = (
                f"{self._shown_as} is called {now.name} now; name it back, or stop with q and "
                f"go on with gpt2-small watch {now.name}"
            )
        return [Notice("gone", text=self.problem)]

    def take_result(self, result: Result) -> list[Notice]:
        """The first wrong result of a part that is not all checked yet."""
        part = result.component
        if result.status != "failed" or part != self.focus or part in self._failing:
            return []
        self._failing.add(part)
        self._results[part] = [result]
        self._reports[part] = PartReport(naming="Looking for the mistake ...")
        return []

    def take(self, verdict: Verdict) -> list[Notice]:
        """The verdict on some parts, or on all of them together."""
        if verdict.sha256 != self._sha256:
            return []
        if verdict.error is not None:
            self.problem = verdict.error
            return [Notice("error", text=verdict.error)]
        events = []
        for part in verdict.parts():
            self._results[part] = verdict.of(part)
            self._reports[part] = verdict.reports.get(part, PartReport())
            events += self._told(part)
        whole = len(verdict.parts()) == len(self.parts)
        if whole and not self.complete and verdict.exit_code == 0:
            self.complete = True
            events.append(Notice("whole"))
        return events

    def _told(self, part: str) -> list[Notice]:
        """What is news about a part after its verdict."""
        state = self.verdict().state_of(part)
        before, self._before[part] = self._before.get(part), state
        if state == "passed" and part not in self.progress.done:
            self.progress.done.append(part)
            self.keep()
        if state == "passed" and before not in (None, "passed"):
            return [Notice("finished", part)]
        return [Notice("verdict", part)]

    def keep(self) -> None:
        """Keep the progress on disk."""
        self.kept = progress.write(self.path, self.progress)

    def next_part(self) -> str | None:
        """Set the focus on the next part that does not hold, after the one it is on."""
        verdict = self.verdict()
        left = [part for part in self.parts if verdict.state_of(part) != "passed"]
        if left:
            here = self.parts.index(self.focus) if self.focus else -1
            self.focus = next((part for part in left if self.parts.index(part) > here), left[0])
        self.hint = None
        return self.focus

    def shown_part(self) -> str | None:
        """The part to show: the one in focus, or else the first to mend."""
        return self.focus or self.verdict().first_to_mend()

    def give_hint(self) -> list[Notice]:
        """The next hint for the part shown, or for the next one where that holds.

        None while the file is checked for the first time: which part that is about is not known.
        """
        part = self.shown_part() if self.is_known() else self.focus
        if part is not None and self.verdict().state_of(part) == "passed":
            part = self.next_part()
        if part is None or self.complete:
            return []
        report = self._reports.get(part, PartReport())
        self.progress = progress.read(self.path, self.exercises)
        self.hint = progress.next_hint(self.progress, part, report.mistakes, self.exercises)
        self.keep()
        return [Notice("hint", part, self.hint.text)]
