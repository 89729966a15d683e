"""Print the progress of a text model: its loss, and its stories before and after."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from gpt2_small import binding
from gpt2_small.evaluation.choices import answer, read_questions
from gpt2_small.evaluation.target_leak import sees_targets, warning
from gpt2_small.stories import Judgement, Share
from gpt2_small.training.display.comparison_table import (
    above_floor,
    add_shares,
    comparison_table,
)
from gpt2_small.training.display.samples import judged
from gpt2_small.training.session import OpenRun
from gpt2_small.training.training_data import StoriesData

ROWS = {
    "parsed": "stories that parse",
    "agreed": "stories that also agree",
    "novel": "stories not in the training text",
}


@dataclass(frozen=True)
class TextStanding:
    """The model's scores at one time.

    loss: held-out, in nats per token.
    judgement: of stories that it generates; None for other texts.
    endings: share of stories whose right ending it ranks first; None for other texts.
    """

    loss: float
    judgement: Judgement | None
    endings: Share | None


def text_standing(run: OpenRun, console: Console, stories: int) -> TextStanding:
    loss, judgement, endings = run.training.evaluate(), None, None
    assert loss is not None  # no stop was requested
    if isinstance(run.data, StoriesData) and run.training.processes.is_main:
        console.print(f"Judging {stories:,} sampled stories ...", style="dim")
        judgement = judged(run.training, stories)
        endings = _right_endings(run, stories)
    return TextStanding(loss, judgement, endings)


def _right_endings(run: OpenRun, count: int) -> Share:
    """Return the share of questions whose right ending the model ranks above three wrong ones."""
    questions = read_questions(Path("stories"), count)
    result = answer(run.training.model, run.data.tokenizer, questions, "completion")
    return Share(round(result.acc * count), count)


def print_text_result(
    console: Console, lines: dict[str, float], before: TextStanding, after: TextStanding
) -> None:
    """Print the final table: before, after, and baselines."""
    losses = (before.loss, after.loss)
    table = comparison_table("held-out loss, nats per token", losses, lines)
    if before.judgement and after.judgement:
        table.add_section()
        for name, label in ROWS.items():
            shares = (getattr(standing.judgement, name) for standing in (before, after))
            add_shares(table, label, *shares)
    if before.endings and after.endings:
        add_shares(table, "right endings, of four", before.endings, after.endings)
    console.print(table)
    if "floor" not in lines:
        return
    if sees_targets(after.loss, lines["floor"]):
        console.print(warning(after.loss, lines["floor"], _check_command()))
    else:
        console.print(above_floor(after.loss, lines["floor"]))


def _check_command() -> str:
    """Return the command that checks the solution in use."""
    return f"gpt2-small check {shlex.quote(str(binding.solution_path(binding.bound())))}"
