"""The one training loop: steps, evaluation and records, for one process or several."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gpt2_small.errors import UserError
from gpt2_small.model.fast import FastTransformer, stands_in_for
from gpt2_small.training.distributed import Processes
from gpt2_small.training.recipe import Recipe

Loss = Callable[[nn.Module, Tensor], Tensor]

EVALUATION_ROWS = 32


class TrainingData(Protocol):
    """Windows of n_ctx + 1 tokens. What a step trains on depends on the seed and the step alone."""

    def batch(self, *, seed: int, step: int, batch_size: int, rank: int, world_size: int) -> Tensor:
        """One process's share [batch seq+1] of the batch_size windows of a step."""

    def held_out(self, *, batch_size: int, rank: int, world_size: int) -> Iterator[Tensor]:
        """One process's share of the held-out windows, in batches [batch seq+1]."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One step of a run, as it stands in the log.

    step: counted from 1.
    tokens: targets so far, over all processes.
    loss: mean over all processes' targets, in nats, before the update.
    learning_rate, grad_norm: the rate of the step, and the gradient's norm before clipping.
    tokens_per_second: targets of the step over its time, evaluation left out.
    val_loss: mean loss on held-out windows, at the steps that end with an evaluation.
    """

    step: int
    tokens: int
    loss: float
    learning_rate: float
    grad_norm: float
    tokens_per_second: float
    val_loss: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The record as the log holds it; without val_loss where nothing was evaluated."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def trained_module(solution: ModuleType, model: nn.Module) -> tuple[nn.Module, Loss]:
    """What computes the model's loss on windows [batch seq+1]: the fast twin, or the file itself.

    The twin stands in for the reference while no hook is set; a learner's model runs as it is
    written. Both hold the model's own parameters.
    """
    if stands_in_for(model):
        return FastTransformer(model), lambda twin, batch: twin(batch)
    return model, lambda plain, batch: solution.next_token_loss(plain(batch[:, :-1]), batch)


@torch.no_grad()
def evaluate(
    solution: ModuleType, model: nn.Module, data: TrainingData, processes: Processes
) -> float:
    """Mean loss over all held-out targets, in nats, without dropout; the processes share the work.

    The model is left in the mode it was in.
    """
    was_training = model.training
    module, loss = trained_module(solution, model)
    module.eval()
    total, targets = 0.0, 0
    for batch in data.held_out(
        batch_size=EVALUATION_ROWS, rank=processes.rank, world_size=processes.world_size
    ):
        count = batch[:, 1:].numel()
        total += loss(module, batch.to(processes.device)).item() * count
        targets += count
    model.train(was_training)
    total, all_targets = processes.sum(total, targets)
    return total / all_targets


def run(
    solution: ModuleType,
    model: nn.Module,
    data: TrainingData,
    recipe: Recipe,
    processes: Processes,
) -> Iterator[RunRecord]:
    """Train a model with the solution's own functions, and yield a record after every step.

    The processes share every batch, and each holds the same weights after every step.

    Raises UserError when the batch cannot be shared equally, and when training diverges.
    """
    if recipe.batch_size % processes.world_size:
        raise UserError(
            f"--batch-size is {recipe.batch_size}, which {processes.world_size} processes cannot "
            f"share equally; give a multiple of {processes.world_size}"
        )
    optimizer = torch.optim.AdamW(
        solution.parameter_groups(model, weight_decay=recipe.weight_decay),
        lr=recipe.learning_rate,
        betas=(0.9, recipe.beta2),
        fused=True,
    )

    def steps() -> Iterator[list[Tensor]]:
        for step in range(recipe.max_steps):
            windows = data.batch(
                seed=recipe.seed,
                step=step,
                batch_size=recipe.batch_size,
                rank=processes.rank,
                world_size=processes.world_size,
            )
            yield [windows.to(processes.device)]

    def schedule(step: int) -> float:
        return solution.learning_rate(
            step,
            peak=recipe.learning_rate,
            warmup_steps=min(recipe.warmup_steps, recipe.max_steps),
            total_steps=recipe.max_steps,
            final_fraction=recipe.final_fraction,
        )

    module, loss = trained_module(solution, model)
    records = solution.train(
        processes.distribute(module),
        steps(),
        optimizer,
        schedule=schedule,
        max_grad_norm=recipe.max_grad_norm,
        **({} if module is model else {"loss": loss}),
    )
    tokens, started = 0, time.perf_counter()
    for record in _with_a_sentence(records):
        seconds = time.perf_counter() - started
        step_tokens = record.tokens * processes.world_size - tokens
        tokens += step_tokens
        evaluating = record.step % recipe.evaluate_every == 0 or record.step == recipe.max_steps
        yield RunRecord(
            step=record.step,
            tokens=tokens,
            loss=processes.mean(record.loss),
            learning_rate=record.learning_rate,
            grad_norm=record.grad_norm,
            tokens_per_second=step_tokens / seconds,
            val_loss=evaluate(solution, model, data, processes) if evaluating else None,
        )
        started = time.perf_counter()


def _with_a_sentence(records: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from records
    except FloatingPointError as error:
        raise UserError(f"training stopped: {error}") from error
