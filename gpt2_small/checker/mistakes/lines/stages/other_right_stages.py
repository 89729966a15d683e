"""List right intermediate results that the reference does not compute."""

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2_small.checker.claims.functions import loss
from gpt2_small.checker.claims.judging import token_distribution
from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.claims.modules import attention
from gpt2_small.checker.mistakes.lines.stages.stage import Stage, numbers_of, stage_of
from gpt2_small.checker.sandbox import tracing

# Right only before a logarithm.
BEFORE_LOG = "probabilities before the logarithm"


def other_right_stages(part: str, seed: int, found: Sequence[Stage]) -> Iterator[Stage]:
    """Right intermediate results that the reference does not compute."""
    by_name = {stage.name: stage.value for stage in found}
    if part == "MultiHeadAttention":
        scores = by_name["the masked scores"]
        yield stage_of("a step in the pattern", scores.exp())
        yield stage_of("a step in the pattern", (scores - scores.amax(-1, keepdim=True)).exp())
        packed = [by_name[name] for name in ("the queries", "the keys", "the values")]
        yield stage_of(
            "queries, keys and values", torch.cat([v.flatten(2) for v in packed], dim=-1)
        )
        model = attention.SUBJECT.build(reference(), seed).double()
        by_head = torch.einsum("bqhd,hdm->bqhm", by_name["z"], model.get_parameter("W_O"))
        yield stage_of("a step in the output", by_head.detach())
        yield stage_of("a step in the output", by_head.cumsum(dim=2).detach())
    if part == "LayerNorm":
        yield stage_of(
            "the inverse of the scale", 1 / by_name["the scale, sqrt(variance + epsilon)"]
        )
    if part == "MLP":
        pre = by_name["the hidden layer before the activation"]
        inner = math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)
        for value in (pre**3, pre + 0.044715 * pre**3, inner, inner.tanh(), 1 + inner.tanh()):
            yield stage_of("a step in the hidden layer after the activation", value)
    if part == "sample":
        yield from _ways_to_sample(seed)
    if part == "next_token_loss":
        # With one token more, all positions have a target.
        every = loss.logits(seed, "diagnosis").double()
        logits = by_name.get("the logits that have a target", every)
        targets = by_name["the targets"].unsqueeze(-1)
        yield from _ways_to_normalize(logits)
        yield stage_of("a step in the loss", logits.gather(-1, targets))
        yield stage_of("the loss of each target", -logits.log_softmax(-1).gather(-1, targets))
        yield stage_of("a step in the loss", F.one_hot(targets.squeeze(-1), logits.shape[-1]))
        for name, value in (
            ("log probabilities", logits.log_softmax(-1)),
            (BEFORE_LOG, logits.softmax(-1)),
        ):
            yield stage_of(f"the {name}", value)
            yield stage_of(f"the {name} of the targets", value.gather(-1, targets))


def _ways_to_normalize(logits: Tensor) -> Iterator[Stage]:
    """The intermediate results of a log-softmax, with and without the maximum."""
    largest = logits.amax(-1, keepdim=True)
    for value in (logits, logits - largest):
        total = value.exp().sum(-1)
        for step in (value, value.exp(), total):
            yield stage_of("a step in the log probabilities", step)
    for step in (largest, logits.logsumexp(-1)):
        yield stage_of("a step in the log probabilities", step)


def _ways_to_sample(seed: int) -> Iterator[Stage]:
    """Logits and probabilities after each cut, sorted and unsorted."""
    logits = tracing.sampled(seed)
    settings = tracing.SAMPLING
    scaled = logits / settings["temperature"]
    largest = scaled.amax(-1, keepdim=True)
    least = scaled.topk(int(settings["top_k"])).values[:, -1:]
    cut = scaled.masked_fill(scaled < least, -math.inf)
    probabilities = token_distribution.probabilities(logits, **settings)
    kept = cut.masked_fill(probabilities == 0, -math.inf)
    shares = cut.softmax(-1)
    yield from _masks(scaled, cut, probabilities)
    total = scaled.logsumexp(-1, keepdim=True)  # for log probabilities
    for origin in (0.0, largest, total):
        among = (scaled - origin).topk(int(settings["top_k"])).values
        yield stage_of("the k largest logits", among)
        yield stage_of("the least of the k largest logits", among[:, -1:])
    for name, value in (
        ("the logits over the temperature", scaled),
        ("the logits over the temperature", scaled - largest),
        ("the logits over the temperature", scaled - total),
        ("the logits that top_k leaves", cut),
        ("the logits that top_k leaves", cut - largest),
        ("the logits that top_k leaves", cut - total),
        ("the probabilities that top_k leaves", shares),
        ("the logits that top_p leaves", kept),
        ("the logits that top_p leaves", kept - largest),
        ("the probabilities that top_p leaves", shares.masked_fill(probabilities == 0, 0.0)),
        ("the probabilities that top_p leaves", probabilities),
    ):
        yield stage_of(name, value)
        for descending in (True, False):
            in_order = value.sort(dim=-1, descending=descending).values
            yield stage_of(name, in_order)
            if "probabilities" in name:
                sums = in_order.cumsum(-1)
                yield stage_of(f"a step after {name}", sums)
                yield stage_of(f"a step after {name}", sums - in_order)


def _masks(scaled: Tensor, cut: Tensor, probabilities: Tensor) -> Iterator[Stage]:
    """Masks of top_k, top_p and both [batch d_vocab], in the tokens' order and sorted."""
    order = scaled.argsort(dim=-1, descending=True)
    by_top_k, by_both = cut == -math.inf, probabilities == 0
    for name, mask in (
        ("what top_k removes", by_top_k),
        ("what is removed", by_both),
        ("what top_p removes", by_both & ~by_top_k),
    ):
        yield Stage(name, mask, numbers_of(mask))
        for each in (order, order.flip(-1)):
            in_order = mask.gather(-1, each)
            yield Stage(name, in_order, numbers_of(in_order))
