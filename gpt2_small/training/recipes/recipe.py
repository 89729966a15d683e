"""Define the recipe of a run: its sizes, rates and lengths."""

import math
import types
import typing
from dataclasses import dataclass, fields, replace
from typing import Any

from gpt2_small.errors import UserError

DTYPES = ("float32", "bfloat16", "float16")
SCHEDULES = ("cosine", "constant")
ORDERS = ("random", "epochs")
CHOICES = {"dtype": DTYPES, "schedule": SCHEDULES, "order": ORDERS}
AT_LEAST_ONE = (
    "max_steps",
    "batch_size",
    "micro_batch_size",
    "epochs",
    "schedule_steps",
    "evaluate_every",
    "evaluation_tokens",
    "checkpoint_every",
    "keep",
    "choices_every",
    "choices_limit",
)
ABOVE_ZERO = ("learning_rate", "max_grad_norm", "embedding_scale")
# Fields with a flag of their own; `--set` sets the others.
WITH_A_FLAG = (
    "data",
    "column",
    "init_from",
    "max_steps",
    "batch_size",
    "micro_batch_size",
    "learning_rate",
    "dtype",
    "seed",
)
WARMUP_SHARE = 0.03
LARGEST_SEED = 2**64 - 1
LARGEST_NUMBER = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of a training run besides its model and its data.

    max_steps: updates of the weights.
    batch_size: windows in a step, over all processes.
    micro_batch_size: windows in one forward pass of a process; left out, as many as fit in the
        device's memory.
    learning_rate: the highest rate of the schedule.
    warmup_steps: steps until that rate is reached.
    epochs: passes over conversations, which determine max_steps, warmup_steps and checkpoint_every;
        left out, those apply as given.
    schedule: `cosine`, or `constant` with a linear decay at the end.
    schedule_steps: length of the schedule; left out, max_steps. Later steps have its last rate.
    decay_steps: length of a constant schedule's decay; left out, a fifth of the schedule.
    final_fraction: the last rate as a fraction of the highest.
    weight_decay: on matrices.
    beta1, beta2: decay of AdamW's first and second moment.
    max_grad_norm: gradients are clipped to this global norm.
    skip_spikes: skip the update of a step whose gradient norm exceeds this multiple of the median
        of the last hundred; left out, none is skipped.
    embedding_scale: factor of W_E before the first step.
    order: of the training windows: `random` draws with replacement, `epochs` takes each window once
        per epoch.
    dtype: of the products, by autocast; weights and optimiser stay float32. float16 scales the
        loss.
    compile: whether the model is compiled; left out, on CUDA alone.
    recompute: whether the fast twin recomputes activations instead of saving them.
    evaluate_every: steps between two evaluations on held-out text.
    evaluation_tokens: the number of held-out tokens to evaluate on; left out, all of them.
    choices: a file of multiple-choice questions in HellaSwag's format to answer at evaluations, or
        `stories`, or `hellaswag`; left out, none.
    choices_every: steps between two evaluations with the questions; left out, evaluate_every.
    choices_limit: the number of questions to answer; left out, all.
    checkpoint_every: steps between two checkpoints.
    keep: the number of latest checkpoints to keep, besides the best.
    seed: of the weights, the order of the data and dropout.

    Raises UserError, with the field and its value, for an invalid value.
    """

    max_steps: int
    batch_size: int
    learning_rate: float
    micro_batch_size: int | None = None
    epochs: int | None = None
    warmup_steps: int = 100
    schedule: str = "cosine"
    schedule_steps: int | None = None
    decay_steps: int | None = None
    final_fraction: float = 0.1
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    max_grad_norm: float = 1.0
    skip_spikes: float | None = None
    embedding_scale: float = 1.0
    order: str = "random"
    dtype: str = "float32"
    compile: bool | None = None
    recompute: bool = False
    evaluate_every: int = 100
    evaluation_tokens: int | None = None
    choices: str | None = None
    choices_every: int | None = None
    choices_limit: int | None = 1000
    checkpoint_every: int = 100
    keep: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(Recipe)
        for field in fields(self):
            value = getattr(self, field.name)
            _check_type(field.name, value, hints[field.name])
            if not isinstance(value, bool) and isinstance(value, int | float):
                _check_number(field.name, value)
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise UserError(f"{flag_of(name)} is {value!r}; choose {_or(choices)}")

    @property
    def total_steps(self) -> int:
        """The length of the schedule in steps."""
        return self.schedule_steps or self.max_steps

    def micro_batches(self, world_size: int) -> int:
        """The number of micro-batches that a process accumulates in a step.

        Raises UserError when the batch cannot be divided equally.
        """
        share = self.share(world_size)
        size = self.micro_batch_size or share
        if share % size:
            raise UserError(
                f"--micro-batch-size is {size}, which does not divide the {share} windows that "
                "each process has in a step"
            )
        return share // size

    def share(self, world_size: int) -> int:
        """Windows of a step for each process. Raises UserError for an unequal division."""
        share, left = divmod(self.batch_size, world_size)
        if left:
            raise UserError(
                f"--batch-size is {self.batch_size}, which {world_size} processes cannot share "
                f"equally; give a multiple of {world_size}"
            )
        return share


def flag_of(name: str) -> str:
    """The flag of `gpt2-small train` that sets a field."""
    return f"--{name.replace('_', '-')}" if name in WITH_A_FLAG else f"--set {name}"


def _or(choices: tuple[str, ...]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _check_type(name: str, value: Any, hint: Any) -> None:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    is_whole_for_float = float in kinds and type(value) is int
    if type(value) not in kinds and not is_whole_for_float:
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a name"}
        expected = next(word for kind, word in words.items() if kind in kinds)
        raise UserError(f"{flag_of(name)} is {value!r}; give {expected}")


def _check_number(name: str, value: float) -> None:
    flag = flag_of(name)
    if name in AT_LEAST_ONE and value < 1:
        raise UserError(f"{flag} is {value}; give a whole number of at least 1")
    if not 0 <= value < math.inf:
        raise UserError(f"{flag} is {value}; give a number of at least 0")
    largest = LARGEST_SEED if name == "seed" else LARGEST_NUMBER
    if isinstance(value, int) and value > largest:
        raise UserError(f"{flag} is {value}; give a whole number of at most {largest}")
    if name in ABOVE_ZERO and value == 0:
        raise UserError(f"{flag} is 0, which disables training; give a number above 0")
    if name in ("beta1", "beta2") and value >= 1:
        raise UserError(f"{flag} is {value}; give a number in [0, 1)")
    if name == "final_fraction" and value > 1:
        raise UserError(f"{flag} is {value}; give a number from 0 to 1")
    if name == "skip_spikes" and value <= 1:
        raise UserError(f"{flag} is {value}; give a number above 1, such as 10")


def in_steps(recipe: Recipe, conversations: int, max_steps: int | None = None) -> Recipe:
    """Convert a recipe's epochs to steps, with a checkpoint each epoch and 3 % of warm-up.

    max_steps: given by the user, in place of the epochs.
    """
    assert recipe.epochs is not None
    epoch = math.ceil(conversations / recipe.batch_size)
    steps = max_steps or math.ceil(recipe.epochs * conversations / recipe.batch_size)
    return replace(
        recipe,
        max_steps=steps,
        warmup_steps=max(1, round(WARMUP_SHARE * steps)),
        evaluate_every=epoch,
        checkpoint_every=epoch,
    )
