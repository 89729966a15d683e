"""`gpt2-small grade`: check the files of a class."""

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gpt2_small.checker.grading.submissions import Grading, Submission


def grade(
    folder: Annotated[Path, typer.Argument(help="Holds a file, or a folder with one, a student.")],
    csv: Annotated[Path | None, typer.Option(help="Write a CSV file.", metavar="PATH")] = None,
    json: Annotated[Path | None, typer.Option(help="Write a JSON file.", metavar="PATH")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Repeat the grading that had this seed.", metavar="N", min=0)
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="That one file may take in all.", metavar="S", min=1)
    ] = 300,
    memory: Annotated[
        float, typer.Option(help="GiB that a part may take.", metavar="GIB", min=0.5)
    ] = 2,
    jobs: Annotated[int | None, typer.Option(help="Files at a time.", metavar="N", min=1)] = None,
) -> None:
    """Check a folder of files, one row a student, with time and memory limits.

    Inputs are drawn anew each time. This is no sandbox: the files run with your
    rights; grade strangers' files in a container, or on a machine of their own.

    Example: gpt2-small grade handed_in --csv grades.csv
    """
    from gpt2_small.checker import report_formats as reports
    from gpt2_small.checker.grading.submissions import Grading, submissions
    from gpt2_small.checker.sandbox.task import Limits

    for target in filter(None, [csv, json]):
        reports.writable(target)
    handed_in = submissions(folder)
    grading = Grading(
        seed=random.SystemRandom().randrange(2**31) if seed is None else seed,
        seconds=seconds,
        limits=Limits(memory=int(memory * (1 << 30))),
        jobs=jobs or _processors(),
    )
    try:
        _run(grading, handed_in)
    finally:
        _report(grading, len(handed_in), csv, json)


def _processors() -> int:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(count or 1, 8)


def _run(grading: "Grading", handed_in: "list[Submission]") -> None:
    """Grade, with a bar that says how far it is."""
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from gpt2_small.checker.learner.screen import console_for_learners

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console_for_learners(), transient=True) as bar:
        task = bar.add_task("grading", total=len(handed_in))
        grading.run(handed_in, lambda _: bar.advance(task))


def _report(grading: "Grading", expected: int, csv: Path | None, json: Path | None) -> None:
    """Show and write what has been found out, also when it was interrupted."""
    from gpt2_small.checker import report_formats as reports
    from gpt2_small.checker.grading import reports as grade_reports
    from gpt2_small.checker.learner.screen import console_for_learners

    console = console_for_learners()
    console.print(grade_reports.on_screen(grading))
    written = {csv: grade_reports.as_csv, json: grade_reports.as_json}
    for path, form in written.items():
        if path is not None:
            reports.write(path, form(grading))
            console.print(f"Written: {path}", markup=False)
    if len(grading.rows) < expected:
        console.print(f"Interrupted after {len(grading.rows)} of {expected}.", style="red")
    console.print(f"To repeat it with the same inputs: --seed {grading.seed}")
