"""Run `gpt2-small check`: check a file's parts, and name the mistakes."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpt2_small import binding
from gpt2_small.commands.options.learner_options import DEFAULT, file_in_use
from gpt2_small.errors import UserError, printable, shell_word

if TYPE_CHECKING:
    from gpt2_small.checker.verdict import Verdict


def check(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The file with your GPT-2 (default: the one in use, or my_gpt2.py).",
            metavar="FILE",
        ),
    ] = None,
    component: Annotated[
        list[str] | None,
        typer.Option(help="Check this part only, such as LayerNorm; repeatable.", metavar="NAME"),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the results as JSON.", metavar="PATH")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write the results as JUnit XML.", metavar="PATH")
    ] = None,
    gradescope: Annotated[
        Path | None, typer.Option(help="Write Gradescope's results.json.", metavar="PATH")
    ] = None,
    as_: Annotated[
        str | None,
        typer.Option(
            "--as", help="Compare with the reference with these edits.", metavar="ID[,ID...]"
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="The parameters' layout, if not the reference's.",
            metavar="NAME",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed for the checks' random inputs.", min=0, max=2**32 - 1)
    ] = 0,
) -> None:
    """Check your GPT-2 part by part, and name the first mistake.

    Every part is judged with the reference in place of the others. Limits: 10
    seconds of CPU time per check (two processes: 20), 2 GiB of memory per part.
    Exit codes: 0 all parts hold, 1 a part is wrong or not written yet, 2 the file
    cannot be run. Layouts: nanogpt, hugging-face, early-hugging-face, linear,
    llms-from-scratch, arena.

    Example: gpt2-small check my_gpt2.py --component LayerNorm
    """
    from gpt2_small.checker import report_formats as reports
    from gpt2_small.checker.verdict import Verdict
    from gpt2_small.files.report_files import writable

    refuse_parts_as_files(file, context.args)
    path = file or default_file()
    wanted = {"json": json, "junit": junit, "gradescope": gradescope}
    targets = {name: target for name, target in wanted.items() if target is not None}
    writable(**targets)
    try:
        verdict = run_checks(path, component or None, seed, named_edits(as_), layout)
    except UserError as error:
        verdict = Verdict(str(path), error=str(error))
    if file is None and verdict.error is None and path == binding.reference_path():
        typer.echo("This is the reference. To check a file of yours: gpt2-small check FILE")
    for name, target in targets.items():
        reports.write(target, reports.FORMATS[name](verdict))
    if gradescope is not None:
        _tell_the_instructor(verdict)
    if verdict.error is not None:
        raise UserError(verdict.error)
    raise typer.Exit(verdict.exit_code)


def refuse_parts_as_files(file: Path | None, others: list[str]) -> None:
    """Raise UserError, with `--component`, for a part where a file belongs, or after it."""
    names = {part.lower(): part for part in binding.PARTS}
    if file is not None and str(file).lower() in names and not file.exists():
        others = [names[str(file).lower()], *others]
    if others:
        named = " ".join(f"--component {shell_word(part)}" for part in others)
        raise UserError(f"check takes one file; for one part of it, give {named}")


def default_file() -> Path:
    """The file in use; in place of the reference ./my_gpt2.py, where there is one."""
    path = file_in_use()
    return DEFAULT if path == binding.reference_path() and DEFAULT.is_file() else path


def _tell_the_instructor(verdict: "Verdict") -> None:
    """Print `grade`'s remarks: Gradescope shows the output to instructors alone."""
    from gpt2_small.checker import exercise_sets
    from gpt2_small.checker.grading import originality

    done = [part for part in verdict.parts() if verdict.state_of(part) == "passed"]
    exercises = exercise_sets.of_source(verdict.source)
    for remark in originality.remarks_on(verdict.source, done, exercises, verdict.accesses):
        typer.echo(f"For the instructor: {printable(remark)}")


def named_edits(text: str | None) -> tuple[str, ...]:
    """The ids of `--as`. Raises UserError if there are none."""
    ids = tuple(one.strip() for one in (text or "").split(",") if one.strip())
    if text is not None and not ids:
        raise UserError("--as names no edit; give ids, such as --as block-post-norm,mlp-relu")
    return ids


def run_checks(
    path: Path,
    parts: list[str] | None,
    seed: int,
    variant: tuple[str, ...] = (),
    layout: str | None = None,
) -> "Verdict":
    """Check a file with a progress line, and print the verdict."""
    from gpt2_small.checker.learner import verdict_screen
    from gpt2_small.checker.learner.status_line import status_line
    from gpt2_small.checker.sandbox.client import Checker
    from gpt2_small.checker.sandbox.limits import close_to_others

    close_to_others()
    console = verdict_screen.console_for_learners()
    with ExitStack() as stack:
        checker = stack.enter_context(Checker())
        say = stack.enter_context(status_line(console))
        verdict = checker.check(
            path,
            parts,
            seed=seed,
            variant=variant,
            layout=layout,
            on_result=lambda result: say(f"checking {result.component}"),
        )
    if verdict.error is None:
        console.print(verdict_screen.whole(verdict))
        for remark in verdict.remarks:
            console.print(remark, markup=False)
    return verdict
