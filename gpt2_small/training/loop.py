"""The one training loop: steps, evaluation and records, for one process or several."""

import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gpt2_small.errors import UserError
from gpt2_small.model.eligibility import stands_in_for
from gpt2_small.model.twin import FastTransformer
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.training.distributed import Processes
from gpt2_small.training.recipe import Recipe

Loss = Callable[[nn.Module, Tensor], Tensor]

EVALUATION_ROWS = 32


class TrainingData(Protocol):
    """Windows of n_ctx + 1 tokens. What a step trains on depends on the seed and the step alone."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back."""

    @property
    def start_token(self) -> int:
        """What a sample begins after."""

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


class InLowPrecision(nn.Module):
    """A learner's model whose products are computed in another dtype; its logits are float32."""

    def __init__(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.device, self.dtype = model, device, dtype

    def forward(self, tokens: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self.dtype):
            return self.model(tokens).float()


def trained_module(
    solution: ModuleType,
    model: nn.Module,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    *,
    recompute: bool = False,
) -> tuple[nn.Module, Loss]:
    """What computes the model's loss on windows [batch seq+1]: the fast twin, or the file itself.

    The twin stands in for the reference while no hook is set; a learner's model runs as it is
    written. Both hold the model's own parameters.

    dtype: of products.
    recompute: as for the twin; a file runs as it is.
    """
    low = dtype != torch.float32
    if stands_in_for(model):

        def twin_loss(twin: nn.Module, batch: Tensor) -> Tensor:
            with torch.autocast(device.type, dtype, enabled=low):
                return twin(batch)

        return FastTransformer(model, recompute=recompute), twin_loss
    module = InLowPrecision(model, device, dtype) if low else model
    return module, lambda plain, batch: solution.next_token_loss(plain(batch[:, :-1]), batch)


@torch.no_grad()
def evaluate(
    solution: ModuleType,
    model: nn.Module,
    data: TrainingData,
    processes: Processes,
    dtype: torch.dtype = torch.float32,
) -> float:
    """Mean loss over all held-out targets, in nats, without dropout; the processes share the work.

    The model is left in the mode it was in.
    """
    was_training = model.training
    module, loss = trained_module(solution, model, processes.device, dtype)
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


def check_for_a_compiler() -> None:
    """Raises UserError unless torch.compile finds the C++ compiler that it needs for a CPU."""
    name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(name) is None:
        raise UserError(
            f"compile is true, which needs a C++ compiler on a CPU, and there is no {name}; "
            "install it, or leave compile out"
        )


def never() -> bool:
    """Nobody asks to stop."""
    return False


class Training:
    """A model being trained with the solution's own functions, and where it stands.

    The processes share every batch, and each holds the same weights after every step.

    step, tokens: steps made and targets seen so far, over all processes.

    Raises UserError when the batch cannot be shared and cut equally, or when the model is to be
    compiled where there is no compiler.
    """

    def __init__(
        self,
        solution: ModuleType,
        model: nn.Module,
        data: TrainingData,
        recipe: Recipe,
        processes: Processes,
    ) -> None:
        self.solution, self.model, self.data = solution, model, data
        self.recipe, self.processes = recipe, processes
        self.config: Any = model.config
        self.step = self.tokens = 0
        self.dtype = getattr(torch, recipe.dtype)
        recipe.micro_batches(processes.world_size)
        if self.is_compiled and processes.device.type == "cpu":
            check_for_a_compiler()
        self.optimizer = torch.optim.AdamW(
            solution.parameter_groups(model, weight_decay=recipe.weight_decay),
            lr=recipe.learning_rate,
            betas=(recipe.beta1, recipe.beta2),
            fused=True,
        )

    @property
    def is_compiled(self) -> bool:
        """Whether the recipe has the model compiled on this device."""
        on_cuda = self.processes.device.type == "cuda"
        return on_cuda if self.recipe.compile is None else self.recipe.compile

    @property
    def is_done(self) -> bool:
        return self.step >= self.recipe.max_steps

    def evaluate(self) -> float:
        """Mean loss over all held-out targets, in nats."""
        return evaluate(self.solution, self.model, self.data, self.processes, self.dtype)

    def records(self, asked_to_stop: Callable[[], bool] = never) -> Iterator[RunRecord]:
        """Train on from where it stands, and yield a record after every step.

        asked_to_stop: when any process is, all end after the same step, without an evaluation.

        Raises UserError when training diverges, before the update that would.
        """
        recipe, processes = self.recipe, self.processes
        trained = self._trained()
        while not self.is_done:
            started = time.perf_counter()
            record = self._with_a_sentence(trained)
            loss, votes = processes.sum(record.loss, float(asked_to_stop()))
            seconds = time.perf_counter() - started
            step_tokens = recipe.batch_size * self.config.n_ctx
            self.step, self.tokens = self.step + 1, self.tokens + step_tokens
            due = self.step % recipe.evaluate_every == 0 or self.is_done
            yield RunRecord(
                step=self.step,
                tokens=self.tokens,
                loss=loss / processes.world_size,
                learning_rate=record.learning_rate,
                grad_norm=record.grad_norm,
                tokens_per_second=step_tokens / seconds,
                val_loss=self.evaluate() if due and not votes else None,
            )
            if votes:
                return

    def _trained(self) -> Iterator[Any]:
        """The solution's own loop, from here to the end."""
        recipe, first = self.recipe, self.step
        module, loss = trained_module(
            self.solution,
            self.model,
            self.processes.device,
            self.dtype,
            recompute=recipe.recompute,
        )
        keywords: dict[str, Any] = {}
        if isinstance(module, FastTransformer):
            keywords["loss"] = loss if self.processes.world_size == 1 else _poisoned(loss)
        if self.is_compiled:
            module = torch.compile(module)  # type: ignore[assignment]
        return self.solution.train(
            self.processes.distribute(module),
            (self._micro_batches(step) for step in range(first, recipe.max_steps)),
            self.optimizer,
            schedule=lambda step: self._learning_rate(first + step),
            max_grad_norm=recipe.max_grad_norm,
            **keywords,
        )

    def _micro_batches(self, step: int) -> list[Tensor]:
        recipe, processes = self.recipe, self.processes
        windows = self.data.batch(
            seed=recipe.seed,
            step=step,
            batch_size=recipe.batch_size,
            rank=processes.rank,
            world_size=processes.world_size,
        )
        return list(windows.to(processes.device).chunk(recipe.micro_batches(processes.world_size)))

    def _learning_rate(self, step: int) -> float:
        recipe = self.recipe
        return self.solution.learning_rate(
            step,
            peak=recipe.learning_rate,
            warmup_steps=min(recipe.warmup_steps, recipe.max_steps),
            total_steps=recipe.max_steps,
            final_fraction=recipe.final_fraction,
        )

    def _with_a_sentence(self, trained: Iterator[Any]) -> Any:
        try:
            return next(trained)
        except FloatingPointError as error:
            raise UserError(f"training stopped before step {self.step + 1}: {error}") from error


def _poisoned(loss: Loss) -> Loss:
    """A loss that is not finite in one process makes every process's gradient NaN, so all stop."""

    def poisoned(module: nn.Module, batch: Tensor) -> Tensor:
        value = loss(module, batch)
        return value * torch.where(value.detach().isfinite(), 1.0, math.nan)

    return poisoned
