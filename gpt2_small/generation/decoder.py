"""Define the interface of decoders and an uncached decoder, and choose the decoder of a model."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.model.cached_decoder import CachedDecoder
from gpt2_small.model.eligibility import stands_in_for
from gpt2_small.model.packed_weights import PackedTransformer
from gpt2_small.model_protocol import Model

# The most memory for the caches, or the logits, of one batch.
BATCH_BYTES = 2**31
NOT_FINITE = (
    "the model's logits are not finite; its weights are damaged, or its training diverged; try an "
    "earlier checkpoint"
)


class Decoder(Protocol):
    """Computes next-token logits of growing rows of tokens; a row keeps its last n_ctx tokens.

    `model.cached_decoder.CachedDecoder` documents each method and its errors.
    """

    @property
    def lengths(self) -> tuple[int, ...]:
        """The number of tokens in each row."""

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, reuse: bool = False
    ) -> Float[Tensor, "batch d_vocab"]:
        """Replace the rows by these prompts, and return the logits after each."""

    def step(self, tokens: Int[Tensor, "batch"]) -> Float[Tensor, "batch d_vocab"]:
        """Add one token to every row, and return the logits after it."""

    def extend(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch d_vocab"]:
        """Add tokens to every row, and return the logits after the last."""

    def extend_each(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_vocab"]:
        """Add tokens to every row, and return the logits after each."""

    def truncate(self, lengths: int | Sequence[int]) -> None:
        """Drop each row's tokens after the first `length`."""

    def fork(self) -> Self:
        """Copy the decoder and its rows."""

    def select(self, rows: Sequence[int]) -> None:
        """Reorder the batch to these rows."""


class UncachedDecoder:
    """Computes the logits of any model by its own forward pass over every row's last n_ctx tokens.

    Rows of equal length form a batch, so that no row contains padding. The model runs without
    dropout; its mode is restored.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._rows: list[list[int]] = []

    @property
    def lengths(self) -> tuple[int, ...]:
        """The number of tokens in each row."""
        return tuple(map(len, self._rows))

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, reuse: bool = False
    ) -> Float[Tensor, "batch d_vocab"]:
        """Replace the rows by these prompts, of any lengths, and return the logits after each."""
        self._rows = [[] for _ in prompts]
        return self._read([[*map(int, prompt)] for prompt in prompts], 1)[:, 0]

    def step(self, tokens: Int[Tensor, "batch"]) -> Float[Tensor, "batch d_vocab"]:
        """Add one token to every row and return the logits after it."""
        return self.extend(tokens[:, None])

    def extend(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch d_vocab"]:
        """Add the same number of tokens to every row, and return the logits after the last."""
        return self._read(tokens.tolist(), 1)[:, 0]

    def extend_each(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_vocab"]:
        """Add the same number of tokens to every row, and return the logits after each of them.

        Raises UserError for rows that would exceed n_ctx.
        """
        longest, n_ctx = max(self.lengths) + tokens.shape[1], self.model.config.n_ctx
        if longest > n_ctx:
            raise UserError(f"{longest} tokens do not fit n_ctx = {n_ctx}; give fewer")
        return self._read(tokens.tolist(), tokens.shape[1])

    def truncate(self, lengths: int | Sequence[int]) -> None:
        """Drop each row's tokens after the first `length`. Raises UserError for a longer length."""
        wanted = [lengths] * len(self._rows) if isinstance(lengths, int) else [*lengths]
        within = (0 <= new <= old for new, old in zip(wanted, self.lengths, strict=False))
        if len(wanted) != len(self._rows) or not all(within):
            raise UserError(f"cannot truncate rows of {[*self.lengths]} tokens to {wanted}")
        self._rows = [row[:length] for row, length in zip(self._rows, wanted, strict=True)]

    def fork(self) -> "UncachedDecoder":
        """Copy the decoder and its rows; the model is shared."""
        other = UncachedDecoder(self.model)
        other._rows = [[*row] for row in self._rows]
        return other

    def select(self, rows: Sequence[int]) -> None:
        """Reorder the batch to these rows; a row may be repeated."""
        self._rows = [[*self._rows[row]] for row in rows]

    @torch.no_grad()
    def _read(
        self, tokens: Sequence[list[int]], count: int
    ) -> Float[Tensor, "batch count d_vocab"]:
        """Add tokens to every row, and return the logits at its last `count` positions."""
        n_ctx, device = self.model.config.n_ctx, next(self.model.parameters()).device
        grown = zip(self._rows, tokens, strict=True)
        self._rows = [(row + new)[-n_ctx:] for row, new in grown]
        of_length: dict[int, list[int]] = defaultdict(list)
        for number, row in enumerate(self._rows):
            of_length[len(row)].append(number)
        last: dict[int, Tensor] = {}
        with without_dropout(self.model):
            for numbers in of_length.values():
                rows = torch.tensor([self._rows[number] for number in numbers])
                last |= zip(numbers, self.model(rows.to(device))[:, -count:], strict=True)
        return torch.stack([last[number] for number in range(len(self._rows))])


@contextmanager
def without_dropout(model: Model) -> Iterator[None]:
    """In this context, the model is in eval mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def decoder_for(model: Model) -> Decoder:
    """A cached decoder, with newly packed weights, for the reference; else an uncached one.

    `LoadedModel.new_decoder` shares packed weights between decoders.
    """
    if stands_in_for(model):
        return CachedDecoder(PackedTransformer(model))
    return UncachedDecoder(model)


def rows_at_once(model: Model) -> int:
    """The largest batch whose caches, or logits, fit in BATCH_BYTES."""
    config = model.config
    if stands_in_for(model):
        numbers = 2 * config.n_layers * config.n_ctx * config.d_model
    else:
        numbers = config.n_ctx * max(config.d_vocab, config.n_heads * config.n_ctx)
    size = next(model.parameters()).element_size()
    return max(1, BATCH_BYTES // (numbers * size))
