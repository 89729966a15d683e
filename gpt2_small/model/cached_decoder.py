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

SHORTEST_GRAPH = 128  # positions of the cache that the smallest CUDA graph reads
GRAPH_WARM_UPS = 3


class CachedDecoder:
    """Computes next-token logits of a batch of growing rows, without dropout.

    Every row sees its own last n_ctx tokens, at positions from 0, as in `solution.generate`: when a
    row would exceed n_ctx, its oldest tokens are dropped and the batch is computed again.

    On CUDA a step replays a graph, without synchronising with the device.

    weights: may be shared with other decoders; the cache is not shared.
    compile: compile the step with torch.compile, instead of running the C code.
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
        """The number of cached tokens of each row."""
        return tuple(self._lengths)

    @torch.no_grad()
    def prefill(
        self,
        prompts: Sequence[Sequence[int]] | Sequence[Tensor] | Tensor,
        *,
        reuse: bool = False,
    ) -> Float[Tensor, "batch d_vocab"]:
        """Replace the rows by these prompts, of any lengths, and return the logits after each.

        A prompt longer than n_ctx is cut to its last n_ctx tokens.

        reuse: compute only the tokens of a single prompt that differ from the cached row.

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
        """Length of the prefix that the cached row shares with these tokens, excluding the last."""
        length = min(self._lengths[0], len(tokens) - 1)
        differs = (self._cache.window[0, :length] != tokens[:length]).nonzero()
        return int(differs[0]) if len(differs) else length

    @torch.no_grad()
    def step(self, tokens: Int[Tensor, "batch"]) -> Float[Tensor, "batch d_vocab"]:
        """Add one token to every row and return the logits after it.

        Raises UserError before the first prefill, and unless there is one token for each row.
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
        """Add the same number of tokens to every row, and return the logits after the last.

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
        """Add the same number of tokens to every row, and return the logits after each of them.

        Raises UserError as `step` does, and for rows that would exceed n_ctx.
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
        """Add tokens to rows, of which one would exceed n_ctx: drop the oldest and prefill."""
        rows = zip(self._cache.window, self._lengths, tokens.to(self.device), strict=True)
        return self.prefill([torch.cat([window[:length], new]) for window, length, new in rows])

    def _read(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_model"]:
        """Add tokens to every row, and return the final residual stream at each of them."""
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
        """Compute tokens that attend to the first `span` positions; cache their keys and values.

        mask: the positions that each token attends to; left out, those from 0 up to its own.
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
        """Compute every row's next token, which attends to the first `span` positions."""
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
        """The same by a CUDA graph over a power of two of positions, captured at first use."""
        graph_span = SHORTEST_GRAPH
        while graph_span < span:
            graph_span *= 2
        graph_span = min(graph_span, self.config.n_ctx)
        if graph_span not in self._graphs:
            self._graphs[graph_span] = self._captured(cache, graph_span)
        graph, logits = self._graphs[graph_span]
        graph.replay()
        return logits.clone()

    def _captured(
        self, cache: KeyValueCache, span: int
    ) -> tuple[torch.cuda.CUDAGraph, Float[Tensor, "batch d_vocab"]]:
        positions = cache.positions.clone()
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            for _ in range(GRAPH_WARM_UPS):
                self._advance(cache, span)
                cache.positions.copy_(positions)
        torch.cuda.current_stream(self.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # By default a graph captures a stream of the current device, which may be another.
        with torch.cuda.device(self.device), torch.cuda.graph(graph, stream=stream):
            logits = self._advance(cache, span)
        return graph, logits

    def truncate(self, lengths: int | Sequence[int]) -> None:
        """Drop each row's tokens after the first `length`.

        lengths: one for every row, or one for all.

        Raises UserError for a length greater than a row's.
        """
        wanted = [lengths] * len(self._lengths) if isinstance(lengths, int) else [*lengths]
        within = (0 <= new <= old for new, old in zip(wanted, self._lengths, strict=False))
        if len(wanted) != len(self._lengths) or not all(within):
            raise UserError(f"cannot truncate rows of {self._lengths} tokens to {wanted}")
        self._cache.truncate(wanted)
        self._lengths = wanted

    def fork(self) -> "CachedDecoder":
        """Copy the decoder: the same weights, and a copy of the cache."""
        other = CachedDecoder(self.weights, compile=self._compile)
        batch = len(self._lengths)
        other._cache = KeyValueCache(self.config, batch, self.weights.dtype, self.device)
        other._cache.copy_from(self._cache, max(self._lengths, default=0))
        other._lengths = [*self._lengths]
        return other

    @torch.no_grad()
    def select(self, rows: Sequence[int] | Int[Tensor, "batch_new"]) -> None:
        """Reorder the batch to these rows; a row may be repeated.

        Raises UserError for a row that does not exist.
        """
        selected = [int(row) for row in rows]
        if not set(selected) <= set(range(len(self._lengths))):
            raise UserError(
                f"cannot select rows {selected} of {len(self._lengths)}; "
                "call prefill first, then name rows counted from 0"
            )
        self._lengths = [self._lengths[row] for row in selected]
        filled = max(self._lengths, default=0)
        self._cache.select(torch.tensor(selected, dtype=torch.long, device=self.device), filled)
        self._graphs = {}
