"""Run training steps of ours and of peers' models, with their own losses and optimisers."""

import argparse
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from peer_models import (
    SHAPES,
    Shape,
    hugging_face,
    nanogpt,
    nanogpt_optimizer,
    reference,
    transformer_lens,
)
from torch import Tensor, nn

import gpt2_small
from gpt2_small.model.twin import FastTransformer

RECOMPUTING = "twin, recomputing"

SETTINGS = {
    "twin": "FastTransformer, fused AdamW; compiled on CUDA",
    RECOMPUTING: "the same, keeping of each block only what it reads",
    "reference": "solution.py as written, fused AdamW",
    "nanoGPT": "its configure_optimizers (fused on CUDA only), its clipping; compiled on CUDA",
    "transformers": "sdpa, loss on all logits, fused AdamW; compiled on CUDA",
    "TransformerLens": "TransformerBridge around transformers' model, fused AdamW",
}
Loss = Callable[[Tensor], Tensor]


class StepRunner:
    """One model, its loss on windows [batch seq+1] and its optimiser, created at first use."""

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        shape, device = SHAPES[arguments.preset], arguments.device
        torch.manual_seed(0)
        self.name, self.device = name, device
        self.model, self.loss = build(name, arguments, shape)
        self._optimizer: torch.optim.Optimizer | None = None

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        if self._optimizer is None:
            if self.name == "nanoGPT":
                self._optimizer = nanogpt_optimizer(self.model, self.device)
            else:
                betas = (0.9, 0.95)
                parameters = self.model.parameters()
                self._optimizer = torch.optim.AdamW(parameters, 6e-4, betas, fused=True)
        return self._optimizer

    def forward_backward(self, batch: Tensor, dtype: torch.dtype) -> None:
        self.model.zero_grad(set_to_none=True)
        with torch.autocast(self.device, dtype, enabled=dtype != torch.float32):
            loss = self.loss(batch)
        loss.backward()

    def step(self, batch: Tensor, dtype: torch.dtype) -> None:
        self.forward_backward(batch, dtype)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()


def build(name: str, arguments: argparse.Namespace, shape: Shape) -> tuple[Any, Loss]:
    """Return the model and its loss. Raises LookupError if the peer is not installed."""
    makers: dict[str, Callable[[], Any]] = {
        "twin": lambda: reference(shape),
        "reference": lambda: reference(shape),
        "nanoGPT": lambda: nanogpt(shape, arguments.nanogpt),
        "transformers": lambda: hugging_face(shape),
        "TransformerLens": lambda: transformer_lens(shape),
    }
    kind = name.split(",")[0]
    model = makers[kind]()
    if model is None:
        raise LookupError(name)
    model = model.to(arguments.device).train()
    if kind == "twin":
        forward: Any = FastTransformer(
            model,
            positions_per_chunk=arguments.positions_per_chunk,
            recompute=name == RECOMPUTING,
        )
    else:
        forward = model
    if arguments.device == "cuda" and not arguments.no_compile and name != "TransformerLens":
        forward = torch.compile(forward)
    losses: dict[str, Loss] = {
        "twin": lambda batch: forward(batch),
        "reference": lambda batch: gpt2_small.next_token_loss(forward(batch[:, :-1]), batch),
        "nanoGPT": lambda batch: forward(batch[:, :-1], batch[:, 1:].contiguous())[1],
        "transformers": lambda batch: cross_entropy(forward(batch[:, :-1]).logits, batch),
        "TransformerLens": lambda batch: cross_entropy(forward(batch[:, :-1]), batch),
    }
    return model, losses[kind]


def cross_entropy(logits: Tensor, batch: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(end_dim=1), batch[:, 1:].flatten())
