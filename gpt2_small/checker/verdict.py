"""Hold the results of a file's checks."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gpt2_small import __version__, notebooks
from gpt2_small.checker.parts import PARTS

Status = Literal["passed", "failed", "not_written", "waiting"]

ALL_HOLD, SOMETHING_WRONG, CANNOT_BE_USED = 0, 1, 2


@dataclass(frozen=True)
class Result:
    """What one check said.

    component: the part.
    check: the check's sentence.
    status: `failed`: it was run and does not hold; `not_written`: the part is missing or raises
        NotImplementedError; `waiting`: it could not be judged yet, and the message says for what
        it waits.
    mistake: id of the mistake that the part behaves like.
    message: empty when passed.
    seconds: how long it ran.
    line: of the learner's file.
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
    """What is said about a part beyond its checks.

    mistakes: ids of the mistakes that it behaves like, one or a pair; empty when none matches.
    naming: sentences about the match.
    printed: the beginning of what the part's code printed while it was checked.
    location: lines about where its results leave the reference's, the file's own lines among them.
    """

    mistakes: tuple[str, ...] = ()
    naming: str = ""
    printed: str = ""
    location: tuple[str, ...] = ()


@dataclass
class Verdict:
    """A file, its hash, and the results of its checks in learning order.

    all_parts: the parts of the exercise set that the file belongs to.
    source: the Python that was checked, which says in which cell of a notebook a line is.
    remarks: what was not judged, and the layout that the file seems to have.
    """

    solution: str
    sha256: str | None = None
    results: list[Result] = field(default_factory=list)
    reports: dict[str, PartReport] = field(default_factory=dict)
    error: str | None = None
    all_parts: tuple[str, ...] = PARTS
    source: bytes = field(default=b"", repr=False)
    remarks: list[str] = field(default_factory=list)

    def place(self, line: int) -> str:
        """A line in words: `line 14`, or `code cell 3, line 5`."""
        return notebooks.place(self.source, line)

    def counts(self) -> dict[str, int]:
        """How many checks passed, failed, are not written, are waiting."""
        found = Counter(result.status for result in self.results)
        return {status: found[status] for status in ("passed", "failed", "not_written", "waiting")}

    def parts(self) -> list[str]:
        """The parts that were checked, in learning order."""
        named = {result.component for result in self.results}
        return [part for part in self.all_parts if part in named]

    def of(self, part: str) -> list[Result]:
        """The results of a part."""
        return [result for result in self.results if result.component == part]

    def state_of(self, part: str) -> Status:
        """The state of a part: failed when any check failed, passed when all passed."""
        statuses = {result.status for result in self.of(part)}
        for status in ("failed", "not_written", "waiting", "passed"):
            if status in statuses:
                return status
        return "waiting"

    def reason(self, part: str) -> str:
        """Why a part does not hold: its mistake, or the first claim that does not; else empty."""
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
        """The first part that failed; when none did, the first that is not written or waits."""
        for wanted in ("failed", "not_written", "waiting"):
            for part in self.parts():
                if self.state_of(part) == wanted:
                    return part
        return None

    @property
    def exit_code(self) -> int:
        """0 all hold, 1 something is wrong or not written yet, 2 the file cannot be used."""
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
