"""How a run trains: sizes, rates and lengths, as one value."""

import math
from dataclasses import dataclass, fields

from gpt2_small.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a training run needs to know besides its model and its data.

    max_steps: updates of the weights.
    batch_size: windows in a step, over all processes.
    learning_rate: the highest rate of the schedule.
    warmup_steps: steps until that rate is reached.
    final_fraction: what part of that rate is left at the end.
    weight_decay: on matrices.
    beta2: decay of AdamW's second moment.
    max_grad_norm: gradients are clipped to this global norm.
    evaluate_every: steps between two evaluations on held-out text.
    seed: of the weights, the order of the data and dropout.

    Raises UserError, with the value and the way out.
    """

    max_steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int = 100
    final_fraction: float = 0.1
    weight_decay: float = 0.1
    beta2: float = 0.99
    max_grad_norm: float = 1.0
    evaluate_every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        at_least_one = ("max_steps", "batch_size", "evaluate_every")
        for field in fields(self):
            value = getattr(self, field.name)
            flag = f"--{field.name.replace('_', '-')}"
            if field.name in at_least_one and value < 1:
                raise UserError(f"{flag} is {value}; give a whole number of at least 1")
            if not 0 <= value < math.inf:
                raise UserError(f"{flag} is {value}; give a number of at least 0")
        if self.learning_rate == 0:
            raise UserError("--learning-rate is 0, which trains nothing; give a number above 0")
