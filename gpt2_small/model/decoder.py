"""Decoding with the fast twin: one position is computed for every new token."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from gpt2_small.errors import UserError
from gpt2_small.kernels.native.decode_step import MOST_ROWS, NativeStep
from gpt2_small.kernels.native.library import unavailable
from gpt2_small.model.eligibility import refuse_others
from gpt2_small.model.kv_cache import KeyValueCache
from gpt2_small.model.packed_weights import PackedTransformer
from gpt2_small.model.projection import Part

SHORTEST_GRAPH = 128  # places of the cache that the smallest CUDA graph reads
GRAPH_WARM_UPS = 3


class Decoder:
    """Next-token logits for a batch of growing sequences, by a model without dropout.

    The weights are packed as they are now; after further training, make a new Decoder. Every row
    sees its own last n_ctx tokens, at positions from 0, as in `solution.generate`: once a row is
    n_ctx long, each step moves all its positions, and the batch's windows are read anew.

    On CUDA a step is a graph, replayed; nothing waits for the device.

    dtype: of the packed weights, and of the arithmetic but in C; the model's own when left out.
    compile: whether torch.compile makes the step's kernels.
    native: whether a step of up to `native_step.MOST_ROWS` rows runs the C code of `kernels.c`,
        which this machine's compiler makes when it is first needed, in float32, from a copy of the
        weights of its own; left out, it does where it can and `compile` is not set.

    Raises UserError for a model that the twin does not compute, and where native code is asked for
    and cannot be made.
    """

    def __init__(
        self,
        model: Part,
        *,
        dtype: torch.dtype | None = None,
        compile: bool = False,
        native: bool | None = None,
    ) -> None:
        refuse_others(model)
        self.config = model.config
        self.device = model.embed.W_E.device
        dtype = dtype or model.embed.W_E.dtype
        why_not = unavailable(dtype, self.device) if native or native is None else None
        if native and why_not:
            raise UserError(f"there is no native step here: {why_not}; leave out native=True")
        is_native = not (compile or why_not) if native is None else native
        self._native = NativeStep(model, dtype) if is_native else None
        self._model = PackedTransformer(model, dtype, with_one_row=not is_native)
        self._advance = torch.compile(self._advanced) if compile else self._advanced
        self._step = self._replayed if self.device.type == "cuda" else self._advance
        self._cache: KeyValueCache | None = None
        self._lengths: list[int] = []
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many tokens of each row the cache holds."""
        return tuple(self._lengths)

    @torch.no_grad()
    def prefill(
        self, prompts: Sequence[Sequence[int]] | Sequence[Tensor] | Tensor
    ) -> Float[Tensor, "batch d_vocab"]:
        """Start anew from these prompts, of any lengths, and return the logits after each.

        Of a prompt longer than n_ctx the last n_ctx tokens are read.

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
        if len(self._lengths) != len(rows) or self._cache is None:
            self._cache = KeyValueCache(self.config, len(rows), self._model.dtype, self.device)
            self._graphs = {}
        self._lengths = [len(row) for row in rows]
        self._cache.start(tokens, self._lengths)
        return self._read(tokens, self._cache)

    def _read(
        self, tokens: Int[Tensor, "batch seq"], cache: KeyValueCache
    ) -> Float[Tensor, "batch d_vocab"]:
        model, (batch, seq) = self._model, tokens.shape
        residual = model.embed(tokens, torch.arange(seq, device=self.device))
        residual = rearrange(residual, "batch seq d_model -> (batch seq) d_model")
        for layer, block in enumerate(model.blocks):
            query, key, value = rearrange(
                block.query_key_value(block.ln1(residual)),
                "(batch seq) (three head d_head) -> three batch head seq d_head",
                batch=batch,
                three=3,
                d_head=self.config.d_head,
            )
            cache.fill(layer, key, value)
            z = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            z = rearrange(z, "batch head seq d_head -> (batch seq) (head d_head)")
            residual = residual + block.output(z)
            residual = residual + block.mlp(residual)
        last = torch.arange(batch, device=self.device) * seq + cache.positions - 1
        return model.logits(residual[last])

    @torch.no_grad()
    def step(self, tokens: Int[Tensor, "batch"]) -> Float[Tensor, "batch d_vocab"]:
        """Add one token to every row and return the logits after it.

        Raises UserError before the first prefill, and for any other number of tokens than rows.
        """
        cache = self._cache
        if cache is None or tokens.shape != cache.next_token.shape:
            raise UserError(
                f"a step was given tokens of shape {tuple(tokens.shape)} for "
                f"{len(self._lengths)} rows; call prefill first, then give one token a row"
            )
        if max(self._lengths) == self.config.n_ctx:
            windows = zip(cache.window, self._lengths, tokens.to(self.device), strict=True)
            return self.prefill(
                [torch.cat([window[:length], token[None]]) for window, length, token in windows]
            )
        cache.next_token.copy_(tokens)
        span = max(self._lengths) + 1
        logits = self._step(cache, span)
        self._lengths = [length + 1 for length in self._lengths]
        return logits

    def _advanced(self, cache: KeyValueCache, span: int) -> Float[Tensor, "batch d_vocab"]:
        """Read every row's next token, which attends within the first `span` places."""
        tokens, positions = cache.next_token, cache.positions
        cache.window.scatter_(1, positions[:, None], tokens[:, None])
        embed = self._model.embed(tokens, positions)
        if self._native is not None and len(tokens) <= MOST_ROWS:
            logits = self._native(embed, cache)
        else:
            logits = self._model.logits(self._through_blocks(embed, cache, span))
        positions.add_(1)
        return logits

    def _through_blocks(
        self, residual: Float[Tensor, "batch d_model"], cache: KeyValueCache, span: int
    ) -> Float[Tensor, "batch d_model"]:
        mask = cache.readable(span)
        for layer, block in enumerate(self._model.blocks):
            query, key, value = rearrange(
                block.query_key_value(block.ln1(residual)),
                "batch (three head d_head) -> three batch head d_head",
                three=3,
                d_head=self.config.d_head,
            )
            cache.put(layer, key, value)
            z = F.scaled_dot_product_attention(
                rearrange(query, "batch head d_head -> batch head 1 d_head"),
                cache.keys[layer][:, :, :span],
                cache.values[layer][:, :, :span],
                attn_mask=mask,
            )
            z = rearrange(z, "batch head 1 d_head -> batch (head d_head)")
            residual = residual + block.output(z)
            residual = residual + block.mlp(residual)
        return residual

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

    @torch.no_grad()
    def select(self, rows: Sequence[int] | Int[Tensor, "batch_new"]) -> None:
        """Keep these rows, in this order; a row named twice goes on as two.

        Raises UserError before the first prefill, and for a row that is not there.
        """
        kept = [int(row) for row in rows]
        if self._cache is None or not set(kept) <= set(range(len(self._lengths))):
            raise UserError(
                f"cannot keep rows {kept} of {len(self._lengths)}; "
                "call prefill first, then name rows counted from 0"
            )
        self._lengths = [self._lengths[row] for row in kept]
        filled = max(self._lengths, default=0)
        self._cache.select(torch.tensor(kept, dtype=torch.long, device=self.device), filled)
        self._graphs = {}
