"""Count the gradient exchanges of a distributed model, in one process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class CountingParallel(DistributedDataParallel):
    """A distributed model of one process that counts the backward passes that would exchange.

    As in torch, the forward pass decides it: `no_sync()` around backward alone has no effect.
    """

    def __init__(self, model: nn.Module) -> None:
        nn.Module.__init__(self)  # no process group
        self.module = model
        self.require_backward_grad_sync = True
        self.is_exchanging = True
        self.exchanges = 0
        next(model.parameters()).register_post_accumulate_grad_hook(self._count)

    def forward(self, tokens: Tensor) -> Any:
        self.is_exchanging = self.require_backward_grad_sync
        return self.module(tokens)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def _count(self, _parameter: Tensor) -> None:
        self.exchanges += self.is_exchanging
