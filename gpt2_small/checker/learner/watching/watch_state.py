"""Track the state of a learner's file across saves, and report changes."""

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
    """A message for the learner.

    kind: `verdict`: a part was checked again; `finished`: a part passes for the first time;
        `whole`: all parts pass, also together; `error`: the file cannot be run; `gone`: it is
        missing; `hint`: a hint was requested.
    part: the part concerned.
    text: additional text.
    """

    kind: Literal["verdict", "finished", "whole", "error", "gone", "hint"]
    part: str = ""
    text: str = ""


class FileState:
    """The states of a learner's file's parts, its latest change, and new messages.

    shown_as: the file's path on the screen. focus: the part that the learner edits.
    complete: whether all parts pass, also together.
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
        self.shown_as = shown_as
        self._sha256 = ""
        self._results: dict[str, list[Result]] = {}
        self._reports: dict[str, PartReport] = {}
        self._before: dict[str, str] = {}
        self._failing: set[str] = set()

    def verdict(self) -> Verdict:
        """A verdict of all known results; unchecked parts wait."""
        results = [
            result
            for part in self.parts
            for result in self._results.get(part, [Result(part, "", "waiting", message=_UNKNOWN)])
        ]
        return Verdict(
            self.shown_as, self._sha256, results, self._reports, self.problem, self.parts
        )

    def done(self) -> list[str]:
        """The parts that pass."""
        verdict = self.verdict()
        return [part for part in self.parts if verdict.state_of(part) == "passed"]

    def is_known(self) -> bool:
        """Whether every part has been checked."""
        return all(part in self._results for part in self.parts)

    def saved(self, sha256: str, changed: Sequence[str]) -> None:
        """Record a save that changed these parts."""
        self._sha256 = sha256
        self.problem = self.hint = None
        self._failing.clear()
        if changed:
            self.complete = False
        if len(changed) < len(self.parts):
            self.focus = next(iter(changed), self.focus)

    def is_gone(self, now: Path | None) -> list[Notice]:
        """Record that the file is missing."""
        self.problem = f"{self.shown_as} is gone; waiting for it to come back"
        if now is not None:
            self.problem = (
                f"{self.shown_as} is called {now.name} now; name it back, or stop with q and "
                f"go on with gpt2-small watch {now.name}"
            )
        return [Notice("gone", text=self.problem)]

    def is_unreadable(self, problem: str) -> list[Notice]:
        """Record that the file is no Python text."""
        self.problem = problem
        return [Notice("error", text=problem)]

    def take_result(self, result: Result) -> list[Notice]:
        """Record the first failure of a part whose check is running."""
        part = result.component
        if result.status != "failed" or part != self.focus or part in self._failing:
            return []
        self._failing.add(part)
        self._results[part] = [result]
        self._reports[part] = PartReport(naming="Looking for the mistake ...")
        return []

    def take(self, verdict: Verdict) -> list[Notice]:
        """Record the verdict on some parts, or on all of them together."""
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
        """The message about a part after its verdict."""
        state = self.verdict().state_of(part)
        before, self._before[part] = self._before.get(part), state
        if state == "passed" and part not in self.progress.done:
            self.progress.done.append(part)
            self.keep()
        if state == "passed" and before not in (None, "passed"):
            return [Notice("finished", part)]
        return [Notice("verdict", part)]

    def keep(self) -> None:
        """Write the progress to disk."""
        self.kept = progress.write(self.path, self.progress)

    def next_part(self) -> str | None:
        """Move the focus to the next part that does not pass."""
        verdict = self.verdict()
        left = [part for part in self.parts if verdict.state_of(part) != "passed"]
        if left:
            here = self.parts.index(self.focus) if self.focus else -1
            self.focus = next((part for part in left if self.parts.index(part) > here), left[0])
        self.hint = None
        return self.focus

    def shown_part(self) -> str | None:
        """The part in focus, else the first that does not pass."""
        return self.focus or self.verdict().first_to_mend()

    def give_hint(self) -> list[Notice]:
        """The next hint for the shown part, or for the next one if that passes.

        None during the first check, because the part is not known yet.
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
