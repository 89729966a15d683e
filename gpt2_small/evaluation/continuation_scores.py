"""Compute the log-probabilities of continuations, with all endings of a context in one row.

A row contains a context and its endings. Every ending attends to the context and to itself, and its
positions continue the context's, so that it gets the same log-probabilities as alone, while the
context is computed once. Only the fast twin can do this; other models compute one row for each
ending.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.generation.decoder import NOT_FINITE
from gpt2_small.kernels.matmul import affine
from gpt2_small.kernels.qkv_projection import query_key_value
from gpt2_small.model.eligibility import stands_in_for
from gpt2_small.model.twin import layer_norm, mlp
from gpt2_small.model_protocol import Model

# Tokens of a batch, padding included; larger batches do not raise the throughput.
CPU_TOKENS = 2048
ACCELERATOR_TOKENS = 32_768
# Positions in one computation of logits: 50,257 float32 logits of 256 positions take 51 MB.
POSITIONS_PER_CHUNK = 256


@dataclass(frozen=True)
class ContinuationScore:
    """The score of a continuation after its context.

    log_probabilities: of its tokens [tokens], in nats.
    is_greedy: whether every token is the most likely one.
    """

    log_probabilities: Tensor
    is_greedy: bool

    @property
    def total(self) -> float:
        """The log-probability of the whole continuation, in nats."""
        return float(self.log_probabilities.double().sum())

    def total_of(self, is_target: np.ndarray) -> float:
        """The log-probability of the chosen tokens, in nats.

        is_target: for each of the tokens, whether it is chosen.
        """
        return float(self.log_probabilities.double()[torch.from_numpy(is_target)].sum())


@dataclass(frozen=True)
class _Row:
    """One row of a batch: a context and its endings.

    places: the indices of each ending in the result; equal endings are computed once.
    """

    context: list[int]
    endings: list[list[int]]
    places: list[list[int]]

    @property
    def length(self) -> int:
        return len(self.context) + sum(len(ending) - 1 for ending in self.endings)


class ContinuationScorer:
    """Scores continuations by a model, or by its fast twin if that computes the same function.

    model: run in eval mode; its mode is restored after every call.
    is_packed: whether the endings of a context share a row; left out, if the twin runs.
    tokens_per_batch: the most tokens of a batch, padding included.
    """

    def __init__(
        self,
        model: Model,
        *,
        is_packed: bool | None = None,
        tokens_per_batch: int | None = None,
    ) -> None:
        self.model = model
        self.n_ctx = model.config.n_ctx
        self.device = next(model.parameters()).device
        self.uses_twin = stands_in_for(model)
        self.is_packed = self.uses_twin if is_packed is None else is_packed and self.uses_twin
        on_cpu = self.device.type == "cpu"
        self.tokens_per_batch = tokens_per_batch or (CPU_TOKENS if on_cpu else ACCELERATOR_TOKENS)

    @torch.no_grad()
    def score(
        self,
        requests: Sequence[tuple[Sequence[int], Sequence[int]]],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> list[ContinuationScore]:
        """Score each continuation after its context, in the order of the requests.

        Contexts are cut on the left so that both together have at most n_ctx + 1 tokens, as in
        lm-evaluation-harness.

        requests: (context, continuation) pairs of token ids, neither empty.
        progress: called with the number of requests scored so far.

        Raises ValueError for an empty context or continuation, and for a continuation of more than
        n_ctx tokens, and UserError when the model's logits are not finite.
        """
        scores: list[ContinuationScore | None] = [None] * len(requests)
        done = 0
        was_training = self.model.training
        self.model.eval()
        try:
            for batch in self._batches(self._rows(requests)):
                for place, score in self._scored(batch):
                    scores[place] = score
                done += sum(len(places) for row in batch for places in row.places)
                if progress is not None:
                    progress(done)
        finally:
            self.model.train(was_training)
        return [score for score in scores if score is not None]

    def _rows(self, requests: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[_Row]:
        rows: dict[tuple[int, ...], _Row] = {}
        for place, (context, continuation) in enumerate(requests):
            self._check(place, context, continuation)
            most = self.n_ctx + 1 - len(continuation)
            cut, ending = list(context)[-most:], list(continuation)
            key = (*cut,) if self.is_packed else (place,)
            row = rows.setdefault(key, _Row(cut, [], []))
            if ending in row.endings:
                row.places[row.endings.index(ending)].append(place)
            else:
                row.endings.append(ending)
                row.places.append([place])
        return sorted(rows.values(), key=lambda row: -row.length)

    def _check(self, place: int, context: Sequence[int], continuation: Sequence[int]) -> None:
        if not len(context) or not len(continuation):
            raise ValueError(f"request {place} has an empty context or continuation")
        if len(continuation) > self.n_ctx:
            raise ValueError(
                f"continuation {place} has {len(continuation)} tokens, more than n_ctx = "
                f"{self.n_ctx}; score a shorter one"
            )

    def _batches(self, rows: Sequence[_Row]) -> Iterator[list[_Row]]:
        """Batch rows of similar length, the longest first."""
        batch: list[_Row] = []
        for row in rows:
            if batch and batch[0].length * (len(batch) + 1) > self.tokens_per_batch:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _scored(self, batch: Sequence[_Row]) -> Iterator[tuple[int, ContinuationScore]]:
        tokens, positions, segments = _layout(batch)
        tokens, positions, segments = (
            part.to(self.device) for part in (tokens, positions, segments)
        )
        where: list[int] = []
        targets: list[int] = []
        for number, row in enumerate(batch):
            begin = number * tokens.shape[1]
            last, at = begin + len(row.context) - 1, begin + len(row.context)
            for ending in row.endings:
                where += [last, *range(at, at + len(ending) - 1)]
                targets += ending
                at += len(ending) - 1
        log_probabilities, best = self._at(
            tokens,
            positions,
            _visible(segments) if any(len(row.endings) > 1 for row in batch) else None,
            torch.tensor(where, device=self.device),
            torch.tensor(targets, device=self.device),
        )
        begin = 0
        for row in batch:
            for places, ending in zip(row.places, row.endings, strict=True):
                part = slice(begin, begin + len(ending))
                score = ContinuationScore(log_probabilities[part], bool(best[part].all()))
                yield from ((place, score) for place in places)
                begin += len(ending)

    def _at(
        self,
        tokens: Int[Tensor, "batch seq"],
        positions: Int[Tensor, "batch seq"],
        visible: Bool[Tensor, "batch 1 seq_q seq_k"] | None,
        where: Int[Tensor, "targets"],
        targets: Int[Tensor, "targets"],
    ) -> tuple[Float[Tensor, "targets"], Bool[Tensor, "targets"]]:
        """The log-probability of each target and whether it is the likeliest token, on the CPU."""
        unembed: Callable[[Tensor], Tensor] = lambda rows: rows  # noqa: E731
        if self.uses_twin:
            final = packed_residual(self.model, tokens, positions, visible)
            states = rearrange(final, "batch seq d_model -> (batch seq) d_model")
            unembed = partial(_logits, self.model)
        else:
            logits = self.model(tokens)
            states = rearrange(logits, "batch seq d_vocab -> (batch seq) d_vocab")
        log_probabilities, best = [], []
        for rows, wanted in zip(
            where.split(POSITIONS_PER_CHUNK), targets.split(POSITIONS_PER_CHUNK), strict=True
        ):
            chunk = unembed(states[rows]).to(torch.promote_types(states.dtype, torch.float32))
            log_probabilities.append(-F.cross_entropy(chunk, wanted, reduction="none"))
            best.append(chunk.argmax(dim=-1) == wanted)
        found = torch.cat(log_probabilities).cpu()
        if found.isnan().any():
            raise UserError(NOT_FINITE)
        return found, torch.cat(best).cpu()


def _layout(
    batch: Sequence[_Row],
) -> tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]]:
    """Tokens, positions and segments of rows, padded on the right.

    A context is segment 0 and its endings are 1, 2 and so on; padding is -1. The last token of an
    ending is a target only, not an input.
    """
    seq = batch[0].length
    tokens = torch.zeros(len(batch), seq, dtype=torch.long)
    positions, segments = tokens.clone(), torch.full_like(tokens, -1)
    for number, row in enumerate(batch):
        at = len(row.context)
        tokens[number, :at] = torch.tensor(row.context)
        positions[number, :at] = torch.arange(at)
        segments[number, :at] = 0
        for segment, ending in enumerate(row.endings, start=1):
            stop = at + len(ending) - 1
            tokens[number, at:stop] = torch.tensor(ending[:-1], dtype=torch.long)
            positions[number, at:stop] = torch.arange(
                len(row.context), len(row.context) + stop - at
            )
            segments[number, at:stop] = segment
            at = stop
    return tokens, positions, segments


def _visible(segments: Int[Tensor, "batch seq"]) -> Bool[Tensor, "batch 1 seq_q seq_k"]:
    """The attention mask: the context and a position's own segment, up to itself."""
    key = rearrange(segments, "batch seq_k -> batch 1 1 seq_k")
    query = rearrange(segments, "batch seq_q -> batch 1 seq_q 1")
    seq = segments.shape[1]
    causal = torch.ones(seq, seq, dtype=torch.bool, device=segments.device).tril()
    return ((key == 0) | (key == query)) & causal


def packed_residual(
    model: Model,
    tokens: Int[Tensor, "batch seq"],
    positions: Int[Tensor, "batch seq"],
    visible: Bool[Tensor, "batch 1 seq_q seq_k"] | None,
) -> Float[Tensor, "batch seq d_model"]:
    """The unembedding's input by the fast twin, with given positions and mask.

    visible: the keys that each query attends to; None for the causal mask.
    """
    residual = model.embed.W_E[tokens] + model.pos_embed.W_pos[positions]
    for block in model.blocks:
        attn = block.attn
        weights, biases = (attn.W_Q, attn.W_K, attn.W_V), (attn.b_Q, attn.b_K, attn.b_V)
        query, key, value = rearrange(
            query_key_value(layer_norm(block.ln1, residual), weights, biases),
            "batch seq (three head d_head) -> three batch head seq d_head",
            three=3,
            d_head=attn.d_head,
        )
        z = F.scaled_dot_product_attention(
            query, key, value, attn_mask=visible, is_causal=visible is None
        )
        z = rearrange(z, "batch head seq d_head -> batch seq (head d_head)")
        residual = residual + affine(z, attn.W_O.flatten(end_dim=1), attn.b_O)
        residual = residual + mlp(block.mlp, layer_norm(block.ln2, residual))
    return layer_norm(model.ln_final, residual)


def _logits(model: Model, final: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows d_vocab"]:
    unembed = model.unembed
    if unembed is None:
        return final @ model.embed.W_E.mT
    return rearrange(unembed(rearrange(final, "rows d -> 1 rows d")), "1 rows d -> rows d")
