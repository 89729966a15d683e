"""Decode with a key-value cache: only the new tokens of every row are computed."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from gpt2_small.errors import UserError
from gpt2_small.kernels.native.decode_step import MOST_ROWS
from gpt2_small.model.kv_cache import KeyValueCache
from gpt2_small.model.packed_weights import PackedTransformer

SHORTEST_GRAPH = 128  # places of the cache that the smallest CUDA graph reads
GRAPH_WARM_UPS = 3


class CachedDecoder:
    """Next-token logits of a batch of growing rows, by a model without dropout.

    Every row sees its own last n_ctx tokens, at positions from 0, as in `solution.generate`: once a
    row would be longer than n_ctx, its oldest tokens are dropped, and the batch is read anew.

    On CUDA a step is a graph, replayed; nothing waits for the device.

    weights: shared with other decoders; the cache is this one's own.
    compile: whether torch.compile makes the step's kernels, in place of C code.
    """

    def __init__(self, weights: PackedTransformer, *, compile: bool = False) -> None:
        self.weights, self.config, self.device = weights, weights.config, weights.device
        self._compile = compile
        self._native = None if compile else weights.native
        self._advance = torch.compile(self._advanced) if compile else self._advanced
        self._step = self._replayed if self.device.type == "cuda" else self._advance
        self._cache = KeyValueCache(self.config, 0, weights.dtype, self.device)
        self._lengths: list[int] = []
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many tokens of each row the cache holds."""
        return tuple(self._lengths)

    @torch.no_grad()
    def prefill(
        self,
        prompts: Sequence[Sequence[int]] | Sequence[Tensor] | Tensor,
        *,
        reuse: bool = False,
    ) -> Float[Tensor, "batch d_vocab"]:
        """Replace the rows by these prompts, of any lengths, and return the logits after each.

        Of a prompt longer than n_ctx the last n_ctx tokens are read.

        reuse: of a single prompt that begins like the row in the cache, compute only the rest.

        Raises UserError without a prompt, or for an empty one.
        """
        n_ctx = self.config.n_ctx
        rows = [torch.as_tensor(prompt, dtype=torch.long)[-n_ctx:] for prompt in prompts]
        if not rows:
            raise UserError("there is no prompt; give at least one")
        for number, row in enumerate(rows, start=1):
            if not len(row):
                raise UserError(f"prompt {number} is empty; give at least one token")
        tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.device)
        if reuse and len(rows) == len(self._lengths) == 1:
            self.truncate(self._shared_with(tokens[0]))
            return self.extend(tokens[:, self._lengths[0] :])
        if len(self._lengths) != len(rows):
            self._cache = KeyValueCache(self.config, len(rows), self.weights.dtype, self.device)
            self._graphs = {}
            self._lengths = [0] * len(rows)
        self.truncate(0)
        residual = self._read(tokens)
        self.truncate([len(row) for row in rows])
        last = self._cache.positions - 1
        return self.weights.logits(residual[self._cache.rows[:, 0], last])

    def _shared_with(self, tokens: Int[Tensor, "seq"]) -> int:
        """How many tokens the only row and these begin with, at least one being left to read."""
        length = min(self._lengths[0], len(tokens) - 1)
        differs = (self._cache.window[0, :length] != tokens[:length]).nonzero()
        return int(differs[0]) if len(differs) else length

    @torch.no_grad()
    def step(self, tokens: Int[Tensor, "batch"]) -> Float[Tensor, "batch d_vocab"]:
        """Add one token to every row and return the logits after it.

        Raises UserError before the first prefill, and for any other number of tokens than rows.
        """
        self._check(tokens, tokens.shape[1:] == ())
        if max(self._lengths) == self.config.n_ctx:
            return self._slide(tokens[:, None])
        cache = self._cache
        cache.next_token.copy_(tokens)
        span = max(self._lengths) + 1
        logits = self._step(cache, span)
        self._lengths = [length + 1 for length in self._lengths]
        return logits

    @torch.no_grad()
    def extend(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch d_vocab"]:
        """Add tokens, as many to every row, and return the logits after the last.

        Raises UserError as `step` does.
        """
        self._check(tokens, tokens.ndim == 2 and tokens.shape[1] > 0)
        if tokens.shape[1] == 1:
            return self.step(tokens[:, 0])
        if max(self._lengths) + tokens.shape[1] > self.config.n_ctx:
            return self._slide(tokens)
        return self.weights.logits(self._read(tokens.to(self.device))[:, -1])

    @torch.no_grad()
    def extend_each(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_vocab"]:
        """Add tokens, as many to every row, and return the logits after each of them.

        Raises UserError as `step` does, and for rows that would be longer than n_ctx.
        """
        self._check(tokens, tokens.ndim == 2 and tokens.shape[1] > 0)
        longest = max(self._lengths) + tokens.shape[1]
        if longest > self.config.n_ctx:
            raise UserError(f"{longest} tokens do not fit n_ctx = {self.config.n_ctx}; give fewer")
        residual = self._read(tokens.to(self.device))
        logits: Tensor = self.weights.logits(residual.flatten(end_dim=1)).unflatten(0, tokens.shape)
        return logits

    def _check(self, tokens: Tensor, has_the_axes: bool) -> None:
        if not (self._lengths and has_the_axes and len(tokens) == len(self._lengths)):
            raise UserError(
                f"the decoder was given tokens of shape {tuple(tokens.shape)} for "
                f"{len(self._lengths)} rows; call prefill first, then give tokens for every row"
            )

    def _slide(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch d_vocab"]:
        """Add tokens to rows of which one would be longer than n_ctx."""
        rows = zip(self._cache.window, self._lengths, tokens.to(self.device), strict=True)
        return self.prefill([torch.cat([window[:length], new]) for window, length, new in rows])

    def _read(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_model"]:
        """Add tokens to every row; what the final norm reads at each of them."""
        cache, seq = self._cache, tokens.shape[1]
        span = max(self._lengths) + seq
        positions = cache.positions[:, None] + torch.arange(seq, device=self.device)
        mask = None if span == seq else cache.readable(positions, span)
        residual = self._through_blocks(tokens, positions, cache, span, mask)
        cache.window.scatter_(1, positions, tokens)
        cache.positions.add_(seq)
        self._lengths = [length + seq for length in self._lengths]
        return residual

    def _through_blocks(
        self,
        tokens: Int[Tensor, "batch seq"],
        positions: Int[Tensor, "batch seq"],
        cache: KeyValueCache,
        span: int,
        mask: Bool[Tensor, "batch 1 seq span"] | None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Compute these tokens, which attend within the first `span` places and are stored there.

        mask: the places that each may attend to; left out, those up to its own, from 0.
        """
        batch = len(tokens)
        residual = self.weights.embed(tokens, positions).flatten(end_dim=1)
        for layer, block in enumerate(self.weights.blocks):
            query, key, value = rearrange(
                block.query_key_value(block.ln1(residual)),
                "(batch seq) (three head d_head) -> three batch head seq d_head",
                batch=batch,
                three=3,
                d_head=self.config.d_head,
            )
            cache.put(layer, positions, key, value)
            z = F.scaled_dot_product_attention(
                query,
                cache.keys[layer][:, :, :span],
                cache.values[layer][:, :, :span],
                attn_mask=mask,
                is_causal=mask is None,
            )
            z = rearrange(z, "batch head seq d_head -> (batch seq) (head d_head)")
            residual = residual + block.output(z)
            residual = residual + block.mlp(residual)
        unflattened: Tensor = residual.unflatten(0, tokens.shape)
        return unflattened

    def _advanced(self, cache: KeyValueCache, span: int) -> Float[Tensor, "batch d_vocab"]:
        """Read every row's next token, which attends within the first `span` places."""
        tokens, positions = cache.next_token[:, None], cache.positions[:, None]
        cache.window.scatter_(1, positions, tokens)
        if self._native is not None and len(tokens) <= MOST_ROWS:
            embed = self.weights.embed(tokens, positions)[:, 0]
            logits = self._native(embed, cache.positions, cache.keys, cache.values)
        else:
            mask = cache.readable(positions, span)
            residual = self._through_blocks(tokens, positions, cache, span, mask)
            logits = self.weights.logits(residual[:, 0])
        cache.positions.add_(1)
        return logits

    def _replayed(self, cache: KeyValueCache, span: int) -> Float[Tensor, "batch d_vocab"]:
        """The same from a graph, which reads a power of two of places; captured when first met."""
        places = SHORTEST_GRAPH
        while places < span:
            places *= 2
        places = min(places, self.config.n_ctx)
        if places not in self._graphs:
            self._graphs[places] = self._captured(cache, places)
        graph, logits = self._graphs[places]
        graph.replay()
        return logits.clone()

    def _captured(
        self, cache: KeyValueCache, places: int
    ) -> tuple[torch.cuda.CUDAGraph, Float[Tensor, "batch d_vocab"]]:
        positions = cache.positions.clone()
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            for _ in range(GRAPH_WARM_UPS):
                self._advance(cache, places)
                cache.positions.copy_(positions)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self._advance(cache, places)
        return graph, logits

    def truncate(self, lengths: int | Sequence[int]) -> None:
        """Keep each row's first `length` tokens, as if the later ones had never been read.

        lengths: one for every row, or one for all.

        Raises UserError for a length that a row has not.
        """
        wanted = [lengths] * len(self._lengths) if isinstance(lengths, int) else [*lengths]
        within = (0 <= new <= old for new, old in zip(wanted, self._lengths, strict=False))
        if len(wanted) != len(self._lengths) or not all(within):
            raise UserError(f"cannot truncate rows of {self._lengths} tokens to {wanted}")
        self._cache.truncate(wanted)
        self._lengths = wanted

    def fork(self) -> "CachedDecoder":
        """A decoder on the same weights whose rows go on from here, apart from these."""
        other = CachedDecoder(self.weights, compile=self._compile)
        batch = len(self._lengths)
        other._cache = KeyValueCache(self.config, batch, self.weights.dtype, self.device)
        other._cache.copy_from(self._cache, max(self._lengths, default=0))
        other._lengths = [*self._lengths]
        return other

    @torch.no_grad()
    def select(self, rows: Sequence[int] | Int[Tensor, "batch_new"]) -> None:
        """Keep these rows, in this order; a row named twice goes on as two.

        Raises UserError for a row that is not there.
        """
        kept = [int(row) for row in rows]
        if not set(kept) <= set(range(len(self._lengths))):
            raise UserError(
                f"cannot keep rows {kept} of {len(self._lengths)}; "
                "call prefill first, then name rows counted from 0"
            )
        self._lengths = [self._lengths[row] for row in kept]
        filled = max(self._lengths, default=0)
        self._cache.select(torch.tensor(kept, dtype=torch.long, device=self.device), filled)
        self._graphs = {}
