"""Define the results of a file's checks."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gpt2_small import __version__, notebooks
from gpt2_small.checker.parts import PARTS

Status = Literal["passed", "failed", "not_written", "waiting"]

ALL_HOLD, SOMETHING_WRONG, CANNOT_BE_USED = 0, 1, 2


# Begins the message of a passed check that has something to say.
REMARK = "remark: "
# Begins the message of a part that is neither defined nor under another name in the file.
ABSENT = "the file has no"
STAND_INS = "judged with the reference's code for"


@dataclass(frozen=True)
class Result:
    """A check's result.

    component: the part.
    check: the claim's name.
    status: `failed`: the claim does not hold; `not_written`: the part is missing or raises
        NotImplementedError; `waiting`: it could not be judged yet, for the reason in the message.
    mistake: id of the mistake that explains it.
    message: empty if passed.
    seconds: its duration.
    line: the learner's file's line.
    """

    component: str
    check: str
    status: Status
    mistake: str | None = None
    message: str = ""
    seconds: float = 0.0
    line: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields that `check --json` writes."""
        fields = asdict(self)
        del fields["line"]
        return fields | {"seconds": round(self.seconds, 6)}


@dataclass(frozen=True)
class PartReport:
    """A part's report in addition to its checks.

    mistakes: ids of the mistakes that explain it, one or a pair; empty if none matches.
    naming: sentences about the match.
    printed: the end of its code's output during the check.
    location: lines about its first difference from the reference, with quoted source lines.
    """

    mistakes: tuple[str, ...] = ()
    naming: str = ""
    printed: str = ""
    location: tuple[str, ...] = ()


@dataclass(repr=False)
class Verdict:
    """A file, its hash, and the results of its checks in learning order.

    all_parts: the parts of the file's exercise set.
    source: the checked Python, with the cells of a notebook.
    remarks: on what was not judged, and on a proposed layout.
    accesses: what the file accessed while it ran, beyond what a model needs.
    """

    solution: str
    sha256: str | None = None
    results: list[Result] = field(default_factory=list)
    reports: dict[str, PartReport] = field(default_factory=dict)
    error: str | None = None
    all_parts: tuple[str, ...] = PARTS
    source: bytes = b""
    remarks: list[str] = field(default_factory=list)
    accesses: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        """One line, because a notebook shows the last value of a cell."""
        if self.error is not None:
            return f"<Verdict of {self.solution}: {self.error}>"
        parts, left = self.parts(), self.first_to_mend()
        done = sum(self.state_of(part) == "passed" for part in parts)
        next_part = "" if left is None else f"; next: {left}"
        return f"<Verdict of {self.solution}: {done} of {len(parts)} parts done{next_part}>"

    def place(self, line: int) -> str:
        """Format a line's place: `line 14`, or `code cell 3, line 5`."""
        return notebooks.place(self.source, line)

    def counts(self) -> dict[str, int]:
        """The number of checks by status."""
        found = Counter(result.status for result in self.results)
        return {status: found[status] for status in ("passed", "failed", "not_written", "waiting")}

    def parts(self) -> list[str]:
        """The checked parts in learning order."""
        named = {result.component for result in self.results}
        return [part for part in self.all_parts if part in named]

    def of(self, part: str) -> list[Result]:
        """The results of a part."""
        return [result for result in self.results if result.component == part]

    def state_of(self, part: str) -> Status:
        """The state of a part: failed if any check failed, passed if all passed."""
        statuses = {result.status for result in self.of(part)}
        for status in ("failed", "not_written", "waiting", "passed"):
            if status in statuses:
                return status
        return "waiting"

    def reason(self, part: str) -> str:
        """Why a part failed: its mistake, or the first failed claim; empty if it passed."""
        state, report = self.state_of(part), self.reports.get(part, PartReport())
        if state == "passed":
            return ""
        if state == "failed" and report.mistakes:
            return report.naming.split("\n")[0]
        first = [result for result in self.of(part) if result.status == state]
        if state == "not_written" and first:
            return first[0].message
        return f"{first[0].check}: {first[0].message}".removeprefix(": ") if first else ""

    def first_to_mend(self) -> str | None:
        """The first failed part; without one, the first that is not written or waits."""
        for wanted in ("failed", "not_written", "waiting"):
            for part in self.parts():
                if self.state_of(part) == wanted:
                    return part
        return None

    @property
    def exit_code(self) -> int:
        """0 if all passed, 1 if a part failed or is not written, 2 if the file cannot be run."""
        if self.error is not None:
            return CANNOT_BE_USED
        all_hold = self.results and all(result.status == "passed" for result in self.results)
        return ALL_HOLD if all_hold else SOMETHING_WRONG

    def as_json(self) -> dict[str, Any]:
        """The object that `check --json` writes."""
        return {
            "solution": self.solution,
            "sha256": self.sha256,
            "version": __version__,
            **self.counts(),
            "error": self.error,
            "results": [result.as_json() for result in self.results],
        }
