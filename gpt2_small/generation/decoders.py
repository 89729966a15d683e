"""Choose how next-token logits are computed: by the fast twin where it may, else as written."""

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

# What the rows of one batch may take together, in caches or in logits.
BATCH_BYTES = 2**31


class Decoder(Protocol):
    """Next-token logits of growing rows of tokens; a row keeps its last n_ctx tokens.

    `model.cached_decoder.CachedDecoder` says what each method means and refuses.
    """

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many tokens each row holds."""

    def prefill(
        self, prompts: Sequence[Sequence[int]], *, reuse: bool = False
    ) -> Float[Tensor, "batch d_vocab"]:
        """Replace the rows by these prompts, and give the logits after each."""

    def step(self, tokens: Int[Tensor, "batch"]) -> Float[Tensor, "batch d_vocab"]:
        """Add one token to every row, and give the logits after it."""

    def extend(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch d_vocab"]:
        """Add tokens to every row, and give the logits after the last."""

    def extend_each(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_vocab"]:
        """Add tokens to every row, and give the logits after each."""

    def truncate(self, lengths: int | Sequence[int]) -> None:
        """Keep each row's first tokens."""

    def fork(self) -> Self:
        """A decoder whose rows go on from here, apart from these."""

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order."""


class UncachedDecoder:
    """The logits of any model as it is written: each call reads every row's last n_ctx tokens anew.

    Rows of one length are read together, so that no row sees padding. The model runs without
    dropout and is left in the mode it was in.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._rows: list[list[int]] = []

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many tokens each row holds."""
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
        """Add tokens, as many to every row, and return the logits after the last."""
        return self._read(tokens.tolist(), 1)[:, 0]

    def extend_each(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_vocab"]:
        """Add tokens, as many to every row, and return the logits after each of them.

        Raises UserError for rows that would be longer than n_ctx.
        """
        longest, n_ctx = max(self.lengths) + tokens.shape[1], self.model.config.n_ctx
        if longest > n_ctx:
            raise UserError(f"{longest} tokens do not fit n_ctx = {n_ctx}; give fewer")
        return self._read(tokens.tolist(), tokens.shape[1])

    def truncate(self, lengths: int | Sequence[int]) -> None:
        """Keep each row's first `length` tokens. Raises UserError for a length that it has not."""
        wanted = [lengths] * len(self._rows) if isinstance(lengths, int) else [*lengths]
        within = (0 <= new <= old for new, old in zip(wanted, self.lengths, strict=False))
        if len(wanted) != len(self._rows) or not all(within):
            raise UserError(f"cannot truncate rows of {[*self.lengths]} tokens to {wanted}")
        self._rows = [row[:length] for row, length in zip(self._rows, wanted, strict=True)]

    def fork(self) -> "UncachedDecoder":
        """A decoder of the same model whose rows go on from here, apart from these."""
        other = UncachedDecoder(self.model)
        other._rows = [[*row] for row in self._rows]
        return other

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row named twice goes on as two."""
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
    """While the context lasts, the model is in eval mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def decoder_for(model: Model) -> Decoder:
    """The twin's cached decoder, of weights packed now, for the reference; else the model itself.

    `LoadedModel.new_decoder` packs the weights once for several.
    """
    if stands_in_for(model):
        return CachedDecoder(PackedTransformer(model))
    return UncachedDecoder(model)


def rows_at_once(model: Model) -> int:
    """How many rows a batch may have so that its caches, or its logits, stay within memory."""
    config = model.config
    if stands_in_for(model):
        numbers = 2 * config.n_layers * config.n_ctx * config.d_model
    else:
        numbers = config.n_ctx * max(config.d_vocab, config.n_heads * config.n_ctx)
    size = next(model.parameters()).element_size()
    return max(1, BATCH_BYTES // (numbers * size))
