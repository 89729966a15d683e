"""Define the smallest model that trains, and torch's own step for it."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

D_VOCAB = 7


class Bigram(nn.Module):
    """A bigram model: the logits of the next token depend on the last one only."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.W = nn.Parameter(torch.randn(D_VOCAB, D_VOCAB, generator=generator).double())
        self.b = nn.Parameter(torch.randn(D_VOCAB, generator=generator).double())
        self.dropout = nn.Dropout(0.0)
        self.modes: list[bool] = []

    def forward(self, tokens: Tensor) -> Tensor:
        self.modes.append(self.training)
        logits: Tensor = self.dropout(self.W[tokens] + self.b)
        return logits


class Distributed(Bigram):
    """Exchanges gradients as DistributedDataParallel does, and records for which batches."""

    def __init__(self) -> None:
        super().__init__()
        self.require_backward_grad_sync = True
        self.exchanges: list[bool] = []

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def forward(self, tokens: Tensor) -> Tensor:
        self.exchanges.append(self.require_backward_grad_sync)
        return super().forward(tokens)


class Poisoned(Bigram):
    """A finite loss whose gradient is not a number."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens) + (self.b - self.b.detach()).abs().sqrt().sum()


def windows(seed: int, *shapes: tuple[int, int]) -> list[Tensor]:
    """Return micro-batches of random tokens of these shapes."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(D_VOCAB, shape, generator=generator) for shape in shapes]


def adamw(model: nn.Module, lr: float = 0.05) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.1)


def weights(model: nn.Module) -> Tensor:
    """Return a copy of all parameters, concatenated."""
    return torch.cat([p.detach().clone().flatten() for p in model.parameters()])


def mean_loss(model: nn.Module, batches: list[Tensor]) -> Tensor:
    """Return the mean loss over every target of every micro-batch."""
    losses = [
        F.cross_entropy(model(b[:, :-1]).flatten(0, 1), b[:, 1:].flatten(), reduction="none")
        for b in batches
    ]
    return torch.cat(losses).mean()


def torchs_step(
    model: nn.Module, batches: list[Tensor], optimizer: torch.optim.Optimizer, clip: float = 1.0
) -> tuple[float, float]:
    """Take the same step with torch; return the loss and the gradient's norm before clipping."""
    loss = mean_loss(model, batches)
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient * min(1.0, clip / norm.item())
    optimizer.step()
    return loss.item(), norm.item()


def twins() -> tuple[Bigram, torch.optim.Optimizer, Bigram, torch.optim.Optimizer]:
    """Return two equal models, each with its optimiser."""
    ours = Bigram()
    theirs = copy.deepcopy(ours)
    return ours, adamw(ours), theirs, adamw(theirs)
