"""Compute the next-token loss that a model is trained and evaluated on."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import cast

import torch
from torch import Tensor, nn

from gpt2_small.model.eligibility import stands_in_for
from gpt2_small.model.twin import FastTransformer
from gpt2_small.model_protocol import Model

Loss = Callable[[nn.Module, Tensor], Tensor]


class InLowPrecision(nn.Module):
    """A learner's model under autocast, with float32 logits."""

    def __init__(self, model: Model, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.device, self.dtype = model, device, dtype

    def forward(self, tokens: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self.dtype):
            return self.model(tokens).float()


class TwinInLowPrecision(nn.Module):
    """The fast twin under autocast."""

    def __init__(self, twin: FastTransformer, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.twin, self.device, self.dtype = twin, device, dtype

    def forward(self, batch: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self.dtype):
            loss: Tensor = self.twin(batch)
            return loss


class Objective:
    """The next-token loss of a model on windows [batch seq+1].

    The fast twin computes the loss of the reference if no hook is set; another file's model
    runs unchanged. Both use the model's own parameters.

    dtype: of products.
    recompute: as for the twin; other models ignore it.

    module: the module to compile, distribute and train.
    loss: mean loss, in nats, of `module`, or of a wrapper of it, on a micro-batch.
    is_twin: whether the twin computes the loss.
    twin_class: the class of the twin.
    """

    module: nn.Module
    twin_class: type[FastTransformer] = FastTransformer

    def __init__(
        self,
        solution: ModuleType,
        model: Model,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        recompute: bool = False,
    ) -> None:
        self.solution, self.model = solution, model
        is_low = dtype != torch.float32
        self.is_twin = stands_in_for(model)
        if self.is_twin:
            twin = self.twin_class(model, recompute=recompute)
            self.module = TwinInLowPrecision(twin, device, dtype) if is_low else twin
        else:
            self.module = InLowPrecision(model, device, dtype) if is_low else cast(nn.Module, model)

    def loss(self, module: nn.Module, batch: Tensor) -> Tensor:
        loss: Tensor
        if self.is_twin:
            loss = module(batch)
        else:
            loss = self.solution.next_token_loss(module(batch[:, :-1]), batch)
        return loss

    @property
    def train_keywords(self) -> dict[str, Loss]:
        """Further keyword arguments for the solution's `train`."""
        return {"loss": self.loss} if self.is_twin else {}

    @property
    def stepped_by(self) -> ModuleType:
        """The solution whose `train` makes the steps."""
        return self.solution

    def targets(self, batch: Tensor) -> int:
        """The number of targets in a batch."""
        return batch[:, 1:].numel()

    def begin_step(self, batches: Sequence[Tensor], targets: int, world_size: int) -> None:
        """Set the sizes of a step before its first loss; a plain mean does not need them.

        batches: this process's micro-batches.
        targets: of the whole step, over all processes.
        """
