"""Run `gpt2-small lm-eval`: run tasks of lm-evaluation-harness on a model."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gpt2_small.commands.options.chosen_model import described, open_chosen
from gpt2_small.commands.options.flags import Device, Solution
from gpt2_small.commands.options.solution_of_run import bind_solution_of
from gpt2_small.commands.screens.score_lines import counting, print_line, print_rows, with_error
from gpt2_small.errors import UserError
from gpt2_small.interrupts import loading

FORMAT = "gpt2-small-lm-eval/1"
SHARES = ("acc", "acc_norm", "exact_match")


def lm_eval(
    model: Annotated[
        str,
        typer.Argument(help="A run, Hugging Face folder or Hub name.", metavar="MODEL"),
    ],
    tasks: Annotated[
        str, typer.Option(help="Names, such as hellaswag,lambada_openai.", metavar="NAMES")
    ],
    include_path: Annotated[
        Path | None, typer.Option(help="Folder with your own task files.", metavar="FOLDER")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="First N examples of each task.", metavar="N", min=1)
    ] = None,
    num_fewshot: Annotated[
        int | None, typer.Option(help="Few-shot examples before each question.", metavar="N", min=0)
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the results as JSON.", metavar="PATH")
    ] = None,
    device: Device = None,
    solution: Solution = None,
) -> None:
    """Run tasks of lm-evaluation-harness (extra `eval`) on a model.

    Example: gpt2-small lm-eval gpt2 --tasks hellaswag --limit 100
    """
    names = [name.strip() for name in tasks.split(",") if name.strip()]
    if not names:
        raise UserError("--tasks names no task; give for example --tasks hellaswag")
    if include_path is not None and not include_path.is_dir():
        raise UserError(f"{include_path} is not a folder; give the folder with your task files")
    with loading():
        bind_solution_of(solution, model)
        harness = harness_module()
        from gpt2_small.files.report_files import writable

    writable(json=json_path)
    loaded, chosen_device = open_chosen(model, device)
    for line in (described(loaded.name, chosen_device), *loaded.remarks):
        print_line(line)
    with counting("continuations") as count:
        results = harness.run_tasks(
            harness.HarnessModel(loaded, progress=count),
            names,
            include_path=include_path,
            limit=limit,
            num_fewshot=num_fewshot,
        )
    for task, values in results["results"].items():
        print_line(f"{task}: {values['sample_len']:,} examples")
        print_rows(rows_of(values))
    if json_path is not None:
        from gpt2_small.files.atomic import write_atomically

        report = {
            "format": FORMAT,
            "model": model,
            "results": results["results"],
            "versions": results["versions"],
            "lm_eval": harness.version(),
        }
        write_atomically(json_path, json.dumps(report, indent=1, default=str) + "\n")
        print_line(f"Wrote {json_path}")


def harness_module() -> Any:
    """The module `evaluation.harness`. Raises UserError if lm-eval is not installed."""
    try:
        from gpt2_small.evaluation import harness
    except ImportError as error:
        if (error.name or "").split(".")[0] != "lm_eval":
            raise
        raise UserError(
            "lm-eval is not installed; install it with pip install 'gpt2-small[eval]'"
        ) from None
    return harness


def rows_of(values: dict[str, Any]) -> list[tuple[str, str]]:
    """A task's metrics as rows for the screen."""
    rows = []
    for key, value in values.items():
        name, _, kind = key.partition(",")
        if not kind or name.endswith("_stderr") or not isinstance(value, int | float):
            continue
        error = values.get(f"{name}_stderr,{kind}")
        error = float(error) if isinstance(error, int | float) else None
        shown = with_error(value, error) if name in SHARES else f"{value:.4f}"
        rows.append((name, shown))
    return rows or [("no metric", "")]
