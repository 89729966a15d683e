"""Build the table that compares a model before and after training."""

from rich.table import Table

from gpt2_small.stories import Share


def comparison_table(label: str, losses: tuple[float, float], lines: dict[str, float]) -> Table:
    """Build the table with the losses before and after, and the reference losses.

    label: the row of the losses. lines: reference losses by name.
    """
    table = Table(title="Before and after", title_justify="left")
    table.add_column("")
    for heading in ("before", "after", "95 % interval"):
        table.add_column(heading, justify="right")
    table.add_row(label, *(f"{loss:.3f}" for loss in losses))
    for name, value in lines.items():
        table.add_row(f"  {name}", "", f"{value:.3f}", style="dim")
    return table


def add_shares(table: Table, label: str, before: Share, after: Share) -> None:
    """Add a row with two shares, and the interval of the second."""
    low, high = after.interval
    table.add_row(label, f"{before.share:.1%}", f"{after.share:.1%}", f"{low:.1%} to {high:.1%}")


def above_floor(loss: float, floor: float) -> str:
    """Describe the distance of a loss to the floor. Both in nats."""
    return f"The loss is {loss / floor - 1:.1%} above the floor, which no model can beat."
