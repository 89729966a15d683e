"""Render a plan: on a screen of 80 columns, and as JSON."""

import json
from dataclasses import asdict, fields
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gpt2_small.commands.screens.plan_figures import duration, rounded, scaled
from gpt2_small.data.prepare_options import in_bytes
from gpt2_small.errors import counted
from gpt2_small.planning import flops
from gpt2_small.planning.gpu_scaling import LINK_SHARE, WORTH_IT, StepTime
from gpt2_small.planning.planner import Plan

FORMAT = "gpt2-small-plan/1"

MOST_ROWS = 8
KINDS = {
    "weights": "float32",
    "gradients": "float32",
    "optimiser": "AdamW's two moments, float32",
    "buckets": "DistributedDataParallel's own gradients",
    "copies": "of the matrices in the products' dtype",
    "activations": "saved for the backward pass",
    "loss": "logits of a chunk, the unembedding's gradient",
}


def screen(plan: Plan, preset: str) -> RenderableType:
    """Format a plan as a table."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    for name, text in (
        ("model", model_line(plan)),
        ("arithmetic", arithmetic_line(plan)),
        ("tokens", tokens_line(plan)),
        ("step", step_line(plan)),
        ("memory", memory_table(plan)),
        ("", memory_line(plan)),
        ("disk", disk_line(plan)),
        ("time", time_line(plan)),
        ("traffic", traffic_line(plan)),
    ):
        facts.add_row(name, text)
    parts: list[RenderableType] = [title(plan, preset), "", facts]
    if plan.step is not None and plan.sequences > 1:
        parts += ["", scaling_table(plan), "", scaling_line(plan)]
    return Group(*parts)


def title(plan: Plan, preset: str) -> Text:
    run = plan.run
    machines = f"{run.nodes:,} x " if run.nodes > 1 else ""
    return Text(f"{preset} on {machines}{run.gpus:,} x {run.device.name}, {run.dtype}", "bold")


def model_line(plan: Plan) -> str:
    config = plan.run.config
    return f"{plan.parameters:,} parameters, windows of {config.n_ctx:,} tokens"


def arithmetic_line(plan: Plan) -> str:
    config = plan.run.config
    total, forward = flops.training_flops(config), flops.forward_flops(config)
    attention = flops.attention_flops(config) / forward
    return (
        f"{scaled(total, 'FLOPs')} a token: {scaled(forward, 'FLOPs')} forward, twice that "
        f"backward; attention is {attention:.0%} of it, counted without a mask, as in PaLM"
    )


def tokens_line(plan: Plan) -> str:
    optimal = f"{scaled(plan.optimal_tokens)} (20 a parameter, Chinchilla)"
    if plan.tokens == plan.optimal_tokens:
        return f"{optimal}, compute-optimal"
    times = plan.tokens / plan.optimal_tokens
    return f"{scaled(plan.tokens)}, {times:.3g} times the optimal {optimal}"


def step_line(plan: Plan) -> str:
    factors = (
        counted(plan.run.processes, *_noun(plan)),
        counted(plan.micro_steps, "micro-batch", "es"),
        counted(plan.micro_batch, "window"),
    )
    shares = " x ".join(factors)
    return f"{plan.batch_tokens:,} tokens: {shares}; {counted(plan.steps, 'step')} in all"


def memory_table(plan: Plan) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for field in fields(plan.memory):
        size = getattr(plan.memory, field.name)
        if size:
            table.add_row(field.name, in_bytes(size), KINDS[field.name])
    table.add_row("in all", in_bytes(plan.memory.total), f"in every {_noun(plan)[0]}", style="bold")
    return table


def memory_line(plan: Plan) -> Text:
    run = plan.run
    if run.usable_memory is None:
        return Text("Unknown: give --memory-gb.", style="yellow")
    owner = "this machine's" if run.on_cpu and run.memory_gb is None else "the"
    usable = in_bytes(run.usable_memory)
    usable += f": {owner} {in_bytes(run.memory or 0)} less {run.reserve:.0%}"
    if run.on_cpu and run.gpus > 1:
        usable += f", for each of {run.gpus}"
    if not plan.fits:
        way_out = "give fewer windows to --micro-batch" if plan.largest_micro_batch else "too large"
        return Text(f"Does not fit into {usable}; {way_out}.", style="bold red")
    return Text(f"At most {counted(plan.largest_micro_batch or 0, 'window')} fit into {usable}.")


def disk_line(plan: Plan) -> str:
    disk = plan.disk
    return (
        f"{in_bytes(disk.total)}: {disk.checkpoints} checkpoints of {in_bytes(disk.checkpoint)} "
        f"(the last {disk.kept}, the best, one being written)"
    )


def time_line(plan: Plan) -> Text:
    run = plan.run
    if plan.step is None or run.peak is None:
        others = "".join(f"--dtype {dtype} or " for dtype in run.device.peaks)
        return Text(
            f"left out: no data sheet gives the peak of {run.device.name} in {run.dtype}; "
            f"give {others}--peak-tflops",
            style="yellow",
        )
    seconds = plan.steps * plan.step.seconds
    hours = f"{rounded(seconds * run.processes / 3600)} {_noun(plan)[0]}-hours"
    source = f" ({run.device.source})" if run.peak_tflops is None else ""
    peak = f"{run.share_of_peak:.0%} of {run.peak / 1e12:,.4g} TFLOP/s{source}"
    return Text(f"{duration(seconds)}, {hours}, at {peak}")


def traffic_line(plan: Plan) -> str:
    run = plan.run
    if run.processes == 1:
        return "none: a single process exchanges no gradients"
    links = []
    if run.gpus > 1 and run.device.link_rate is not None:
        links.append(f"{run.device.link} of {run.device.link_rate / 1e9:,.3g} GB/s")
    if run.nodes > 1:
        links.append(f"{run.link_gbits:,.4g} Gbit/s between machines")
    over = f" over {' and '.join(links)}, at {LINK_SHARE:.0%} of it" if links else ""
    return f"{in_bytes(plan.exchanged_bytes)} that every {_noun(plan)[0]} sends in a step{over}"


def scaling_table(plan: Plan) -> Table:
    table = Table.grid(padding=(0, 2))
    names = ("".join(_noun(plan)), "ms a step", "waiting", "efficiency", "no overlap", "whole run")
    for _ in names:
        table.add_column(justify="right")
    table.add_row(*names, style="bold")
    for step in shown_steps(plan):
        planned = step.gpus == plan.run.processes
        table.add_row(
            f"{step.gpus:,}",
            f"{1000 * step.seconds:,.1f}",
            f"{1000 * step.waiting:,.1f}",
            f"{step.efficiency:.0%}",
            f"{step.efficiency_without_overlap:.0%}",
            duration(plan.steps * step.seconds),
            style="bold" if planned else None,
        )
    return table


def shown_steps(plan: Plan) -> list[StepTime]:
    """Rows for doublings, the run itself, and the first size that does not pay."""
    rows: list[StepTime] = []
    for factor in (2, 4, 8, 16):
        rows = []
        for step in plan.scaling:
            is_next = not rows or step.gpus >= factor * rows[-1].gpus
            if step.gpus == plan.run.processes or is_next:
                rows.append(step)
            if step.efficiency < WORTH_IT and step.gpus >= plan.run.processes:
                break
        if len(rows) <= MOST_ROWS:
            break
    return rows


def scaling_line(plan: Plan) -> str:
    most = plan.pays_up_to or 1
    up_to = f"DistributedDataParallel pays up to {counted(most, *_noun(plan))}"
    if most == plan.sequences:
        end = f"{up_to}, where each has one window of the batch."
    elif most == plan.scaling[-1].gpus:
        end = f"{up_to} at least."
    else:
        end = f"{up_to}: beyond, each waits longer than it computes."
    return f"With {plan.run.link_gbits:,.4g} Gbit/s between machines {end}"


def _noun(plan: Plan) -> tuple[str, str]:
    return ("process", "es") if plan.run.on_cpu else ("GPU", "s")


def as_json(plan: Plan, preset: str) -> str:
    """All values of the screen as JSON, in bytes, seconds and FLOPs."""
    run, config = plan.run, plan.run.config
    content: dict[str, Any] = {
        "format": FORMAT,
        "preset": preset,
        "device": run.device.name,
        "source": run.device.source,
        **{name: getattr(run, name) for name in ("gpus", "nodes", "dtype", "share_of_peak")},
        "peak_flops": run.peak,
        "link_gbits": run.link_gbits,
        "parameters": plan.parameters,
        "flops_per_token": {
            "forward": flops.forward_flops(config),
            "training": flops.training_flops(config),
            "training_causal": flops.training_flops(config, causal=True),
        },
        "tokens": plan.tokens,
        "optimal_tokens": plan.optimal_tokens,
        "batch_tokens": plan.batch_tokens,
        "steps": plan.steps,
        "micro_batch": plan.micro_batch,
        "micro_steps": plan.micro_steps,
        "largest_micro_batch": plan.largest_micro_batch,
        "memory": {**asdict(plan.memory), "total": plan.memory.total, "room": run.usable_memory},
        "fits": plan.fits,
        "disk": {**asdict(plan.disk), "total": plan.disk.total},
        "seconds": None if plan.step is None else plan.steps * plan.step.seconds,
        "gpu_hours": None
        if plan.step is None
        else plan.steps * plan.step.seconds * run.processes / 3600,
        "exchanged_bytes": plan.exchanged_bytes,
        "pays_up_to": plan.pays_up_to,
        "scaling": [{**asdict(step), "efficiency": step.efficiency} for step in plan.scaling],
    }
    return json.dumps(content, indent=1) + "\n"
