"""Make training steps and evaluations, in one process or several."""

import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gpt2_small.errors import UserError
from gpt2_small.model_protocol import Config, Model
from gpt2_small.planning.device_peaks import peak_of
from gpt2_small.planning.flops import training_flops
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.training.distributed import Processes
from gpt2_small.training.recipes.recipe import Recipe
from gpt2_small.training.step.micro_batch_size import fitted, out_of_memory_as_a_sentence
from gpt2_small.training.step.objective import Loss, Objective
from gpt2_small.training.step.optimizer import new_optimizer
from gpt2_small.training.step.schedule import rate_at
from gpt2_small.training.step.skipped_updates import UpdateGuard
from gpt2_small.training.step_record import RunRecord

EVALUATION_ROWS = 32


class TrainingData(Protocol):
    """Windows of n_ctx + 1 tokens; a step's windows depend on the seed and the step alone.

    A class may have an attribute `objective`, a subclass of Objective for its batches.
    """

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the data."""

    @property
    def start_token(self) -> int:
        """The prompt of a sample."""

    def micro_batches(
        self, *, seed: int, step: int, batch_size: int, rank: int, world_size: int, number: int
    ) -> list[Tensor]:
        """One process's share of a step's windows, in this many micro-batches [batch seq+1]."""

    def held_out(self, *, batch_size: int, rank: int, world_size: int) -> Iterator[Tensor]:
        """One process's share of the held-out windows, in batches [batch seq+1]."""


def never() -> bool:
    """The default of `asked_to_stop`."""
    return False


class Training:
    """A model being trained with the solution's own functions, and its position in the run.

    Each process trains on a share of every batch, and all have the same weights after a step. The
    run's steps are counted here alone: `train`'s records restart at 1 when a run is resumed.

    step, tokens: steps made and targets seen so far, over all processes.
    is_stopping: whether a process was asked to stop during the last step or evaluation.
    recipe: with the micro-batch size that is used.
    remarks: notes for the user about the training.
    peak_share: fraction of all devices' peak for one token per second; None for an unknown peak.

    Raises UserError when the batch cannot be divided equally, when the device's memory is too
    small, and when a C++ compiler is needed and missing.
    """

    def __init__(
        self,
        solution: ModuleType,
        model: Model,
        data: TrainingData,
        recipe: Recipe,
        processes: Processes,
    ) -> None:
        self.solution, self.model, self.data = solution, model, data
        self.processes = processes
        self.config = model.config
        self.step = self.tokens = 0
        self.is_stopping = False
        self.objective = self._new_objective(recipe)
        is_twin = self.objective.is_twin
        self.recipe, self.remarks = fitted(recipe, self.config, processes, is_twin=is_twin)
        self.recipe.micro_batches(processes.world_size)
        if self.is_compiled and processes.device.type == "cpu":
            check_compiler()
        self.optimizer = new_optimizer(solution, model, recipe)
        self.guard = UpdateGuard(model, self.optimizer, recipe, processes)
        self.peak_share = peak_share(self.config, recipe.dtype, processes)
        self._updates: Iterator[Any] | None = None
        self._targets = 0

    @property
    def is_compiled(self) -> bool:
        """Whether the model is compiled on this device."""
        on_cuda = self.processes.device.type == "cuda"
        return on_cuda if self.recipe.compile is None else self.recipe.compile

    @property
    def is_done(self) -> bool:
        return self.step >= self.recipe.max_steps

    def advance(self, asked_to_stop: bool = False) -> RunRecord:
        """Make one step: draw its batch, update the weights, count it.

        asked_to_stop: when one process is, `is_stopping` is set in all of them after the same step.

        Raises UserError when training diverges, before the weights are updated, and when the device
        runs out of memory.
        """
        started = time.perf_counter()
        if self._updates is None:
            self._updates = self._begin()
        with out_of_memory_as_a_sentence(self):
            try:
                update = next(self._updates)
            except FloatingPointError as error:
                self._report_divergence()
                raise UserError(f"training stopped before step {self.step + 1}: {error}") from error
        loss, votes, diverged = self.processes.sum(float(update.loss), float(asked_to_stop), 0.0)
        if diverged:
            raise UserError(
                f"training stopped before step {self.step + 1}: the loss of another process is not "
                "finite; the weights were left as they were; try a lower learning rate"
            )
        rate = self._targets / (time.perf_counter() - started)
        self.step, self.tokens = self.step + 1, self.tokens + self._targets
        self.is_stopping = votes > 0
        return RunRecord(
            step=self.step,
            tokens=self.tokens,
            loss=loss / self.processes.world_size,
            learning_rate=float(update.learning_rate),
            grad_norm=float(update.grad_norm),
            tokens_per_second=rate,
            time=round(time.time(), 3),
            peak_share=None if self.peak_share is None else rate * self.peak_share,
            skipped=self.guard.skipped,
        )

    def _report_divergence(self) -> None:
        """Stop the processes whose loss is finite; without float16 their gradients are NaN."""
        if self.guard.is_scaling:
            self.guard.join_overflow()
            self.processes.sum(0.0, 0.0, 1.0)

    def _begin(self) -> Iterator[Any]:
        """Start the solution's own training loop over the remaining steps."""
        recipe, first = self.recipe, self.step
        keywords: dict[str, Loss] = self.objective.train_keywords
        if self.processes.world_size > 1 and recipe.dtype != "float16":
            keywords = {name: _with_shared_divergence(loss) for name, loss in keywords.items()}
        module = self.objective.module
        if self.is_compiled:
            module = torch.compile(module)  # type: ignore[assignment]
        distributed = self.processes.distribute(self.guard.wrap(module))
        self.guard.begin()
        trained: Iterator[Any] = self.objective.stepped_by.train(
            distributed,
            (self._micro_batches(step) for step in range(first, recipe.max_steps)),
            self.optimizer,
            schedule=lambda step: rate_at(recipe, first + step, self.solution.learning_rate),
            max_grad_norm=self.guard.max_grad_norm,
            **keywords,
        )
        return trained

    def _micro_batches(self, step: int) -> list[Tensor]:
        recipe, processes = self.recipe, self.processes
        batches = [
            batch.to(processes.device)
            for batch in self.data.micro_batches(
                seed=recipe.seed,
                step=step,
                batch_size=recipe.batch_size,
                rank=processes.rank,
                world_size=processes.world_size,
                number=recipe.micro_batches(processes.world_size),
            )
        ]
        own_targets = sum(self.objective.targets(batch) for batch in batches)
        self._targets = int(processes.sum(float(own_targets))[0])
        self.objective.begin_step(batches, self._targets, processes.world_size)
        return batches

    def evaluate(
        self,
        asked_to_stop: Callable[[], bool] = never,
        on_batch: Callable[[int], object] = lambda targets: None,
    ) -> float | None:
        """Mean loss over all held-out targets, in nats, without dropout. All processes take part.

        asked_to_stop: when one process is, all of them end the evaluation and set `is_stopping`.
        on_batch: called after each batch with the number of targets this process has evaluated.

        Returns None for an interrupted evaluation.

        Raises UserError when the device runs out of memory.
        """
        was_training, processes = self.model.training, self.processes
        objective = self._new_objective(self.recipe)
        objective.module.eval()
        total, targets = 0.0, 0
        batches = self.data.held_out(
            batch_size=EVALUATION_ROWS, rank=processes.rank, world_size=processes.world_size
        )
        with torch.no_grad(), out_of_memory_as_a_sentence(self):
            while True:
                batch = next(batches, None)
                left, votes = processes.sum(float(batch is not None), float(asked_to_stop()))
                if votes or not left:
                    break
                if batch is not None:
                    count = objective.targets(batch)
                    on_device = batch.to(processes.device)
                    objective.begin_step([on_device], count, 1)
                    total += objective.loss(objective.module, on_device).item() * count
                    targets += count
                    on_batch(targets)
        self.model.train(was_training)
        if votes:
            self.is_stopping = True
            return None
        total, all_targets = processes.sum(total, targets)
        return total / all_targets

    def _new_objective(self, recipe: Recipe) -> Objective:
        objective_class = getattr(self.data, "objective", Objective)
        objective: Objective = objective_class(
            self.solution,
            self.model,
            self.processes.device,
            getattr(torch, recipe.dtype),
            recompute=recipe.recompute,
        )
        return objective


def peak_share(config: Config, dtype: str, processes: Processes) -> float | None:
    """The fraction of all devices' peak for one token per second; None for an unknown peak."""
    if processes.device.type != "cuda":
        return None
    peak = peak_of(torch.cuda.get_device_name(processes.device), dtype)
    return None if peak is None else training_flops(config) / (peak * processes.world_size)


def check_compiler() -> None:
    """Raises UserError without the C++ compiler that torch.compile needs on a CPU."""
    name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(name) is None:
        raise UserError(
            f"compile is true, which needs a C++ compiler on a CPU, and there is no {name}; "
            "install it, or leave compile out"
        )


def _with_shared_divergence(loss: Loss) -> Loss:
    """Make a non-finite loss of one process turn all processes' gradients to NaN, so all stop."""

    def checked_loss(module: nn.Module, batch: Tensor) -> Tensor:
        value = loss(module, batch)
        return value * torch.where(value.detach().isfinite(), 1.0, math.nan)

    return checked_loss
