"""Print the progress of a chat model: its loss by turn, and its answers before and after."""

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from gpt2_small.stories.dialogues.dialogue_judge import DialogueJudgement
from gpt2_small.training.display.chat_samples import judged_dialogues, loss_by_turn
from gpt2_small.training.display.comparison_table import (
    above_floor,
    add_shares,
    comparison_table,
)
from gpt2_small.training.session import OpenRun

ROWS = {
    "ended": "turns that end",
    "parsed": "stories that parse",
    "as_asked": "right hero and thing",
    "agreed": "stories that also agree",
    "exact": "exact answers",
}


def print_loss_by_turn(run: OpenRun, console: Console) -> None:
    """Print the held-out loss of each of the assistant's turns."""
    if not run.training.processes.is_main:
        return
    table = Table(title="Held-out loss by turn", title_justify="left")
    for heading in ("the assistant's turn", "nats per target", "targets"):
        table.add_column(heading, justify="right")
    for turn, (loss, targets) in loss_by_turn(run.training).items():
        table.add_row(f"{turn}", f"{loss:.3f}", f"{targets:,}")
    console.print(table)


@dataclass(frozen=True)
class ChatStanding:
    """The quality of a chat model at one step: its held-out loss and its judged dialogues.

    judgement: of the main process alone.
    """

    loss: float
    judgement: DialogueJudgement | None


def chat_standing(run: OpenRun, console: Console, dialogues: int) -> ChatStanding:
    """Measure a chat model in training."""
    loss = run.training.evaluate()
    assert loss is not None  # it is never interrupted
    console.print(f"Judging {dialogues:,} dialogues ...", style="dim")
    is_main = run.training.processes.is_main
    return ChatStanding(loss, judged_dialogues(run.training, dialogues) if is_main else None)


def print_chat_result(
    console: Console, lines: dict[str, float], before: ChatStanding, after: ChatStanding
) -> None:
    """Print a table that compares the model before and after training with the floor."""
    if before.judgement is None or after.judgement is None:
        return
    losses = (before.loss, after.loss)
    table = comparison_table("held-out loss, nats per target", losses, lines)
    table.add_section()
    for name, label in ROWS.items():
        shares = (getattr(standing.judgement, name) for standing in (before, after))
        add_shares(table, label, *shares)
    console.print(table)
    console.print(above_floor(after.loss, lines["floor"]))
