"""Store the keys and values of past tokens in preallocated memory."""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gpt2_small.model_protocol import Config


class KeyValueCache:
    """Keys, values and tokens of every row, from position 0.

    keys, values: [batch head n_ctx d_head] for each layer.
    window [batch n_ctx]: the tokens.
    positions [batch]: the position of each row's next token, on the device.
    next_token [batch]: the input of a step.
    rows [batch 1]: the rows' indices.
    """

    def __init__(
        self, config: Config, batch: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = (batch, config.n_heads, config.n_ctx, config.d_head)
        layers = range(config.n_layers)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self.window = torch.zeros(batch, config.n_ctx, dtype=torch.long, device=device)
        self.positions = torch.zeros(batch, dtype=torch.long, device=device)
        self.next_token = torch.zeros(batch, dtype=torch.long, device=device)
        self.rows = torch.arange(batch, device=device)[:, None]

    def put(
        self,
        layer: int,
        positions: Int[Tensor, "batch seq"],
        key: Float[Tensor, "batch head seq d_head"],
        value: Float[Tensor, "batch head seq d_head"],
    ) -> None:
        """Store a layer's keys and values at each row's positions."""
        for cached, new in ((self.keys, key), (self.values, value)):
            by_place = rearrange(new, "batch head seq d_head -> batch seq head d_head")
            cached[layer][self.rows, :, positions] = by_place

    def readable(
        self, positions: Int[Tensor, "batch seq"], span: int
    ) -> Bool[Tensor, "batch 1 seq span"]:
        """The causal mask: which of the first `span` positions each position attends to."""
        keys = torch.arange(span, device=positions.device)
        return rearrange(keys <= positions[..., None], "batch seq span -> batch 1 seq span")

    def select(self, rows: Int[Tensor, "batch_new"], filled: int) -> None:
        """Reorder the batch to these rows; a row may be repeated.

        filled: how many positions are filled; only these are copied.
        """
        self.keys = [_selected(keys, rows, filled) for keys in self.keys]
        self.values = [_selected(values, rows, filled) for values in self.values]
        self.window = self.window[rows]
        self.positions = self.positions[rows]
        self.next_token = self.next_token[rows]
        self.rows = torch.arange(len(rows), device=rows.device)[:, None]

    def copy_from(self, other: "KeyValueCache", filled: int) -> None:
        """Copy the first `filled` positions of another cache of the same shape."""
        for ours, theirs in zip(self.keys + self.values, other.keys + other.values, strict=True):
            ours[:, :, :filled] = theirs[:, :, :filled]
        self.window.copy_(other.window)
        self.positions.copy_(other.positions)

    def truncate(self, lengths: Sequence[int]) -> None:
        """Set each row's length; later positions are overwritten as the row grows."""
        self.positions.copy_(torch.tensor(lengths))


def _selected(
    cached: Float[Tensor, "batch head n_ctx d_head"], rows: Int[Tensor, "batch_new"], filled: int
) -> Float[Tensor, "batch_new head n_ctx d_head"]:
    """The rows in the memory allocated already, or in new memory if there are more rows."""
    selected = cached[rows, :, :filled]
    if len(rows) > len(cached):
        cached = cached.new_zeros(len(rows), *cached.shape[1:])
    cached[: len(rows), :, :filled] = selected
    return cached[: len(rows)]
