"""What is kept of the tokens read so far, in memory that is taken once."""

from collections.abc import Sequence
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor


class KeyValueCache:
    """Keys and values of every layer, and the tokens they come from; a row fills up from place 0.

    keys, values: [batch head n_ctx d_head] for each layer.
    window [batch n_ctx]: the tokens.
    positions [batch]: on the device, the place of each row's next token.
    next_token [batch]: where a step finds that token.
    rows [batch]: their numbers.
    """

    def __init__(self, config: Any, batch: int, dtype: torch.dtype, device: torch.device) -> None:
        shape = (batch, config.n_heads, config.n_ctx, config.d_head)
        layers = range(config.n_layers)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self.window = torch.zeros(batch, config.n_ctx, dtype=torch.long, device=device)
        self.positions = torch.zeros(batch, dtype=torch.long, device=device)
        self.next_token = torch.zeros(batch, dtype=torch.long, device=device)
        self.rows = torch.arange(batch, device=device)

    def start(self, tokens: Int[Tensor, "batch seq"], lengths: Sequence[int]) -> None:
        """Begin with these tokens, of which each row's first `length` count."""
        self.window[:, : tokens.shape[1]] = tokens
        self.positions.copy_(torch.tensor(lengths))

    def fill(
        self,
        layer: int,
        key: Float[Tensor, "batch head seq d_head"],
        value: Float[Tensor, "batch head seq d_head"],
    ) -> None:
        """Store the first places of every row."""
        seq = key.shape[2]
        self.keys[layer][:, :, :seq] = key
        self.values[layer][:, :, :seq] = value

    def put(
        self,
        layer: int,
        key: Float[Tensor, "batch head d_head"],
        value: Float[Tensor, "batch head d_head"],
    ) -> None:
        """Store the place of every row's next token."""
        self.keys[layer][self.rows, :, self.positions] = key
        self.values[layer][self.rows, :, self.positions] = value

    def readable(self, span: int) -> Bool[Tensor, "batch 1 1 span"]:
        """Which of the first `span` places a row's next token attends to: up to its own."""
        places = torch.arange(span, device=self.positions.device)
        return rearrange(places <= self.positions[:, None], "batch span -> batch 1 1 span")

    def select(self, rows: Int[Tensor, "batch_new"], filled: int) -> None:
        """Keep these rows, in this order; a row may be named more than once.

        filled: how many places of theirs hold something; no others are copied.
        """
        self.keys = [_selected(keys, rows, filled) for keys in self.keys]
        self.values = [_selected(values, rows, filled) for values in self.values]
        self.window = self.window[rows]
        self.positions = self.positions[rows]
        self.next_token = self.next_token[rows]
        self.rows = torch.arange(len(rows), device=rows.device)


def _selected(
    cached: Float[Tensor, "batch head n_ctx d_head"], rows: Int[Tensor, "batch_new"], filled: int
) -> Float[Tensor, "batch_new head n_ctx d_head"]:
    """The rows in the memory that is there, or in new memory when they have become more."""
    kept = cached[rows, :, :filled]
    if len(rows) > len(cached):
        cached = cached.new_zeros(len(rows), *cached.shape[1:])
    cached[: len(rows), :, :filled] = kept
    return cached[: len(rows)]
