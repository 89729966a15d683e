"""Build Transformers whose logits are a given function of their tokens."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt2_small.checker.claims.observing import probes


def answering(module: ModuleType, answer: Callable[[Tensor], Tensor], **changes: Any) -> nn.Module:
    """A Transformer whose logits are a function of its tokens.

    It has a Transformer's parameters and parts, whose device and sizes `generate` may read.
    """

    class Answering(module.Transformer):  # type: ignore[misc, name-defined]
        def forward(self, tokens: Tensor) -> Tensor:
            return answer(tokens)

    model: nn.Module = Answering(probes.config(module, **changes))
    return model


def hashed(tokens: Tensor) -> Tensor:
    """Logits whose most likely token depends on every token and position up to there."""
    d_vocab = probes.SIZES["d_vocab"]
    position = torch.arange(1, tokens.shape[1] + 1)
    sums = ((7 * tokens + 3) * (position.square() + 5)).cumsum(dim=1) + 11 * tokens
    return F.one_hot(sums % d_vocab, d_vocab).float()


def fixed(module: ModuleType, logits: Tensor) -> nn.Module:
    """A Transformer with constant logits at the last position, and zeros before it."""

    def answer(tokens: Tensor) -> Tensor:
        batch, seq = tokens.shape
        earlier = torch.zeros(batch, seq - 1, len(logits))
        return torch.cat([earlier, logits.repeat(batch, 1, 1)], dim=1)

    return answering(module, answer, d_vocab=len(logits))
