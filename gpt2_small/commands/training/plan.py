"""Run `gpt2-small plan`: estimate a run's memory, time and disk space."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from gpt2_small.errors import UserError

MULTIPLES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
MOST_TOKENS = 10**18
DOES_NOT_FIT = 1


def plan(
    preset: Annotated[
        str, typer.Option(help="A model (gpt2 to gpt2-xl) or a preset of train.", metavar="NAME")
    ] = "gpt2",
    device: Annotated[
        str, typer.Option(help="h200, a100-80gb, rtx-4090, ...; cpu.", metavar="D")
    ] = "h200",
    gpus: Annotated[int, typer.Option(help="GPUs in a machine.", metavar="N")] = 1,
    nodes: Annotated[int, typer.Option(help="Machines.", metavar="N")] = 1,
    tokens: Annotated[
        str | None,
        typer.Option(help="Training tokens, e.g. 10B (default: 20 per parameter).", metavar="N"),
    ] = None,
    batch_tokens: Annotated[
        str | None, typer.Option(help="Tokens per step (default: about 0.5M).", metavar="N")
    ] = None,
    micro_batch: Annotated[
        int | None, typer.Option(help="Windows per GPU and pass (default: what fits).", metavar="N")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="float32, bfloat16 or float16 (default: the preset's).", metavar="T"),
    ] = None,
    share_of_peak: Annotated[
        float | None, typer.Option(help="Share of the peak reached (default: 0.4).", metavar="P")
    ] = None,
    link: Annotated[
        float | None, typer.Option(help="Gbit/s between machines (default: 400).", metavar="G")
    ] = None,
    peak_tflops: Annotated[
        float | None,
        typer.Option(help="Peak TFLOP/s of a device (default: its data sheet).", metavar="F"),
    ] = None,
    memory_gb: Annotated[
        float | None,
        typer.Option(help="Memory of a device in GB (default: its data sheet).", metavar="GB"),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the plan as JSON.", metavar="PATH")
    ] = None,
) -> None:
    """Estimate a run's memory, time and disk space, and how far more GPUs help.

    Nothing is trained, and no GPU is needed. Exit codes: 0 the run fits into
    memory, 1 it does not fit, 2 the input cannot be planned.

    Example: gpt2-small plan --preset gpt2 --device h200 --gpus 8 --nodes 4 --tokens 10B
    """
    from gpt2_small.checker import report_formats as reports
    from gpt2_small.checker.learner.verdict_screen import console_for_learners
    from gpt2_small.commands.options.plan_presets import planned_preset
    from gpt2_small.commands.screens.plan_screen import as_json, screen
    from gpt2_small.files.report_files import writable
    from gpt2_small.planning.device_peaks import find_in_table
    from gpt2_small.planning.planned_run import LINK_GBITS, SHARE_OF_PEAK, PlannedRun
    from gpt2_small.planning.planner import Plan

    writable(json=json)
    known = planned_preset(preset)
    planned = Plan(
        PlannedRun(
            config=known.config,
            device=find_in_table(device),
            gpus=gpus,
            nodes=nodes,
            dtype=dtype or known.dtype,
            tokens=known.tokens if tokens is None else amount("--tokens", tokens),
            batch_tokens=known.batch_tokens
            if batch_tokens is None
            else amount("--batch-tokens", batch_tokens),
            keep=known.keep,
            micro_batch=micro_batch,
            share_of_peak=SHARE_OF_PEAK if share_of_peak is None else share_of_peak,
            link_gbits=LINK_GBITS if link is None else link,
            peak_tflops=peak_tflops,
            memory_gb=memory_gb,
        )
    )
    console_for_learners().print(screen(planned, preset))
    if json is not None:
        reports.write(json, as_json(planned, preset))
    if not planned.fits:
        raise typer.Exit(DOES_NOT_FIT)


def amount(flag: str, text: str) -> int:
    """A whole number that may be written 524288, 524,288, 0.5M, 10B or 1e10.

    Raises UserError for anything else.
    """
    found = re.fullmatch(
        r"([+-]?[\d,_]*\.?\d*(?:e\+?\d{1,2})?)([KMBT]?)", text.strip(), re.IGNORECASE
    )
    try:
        number = (
            Decimal(re.sub("[,_]", "", found[1])) * MULTIPLES[found[2].upper()] if found else None
        )
    except ArithmeticError:
        number = None
    if number is None or number > MOST_TOKENS or number != int(number):
        raise UserError(f"{flag} is {text!r}; give a number of tokens, such as 524288, 300M or 10B")
    return int(number)
