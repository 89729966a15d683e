"""Next-token logits of growing sequences: by the fast twin where it may, else as written."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gpt2_small.model.decoder import Decoder
from gpt2_small.model.eligibility import stands_in_for

# What the rows of one batch may take together, in caches or in logits.
BATCH_BYTES = 2**31


class NextLogits(Protocol):
    """What generation asks of a model; `model.decoding.Decoder` says what each means."""

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Float[Tensor, "batch d_vocab"]:
        """Start anew from these prompts, and give the logits after each."""

    def step(self, tokens: Int[Tensor, "batch"]) -> Float[Tensor, "batch d_vocab"]:
        """Add one token to every row, and give the logits after it."""

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order."""


class PlainDecoder:
    """The logits of any model as it is written: each step reads every row's last n_ctx tokens anew.

    Rows of one length are read together, so that no row sees padding. The model runs without
    dropout and is left in the mode it was in.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model: Any = model
        self._rows: list[list[int]] = []

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Float[Tensor, "batch d_vocab"]:
        """Start anew from these prompts, of any lengths, and return the logits after each."""
        self._rows = [list(prompt) for prompt in prompts]
        return self._read()

    def step(self, tokens: Int[Tensor, "batch"]) -> Float[Tensor, "batch d_vocab"]:
        """Add one token to every row and return the logits after it."""
        for row, token in zip(self._rows, tokens.tolist(), strict=True):
            row.append(token)
        return self._read()

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row named twice goes on as two."""
        self._rows = [list(self._rows[row]) for row in rows]

    @torch.no_grad()
    def _read(self) -> Float[Tensor, "batch d_vocab"]:
        n_ctx, device = self.model.config.n_ctx, next(self.model.parameters()).device
        of_length: dict[int, list[int]] = defaultdict(list)
        for number, row in enumerate(self._rows):
            of_length[min(len(row), n_ctx)].append(number)
        last: dict[int, Tensor] = {}
        with without_dropout(self.model):
            for numbers in of_length.values():
                windows = torch.tensor([self._rows[number][-n_ctx:] for number in numbers])
                last |= zip(numbers, self.model(windows.to(device))[:, -1], strict=True)
        return torch.stack([last[number] for number in range(len(self._rows))])


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """While the context lasts, the model is in eval mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def decoder_for(model: nn.Module) -> NextLogits:
    """The twin's cached decoder for the reference with no hook set, else the model as it is."""
    return Decoder(model) if stands_in_for(model) else PlainDecoder(model)


def rows_at_once(model: Any) -> int:
    """How many rows a batch may have so that its caches, or its logits, stay within memory."""
    config = model.config
    if stands_in_for(model):
        numbers = 2 * config.n_layers * config.n_ctx * config.d_model
    else:
        numbers = config.n_ctx * max(config.d_vocab, config.n_heads * config.n_ctx)
    size = next(model.parameters()).element_size()
    return max(1, BATCH_BYTES // (numbers * size))
