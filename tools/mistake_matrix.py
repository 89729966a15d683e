"""Check every known mistake, and write the results into `docs/mistakes.md`.

python tools/mistake_matrix.py --out docs/mistakes.md
"""

import contextlib
import io
import multiprocessing
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated

import mistake_costs_page
import torch
import typer

from gpt2_small import binding
from gpt2_small.checker.claims import Claim, claims_of
from gpt2_small.checker.claims.judging.runner import RAISED, judge_each, judge_one, stand_in
from gpt2_small.checker.mistakes.edited_reference import build
from gpt2_small.checker.mistakes.lines.claim_lines import ClaimLines
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.mistakes.matching.naming import name_mistake
from gpt2_small.checker.mistakes.mistake import Mistake, catalogue
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.tracing import cases_of, record


@dataclass(frozen=True)
class Trial:
    """The checker's verdict on a wrong part.

    failed: names of the failed checks. named: ids of the mistakes named. text: the explanation.
    location: where the part first differs from the reference. raised_at: the line that raised.
    """

    part: str
    failed: tuple[str, ...]
    named: tuple[str, ...]
    text: str
    location: Location | None = None
    raised_at: int | None = None

    @property
    def line(self) -> int | None:
        """Return the line that the screen quotes."""
        return self.raised_at if self.location is None else self.location.differs

    @property
    def quoted(self) -> set[int | None]:
        """Return the wrong line, and, if it is in a helper, the part's line that calls it."""
        called = None if self.location is None else self.location.called
        return {self.line} if called is None else {self.line, called}


def alone(part: str) -> list[Claim]:
    """Return the checks of a part that need no other part of the file."""
    return [check for check in claims_of(part) if not check.together]


def first_rejection(module: ModuleType, part: str, seed: int = 0) -> str | None:
    """Return the first check of a part that rejects a module, or None."""
    with contextlib.redirect_stdout(io.StringIO()):
        for check in alone(part):
            if judge_one(check, module, seed).result.status != "passed":
                return check.name
    return None


def try_part(module: ModuleType, part: str, seed: int = 0, source: bytes = b"") -> Trial:
    """Run a part's checks, name its mistakes, and locate the wrong line in the source."""
    with contextlib.redirect_stdout(io.StringIO()):
        judged = list(judge_each(alone(part), module, seed))
        failed = [one.result.check for one in judged if one.result.status == "failed"]
        seen = {one.result.check: one.seen for one in judged if one.seen}
        if not failed:
            return Trial(part, (), (), "")
        traces = {case: record(module, part, seed, case) for case in cases_of(part)}
        naming = name_mistake(part, seen, failed, seed, traces)
        location = ClaimLines(part, seed, traces, source, failed=failed).first(judged)
        raised = (one.result.line for one in judged if RAISED in one.seen)
    named = tuple(m.id for m in naming.mistakes)
    return Trial(part, tuple(failed), named, naming.text, location, next(raised, None))


def with_reference(path: Path) -> tuple[ModuleType, list[str]]:
    """Return a file with its missing parts taken from the reference, and its own parts."""
    module = binding.load(path)
    own = [part for part in PARTS if hasattr(module, part)]
    stand_in(module, own)
    return module, own


def try_file(path: Path, seed: int = 0) -> list[Trial]:
    """Try every part that a file has."""
    _, own = with_reference(path)
    trials = []
    for part in own:
        module = binding.load(path)
        stand_in(module, [part])
        trials.append(try_part(module, part, seed, path.read_bytes()))
    return trials


def named_right(mistake: Mistake, trial: Trial) -> bool:
    """Whether a mistake is named by its own id, or by one that no check can distinguish from it."""
    return trial.named in ((mistake.id,), (mistake.same_as,))


def tried(mistakes: Iterable[Mistake], seed: int = 0) -> list[tuple[Mistake, Trial]]:
    return [(mistake, try_part(build(mistake), mistake.component, seed)) for mistake in mistakes]


def tried_part(part: str, seed: int) -> tuple[list[tuple[Mistake, Trial]], float]:
    """Try all mistakes of a part; return the trials and the seconds of one core."""
    torch.set_num_threads(1)
    before = sum(os.times()[:4])
    return tried(catalogue(part), seed), sum(os.times()[:4]) - before


def wrong_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.py"))


def page(matrix: Sequence[tuple[Mistake, Trial]], seconds: float) -> str:
    """Return the published page."""
    wrong = [(m, trial) for m, trial in matrix if not m.equivalent]
    right = [(m, trial) for m, trial in matrix if m.equivalent]
    lines = [
        "# Known mistakes",
        "",
        "Generated by `python tools/mistake_matrix.py`; a test compares it with the",
        "catalogue.",
        "Every mistake is an edit of the reference. It is *rejected* if a check of its own part",
        "fails, and *named* if the checker, which sees only its behaviour, names it first.",
        "",
        f"{_counted(wrong)} The measurement took {seconds:.0f} seconds of one core.",
        "",
        "| part | mistakes | rejected | named first | accepted as right |",
        "|---|---|---|---|---|",
        *(_row(part, wrong, right) for part in PARTS),
        "",
        *_confusions(wrong),
        *_FILES,
    ]
    for part in PARTS:
        lines += _catalogue(part, wrong, right)
    return mistake_costs_page.with_costs("\n".join(lines).rstrip() + "\n")


def _counted(wrong: Sequence[tuple[Mistake, Trial]]) -> str:
    different = sum(m.same_as is None for m, _ in wrong)
    rejected = sum(bool(trial.failed) for _, trial in wrong)
    named = sum(named_right(m, trial) for m, trial in wrong)
    return (
        f"There are {len(wrong)} mistakes, of which {different} behave differently: "
        f"{rejected} ({rejected / len(wrong):.1%}) are rejected, "
        f"{named} ({named / len(wrong):.1%}) named first."
    )


def _row(
    part: str, wrong: Sequence[tuple[Mistake, Trial]], right: Sequence[tuple[Mistake, Trial]]
) -> str:
    mine = [(m, trial) for m, trial in wrong if m.component == part]
    equivalent = [trial for m, trial in right if m.component == part]
    rejected = sum(bool(trial.failed) for _, trial in mine)
    named = sum(named_right(m, trial) for m, trial in mine)
    accepted = sum(not trial.failed for trial in equivalent)
    return f"| `{part}` | {len(mine)} | {rejected} | {named} | {accepted} of {len(equivalent)} |"


def _confusions(wrong: Sequence[tuple[Mistake, Trial]]) -> list[str]:
    found = [
        f"- `{m.id}` is called {', '.join(f'`{name}`' for name in trial.named) or 'nothing'}"
        for m, trial in wrong
        if not named_right(m, trial)
    ]
    return ["Not named right:", "", *found, ""] if found else []


_FILES = [
    "## Files written without the catalogue",
    "",
    "`tests/checker/wrong_files` has whole parts and whole models as learners write them, each",
    "with its own mistake, and a teacher's names and line for it. All of their wrong parts are",
    "rejected; `pytest -m slow tests/checker/mistakes/test_mistake_matrix.py` measures how many",
    "get the right names and line.",
    "",
]


def _catalogue(
    part: str, wrong: Sequence[tuple[Mistake, Trial]], right: Sequence[tuple[Mistake, Trial]]
) -> list[str]:
    lines = [f"## {part}", "", f"| id | your {part} ... | first check that rejects it |"]
    lines.append("|---|---|---|")
    for mistake, trial in wrong:
        if mistake.component == part:
            alike = f" (as `{mistake.same_as}`)" if mistake.same_as else ""
            first = trial.failed[0] if trial.failed else "none"
            lines.append(f"| `{mistake.id}` | {mistake.sentence}{alike} | {first} |")
    for mistake, trial in right:
        if mistake.component == part:
            failed_claim = trial.failed[0] if trial.failed else "none: it is right"
            lines.append(f"| `{mistake.id}` | {mistake.sentence} | {failed_claim} |")
    return [*lines, ""]


def main(
    out: Annotated[Path, typer.Option(help="Page to write.")],
    seed: Annotated[int, typer.Option(help="Seed for the checks' random inputs.")] = 0,
    jobs: Annotated[int, typer.Option(help="Number of processes.")] = 2,
    only_costs: Annotated[
        bool, typer.Option("--only-costs", help="Write only the costs into the page.")
    ] = False,
) -> None:
    """Try every known mistake, and write the results."""
    if only_costs:
        out.write_text(mistake_costs_page.with_costs(out.read_text("utf-8")), encoding="utf-8")
        typer.echo(f"Wrote {out}: the costs of mistakes.")
        return
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=jobs, mp_context=spawned) as pool:
        found = list(pool.map(tried_part, PARTS, [seed] * len(PARTS)))
    matrix = [pair for pairs, _ in found for pair in pairs]
    seconds = sum(taken for _, taken in found)
    out.write_text(page(matrix, seconds), encoding="utf-8")
    typer.echo(f"Wrote {out}: {len(matrix)} entries, {seconds:.0f} seconds of one core.")


if __name__ == "__main__":
    typer.run(main)
