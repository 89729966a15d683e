"""Summarise a model's activations on a text: attention heads, logit lens, residual norms."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gpt2_small.app.activations import (
    Activations,
    AttentionPattern,
    as_batch,
    observe,
    pattern,
    unembed,
)
from gpt2_small.app.models import ShownModel
from gpt2_small.app.text_loss import finite, loss_of, token_log_probs
from gpt2_small.app.token_views import fitting, pieces, scored
from gpt2_small.generation.sampling.logit_processors import without_padding

Json = dict[str, Any]

THUMBNAIL = 40  # pixels on a side, at most
MOST_CACHED_BYTES = 256 << 20
# Differences above this are not due to rounding.
NOTICEABLE = 1e-4
LENS_CANDIDATES = 5
MOST_LENS_POSITIONS = 64


@dataclass(frozen=True)
class _Entry:
    shown: ShownModel
    observation: Activations


class ActivationCache:
    """Caches the latest observations, so that further questions about a text run no model."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def at(self, shown: ShownModel, ids: Sequence[int]) -> Activations:
        """The model's activations on a text. Raises UserError for one longer than the context."""
        text = fitting(shown, ids)
        for number, entry in enumerate(self._entries):
            if entry.shown is shown and entry.observation.ids == text:
                self._entries.append(self._entries.pop(number))
                return entry.observation
        observation = observe(shown.model, text)
        self._entries.append(_Entry(shown, observation))
        while len(self._entries) > 1 and self._bytes() > MOST_CACHED_BYTES:
            self._entries.pop(0)
        return observation

    def _bytes(self) -> int:
        return sum(entry.observation.bytes for entry in self._entries)


def overview(
    shown: ShownModel,
    observations: ActivationCache,
    ids: Sequence[int],
    reference: ShownModel | None,
) -> Iterator[Json]:
    """The text's tokens, loss and residual norms; then, layer by layer, a summary of every head.

    reference: a model of the same weights, to compare each head with.
    """
    seen = observations.at(shown, ids)
    log_probs = token_log_probs(shown, seen.logits, seen.ids)
    yield {
        "tokens": pieces(shown.tokenizer, seen.ids),
        "lps": [None, *log_probs],
        "loss": loss_of(log_probs),
        "heads": shown.model.config.n_heads,
        "norms": norms(seen),
    }
    yield {"looks_ahead": looks_ahead(shown, seen)}
    for layer, attn_in in enumerate(seen.attn_in):
        found = pattern(shown.model, layer, attn_in)
        expected = None
        if reference is not None:
            expected = pattern(reference.model, layer, attn_in).values
        yield {"layer": layer, "origin": found.origin} | {
            "of_heads": [
                head_summary(seen.ids, head, None if expected is None else expected[number])
                for number, head in enumerate(found.values)
            ]
        }


def head_summary(
    ids: Sequence[int],
    weights: Float[Tensor, "seq seq"],
    expected: Float[Tensor, "seq seq"] | None,
) -> Json:
    """A summary of one head on a text: its numbers and a thumbnail of its pattern.

    ahead: the largest weight on a later position; `sums`: the largest difference of a row's sum
    from 1; `unlike`: the largest difference from the reference's head, if there is one.
    """
    ahead = weights.triu(diagonal=1).abs().max().item()
    summary: Json = {
        "image": thumbnail(weights),
        "share": shares(ids, weights),
        "ahead": finite(ahead),
        "sums": finite((weights.sum(dim=-1) - 1).abs().max().item()),
        "is_finite": bool(weights.isfinite().all()),
    }
    if expected is not None:
        summary["unlike"] = finite((weights - expected).abs().max().item())
    return summary


def shares(ids: Sequence[int], weights: Float[Tensor, "seq seq"]) -> Json:
    """The mean attention weight on positions of each kind that occurs.

    previous, first, itself; `same`: earlier copies of the token; `after`: the tokens after earlier
    copies, as for induction heads (Olsson et al. 2022, "In-context Learning and Induction Heads");
    `even`: the entropy of the weights over its maximum.
    """
    seq = len(ids)
    tokens = torch.tensor(ids, device=weights.device)
    position = torch.arange(seq, device=weights.device)
    earlier = position[:, None] > position
    same = (tokens[:, None] == tokens) & earlier
    after = F.pad(same, (1, 0))[:, :-1] & earlier
    kinds = {
        "previous": position[:, None] - 1 == position,
        "first": (position == 0) & earlier,
        "itself": position[:, None] == position,
        "same": same,
        "after": after,
    }
    found: Json = {}
    for name, chosen in kinds.items():
        rows = chosen.any(dim=-1)
        rows[0] = False
        if rows.any():
            found[name] = finite((weights * chosen).sum(dim=-1)[rows].mean().item())
    if seq > 2:
        entropy = -torch.special.xlogy(weights, weights).sum(dim=-1)[1:]
        found["even"] = finite((entropy / (position[1:] + 1).log()).mean().item())
    return found


def thumbnail(weights: Float[Tensor, "seq seq"]) -> Json:
    """A small picture of a pattern, with the largest weight of each cell: bytes in base64.

    A byte encodes the square root of a weight, so that small weights are visible.
    """
    size = min(len(weights), THUMBNAIL)
    cells = F.adaptive_max_pool2d(weights.nan_to_num(0.0)[None], size)[0]
    levels = (cells.clamp(0, 1).sqrt() * 255).round().to(torch.uint8).cpu()
    return {"size": size, "levels": base64.b64encode(levels.numpy().tobytes()).decode()}


def looks_ahead(shown: ShownModel, seen: Activations) -> Json | None:
    """The largest change of earlier logits when the last token changes; None without any.

    A GPT-2 has none. The attention patterns are not used.
    """
    if len(seen.ids) < 2:
        return None
    *before, last = seen.ids
    other = (last + 1) % min(shown.tokenizer.vocab_size, shown.model.config.d_vocab)
    with torch.no_grad():
        changed = shown.model(as_batch(shown.model, (*before, other)))[0]
    difference = (changed - seen.logits)[:-1].abs().amax(dim=-1)
    largest = difference.max().item()
    scale = max(1.0, seen.logits.abs().max().item())
    if not largest > NOTICEABLE * scale:
        return None
    return {"position": int(difference.argmax().item()), "difference": finite(largest)}


def norms(seen: Activations) -> Json:
    """Norms of the residual stream, and of the outputs of attention and MLP.

    The stream's are before each layer and at the end. Each value is a list [layer][position].
    """
    lists = {"resid": seen.resid, "attn_out": seen.attn_out, "mlp_out": seen.mlp_out}
    return {
        name: [[finite(value) for value in tensor.norm(dim=-1).tolist()] for tensor in tensors]
        for name, tensors in lists.items()
    }


def head_pattern(
    shown: ShownModel, observations: ActivationCache, ids: Sequence[int], layer: int, head: int
) -> bytes:
    """One head's full pattern [seq_q seq_k]: float32, little-endian, row by row."""
    seen = observations.at(shown, ids)
    found: AttentionPattern = pattern(shown.model, layer, seen.attn_in[layer])
    return found.values[head].float().cpu().contiguous().numpy().astype("<f4").tobytes()


def lens(
    shown: ShownModel, observations: ActivationCache, ids: Sequence[int], start: int, stop: int
) -> Iterator[Json | None]:
    """The logit lens at the positions from start to stop: a row for each layer.

    The model's final norm and unembedding are applied to the residual stream before each block and
    after the last (nostalgebraist 2020, "interpreting GPT: the logit lens"); the last row contains
    the model's logits. A cell has the likeliest tokens, and rank and lp of the true next one.
    """
    seen = observations.at(shown, ids)
    stop = min(stop, len(seen.ids), start + MOST_LENS_POSITIONS)
    for layer, resid in enumerate(seen.resid):
        logits = without_padding(
            unembed(shown.model, resid[start:stop]), shown.tokenizer.vocab_size
        )
        cells = []
        for offset, log_probs in enumerate(logits.float().log_softmax(dim=-1)):
            position = start + offset
            following = seen.ids[position + 1] if position + 1 < len(seen.ids) else None
            cells.append(lens_cell(shown, log_probs, following))
        yield {"layer": layer, "cells": cells}


def lens_cell(
    shown: ShownModel, log_probs: Float[Tensor, "d_vocab"], following: int | None
) -> Json:
    """The likeliest tokens of one position and layer, and the true next one's rank."""
    best = int(log_probs.argmax().item())
    cell = scored(shown, log_probs, best if following is None else following, LENS_CANDIDATES)
    if following is None:
        del cell["rank"], cell["lp"]
    return cell
