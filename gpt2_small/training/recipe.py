"""How a run trains: sizes, rates and lengths, as one value."""

import math
from dataclasses import dataclass, fields

from gpt2_small.errors import UserError

DTYPES = ("float32", "bfloat16")
AT_LEAST_ONE = (
    "max_steps",
    "batch_size",
    "micro_batch_size",
    "evaluate_every",
    "evaluation_tokens",
    "checkpoint_every",
    "keep",
)
ABOVE_ZERO = ("learning_rate", "max_grad_norm", "embedding_scale")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a training run needs to know besides its model and its data.

    max_steps: updates of the weights.
    batch_size: windows in a step, over all processes.
    micro_batch_size: windows that a process holds at once; left out, its whole share of a step.
    learning_rate: the highest rate of the schedule.
    warmup_steps: steps until that rate is reached.
    final_fraction: what part of that rate is left at the end.
    weight_decay: on matrices.
    beta1, beta2: decay of AdamW's first and second moment.
    max_grad_norm: gradients are clipped to this global norm.
    embedding_scale: what W_E is multiplied by before the first step.
    dtype: `bfloat16` computes products in it; weights and optimiser stay float32.
    compile: whether the model is compiled; left out, on CUDA and nowhere else.
    recompute: whether a block's activations are computed again instead of kept, by the fast twin.
    evaluate_every: steps between two evaluations on held-out text.
    evaluation_tokens: how much of the held-out text is used; left out, all of it.
    checkpoint_every: steps between two checkpoints.
    keep: how many of the latest checkpoints are kept, besides the best.
    seed: of the weights, the order of the data and dropout.

    Raises UserError, with the value and the way out.
    """

    max_steps: int
    batch_size: int
    learning_rate: float
    micro_batch_size: int | None = None
    warmup_steps: int = 100
    final_fraction: float = 0.1
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    max_grad_norm: float = 1.0
    embedding_scale: float = 1.0
    dtype: str = "float32"
    compile: bool | None = None
    recompute: bool = False
    evaluate_every: int = 100
    evaluation_tokens: int | None = None
    checkpoint_every: int = 100
    keep: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float):
                _check_number(field.name, value)
        if self.dtype not in DTYPES:
            raise UserError(f"--dtype is {self.dtype!r}; choose {' or '.join(DTYPES)}")

    def micro_batches(self, world_size: int) -> int:
        """How many micro-batches a process accumulates in a step.

        Raises UserError when the batch cannot be shared and cut equally.
        """
        share, left = divmod(self.batch_size, world_size)
        if left:
            raise UserError(
                f"--batch-size is {self.batch_size}, which {world_size} processes cannot share "
                f"equally; give a multiple of {world_size}"
            )
        size = self.micro_batch_size or share
        if share % size:
            raise UserError(
                f"--micro-batch-size is {size}, which does not divide the {share} windows that "
                "each process has in a step"
            )
        return share // size


def _check_number(name: str, value: float) -> None:
    flag = f"--{name.replace('_', '-')}"
    if name in AT_LEAST_ONE and value < 1:
        raise UserError(f"{flag} is {value}; give a whole number of at least 1")
    if not 0 <= value < math.inf:
        raise UserError(f"{flag} is {value}; give a number of at least 0")
    if name in ABOVE_ZERO and value == 0:
        raise UserError(f"{flag} is 0, with which nothing trains; give a number above 0")
    if name in ("beta1", "beta2") and value >= 1:
        raise UserError(f"{flag} is {value}; give a number from 0 up to, but not, 1")
    if name == "final_fraction" and value > 1:
        raise UserError(f"{flag} is {value}; give a number from 0 to 1")
