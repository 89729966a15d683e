"""Write each mistake's cost in a training run into docs/mistakes.md."""

import re

from gpt2_small.checker.mistakes.costs import Cost, Costs, measured_costs, model_mistakes
from gpt2_small.checker.parts import MODULES

TITLE = "## The cost of a mistake"
BEFORE = "## Files written without the catalogue"
COLUMN = "loss above the floor"
_IN = {"tied": "", "untied": " (untied)", "dropout": " (with dropout)"}


def with_costs(text: str) -> str:
    """Return the page with its section on costs and column of costs replaced."""
    costs = measured_costs()
    if TITLE in text:
        text = text[: text.index(TITLE)] + text[text.index(BEFORE) :]
    head, tail = text.split(BEFORE)
    lines, part = [], ""
    for line in tail.split("\n"):
        part = line.removeprefix("## ") if line.startswith("## ") else part
        is_row = part in MODULES and line.startswith("|")
        lines.append(_with_cell(line, costs) if is_row else line)
    return f"{head}{section(costs)}{BEFORE}" + "\n".join(lines)


def _with_cell(line: str, costs: Costs) -> str:
    """Return a row of a part's table with its cost as the fourth cell."""
    if line.startswith("|---"):
        return "|---|---|---|---|"
    cells = line.strip("| ").split(" | ")[:3]
    name = re.fullmatch("`(.+)`", cells[0])
    cells.append(COLUMN if name is None else cell(costs.mistakes.get(name[1])))
    return f"| {' | '.join(cells)} |"


def cell(cost: Cost | None) -> str:
    """Format a cost."""
    if cost is None:
        return "not measured"
    if cost.error is not None:
        return f"does not train ({cost.error})"
    if cost.above_floor is None or cost.variation is None:
        return "as the right model"
    return f"{cost.above_floor:.1f} %{_IN[cost.variation]}"


def section(costs: Costs) -> str:
    """Describe how the costs were measured and their main result."""
    wrong = [mistake.id for mistake in model_mistakes() if not mistake.equivalent]
    found = [costs.mistakes[one] for one in wrong if one in costs.mistakes]
    trained = [cost for cost in found if cost.error is None]
    unseen = [cost for cost in trained if is_unseen(cost, costs)]
    number = "All" if len(found) == len(wrong) else f"{len(found)} of"
    ranges = {name: f"{min(v):.1f} to {max(v):.1f} %" for name, v in costs.right.items()}
    return f"""{TITLE}

For the model's parts the last column is the cost of the mistake in a training run: its held-out
loss after {costs.steps} steps of the preset `stories`, in percent above the stories' floor. `python
benchmarks/mistake_costs.py` measures it, with one seed. The right model ends {ranges["tied"]} above
the floor with five seeds. Mistakes that change no bit of this run are measured with an untied
unembedding (right model: {ranges["untied"]}) or with dropout 0.1 ({ranges["dropout"]}).

Most mistakes train. {number} {len(wrong)} were measured: {len(trained)} train, and {len(unseen)} of
these end no higher than a right model with another seed: the loss does not reveal them. A model
with a loss below the floor sees its targets.

"""


def is_unseen(cost: Cost, costs: Costs) -> bool:
    """Whether a correct model of another seed ends as high, so that the loss does not show it."""
    if cost.above_floor is None or cost.variation is None:
        return True
    return 0 <= cost.above_floor <= max(costs.right[cost.variation])
