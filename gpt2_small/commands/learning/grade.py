"""Run `gpt2-small grade`: check the files of a class."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gpt2_small.checker.grading.grading import Grading
    from gpt2_small.checker.grading.submissions import Submission


MOST_JOBS = 8


def grade(
    folder: Annotated[Path, typer.Argument(help="Folder with one file or folder per student.")],
    csv: Annotated[Path | None, typer.Option(help="Write a CSV file.", metavar="PATH")] = None,
    json: Annotated[Path | None, typer.Option(help="Write a JSON file.", metavar="PATH")] = None,
    feedback: Annotated[
        Path | None,
        typer.Option(help="Write a Markdown file per student.", metavar="FOLDER"),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Plot mistakes by part (.png, .pdf, .svg).", metavar="PATH")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Repeat the grading with this seed.", metavar="N", min=0, max=2**32 - 1),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time limit per file.", metavar="S", min=1)] = 300,
    memory: Annotated[
        float, typer.Option(help="Memory limit per part.", metavar="GIB", min=0.5)
    ] = 2,
    jobs: Annotated[
        int | None,
        typer.Option(help="Files checked at a time (default: one per core).", metavar="N", min=1),
    ] = None,
) -> None:
    """Grade a folder of files, one row per student, with time and memory limits.

    Grades Python files and notebooks of GPT-2 or of a lesson. Ungraded submissions
    are listed with the reason. All files are read before any runs. Inputs are
    random each time. This is not a sandbox: files run with your rights; grade
    untrusted files in a container. The exit code is 1 if a file changed or
    disappeared during grading.

    Example: gpt2-small grade handed_in --csv grades.csv --feedback feedback
    """
    from gpt2_small.checker.grading import feedback as feedback_files
    from gpt2_small.checker.grading import heat_map
    from gpt2_small.checker.grading.grading import Grading
    from gpt2_small.checker.grading.submissions import submissions
    from gpt2_small.checker.sandbox.task import Limits
    from gpt2_small.data.prepare_options import usable_cores
    from gpt2_small.files.report_files import writable

    writable(csv=csv, json=json, picture=picture)
    if picture is not None:
        heat_map.writable(picture)
    submitted = submissions(folder)
    if feedback is not None:
        feedback_files.check_folder(feedback, folder, submitted)
    grading = Grading(
        seed=random.SystemRandom().randrange(2**31) if seed is None else seed,
        seconds=seconds,
        limits=Limits(memory=int(memory * (1 << 30))),
        jobs=jobs or min(usable_cores(), MOST_JOBS),
    )
    try:
        _run(grading, submitted)
    finally:
        _report(grading, len(submitted), csv, json)
        _write_feedback(grading, feedback, picture)
    if grading.alarms:
        raise typer.Exit(1)


def _run(grading: "Grading", submitted: "list[Submission]") -> None:
    """Grade with a progress bar."""
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from gpt2_small.checker.learner.verdict_screen import console_for_learners
    from gpt2_small.checker.sandbox.limits import close_to_others

    close_to_others()
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console_for_learners(), transient=True) as bar:
        task = bar.add_task("grading", total=len(submitted))
        grading.run(submitted, lambda _: bar.advance(task))


def _report(grading: "Grading", expected: int, csv: Path | None, json: Path | None) -> None:
    """Print and write the results, also after an interruption."""
    from gpt2_small.checker import report_formats as reports
    from gpt2_small.checker.grading import class_screen
    from gpt2_small.checker.grading import reports as grade_reports
    from gpt2_small.checker.learner.verdict_screen import console_for_learners

    console = console_for_learners()
    console.print(class_screen.on_screen(grading))
    written = {csv: grade_reports.as_csv, json: grade_reports.as_json}
    for path, form in written.items():
        if path is not None:
            reports.write(path, form(grading))
            console.print(f"Wrote {path}", markup=False)
    if len(grading.rows) < expected:
        console.print(f"Interrupted after {len(grading.rows)} of {expected}.", style="red")
    console.print(f"To repeat with the same inputs: --seed {grading.seed}")


def _write_feedback(grading: "Grading", feedback: Path | None, picture: Path | None) -> None:
    """Write the students' feedback and the plot of the class."""
    from gpt2_small.checker.grading import feedback as feedback_files
    from gpt2_small.checker.grading import heat_map

    if picture is not None:
        heat_map.write(picture, grading.rows)
        typer.echo(f"Wrote {picture}")
    if feedback is not None:
        feedback_files.write(feedback, grading.rows)
        typer.echo(f"Wrote {feedback}: {len(grading.rows)} files of feedback")
