"""Record the reference's intermediate results in a part, with names."""

import ast
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2_small.checker.claims.functions import loss
from gpt2_small.checker.claims.judging import token_distribution
from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.claims.judging.tolerances import STAGES
from gpt2_small.checker.claims.modules import attention
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.mistakes.edited_reference import reference_text
from gpt2_small.checker.sandbox import tracing
from gpt2_small.checker.sandbox.tracing import record

# Masked scores: below this, exp gives 0 in a softmax.
HIDDEN = -1e4
MASKED = -54321.0

# The beginning of the name of a result inside a statement.
WITHIN = "a step in "

# Right only before a logarithm.
BEFORE_LOG = "probabilities before the logarithm"

# The names of the reference's variables.
NAMES = {
    "centered": "the input minus its mean",
    "variance": "the variance",
    "scale": "the scale, sqrt(variance + epsilon)",
    "normalized": "the normalized input",
    "query": "the queries",
    "key": "the keys",
    "value": "the values",
    "similarity": "the scores before the mask",
    "scores": "the masked scores",
    "pattern": "the pattern",
    "z": "z",
    "output": "the output before b_O and dropout",
    "returned": "the output",
    "pre": "the hidden layer before the activation",
    "post": "the hidden layer after the activation",
    "attn_out": "the attention's output",
    "resid_mid": "the stream after attention",
    "mlp_out": "the MLP's output",
    "embed": "the token embedding",
    "pos_embed": "the position embedding",
    "residual": "the residual stream",
    "final": "the stream after the last norm",
    "tied_W_U": "the transposed W_E",
    "targets": "the targets",
    "predictions": "the logits that have a target",
    "relative": "the logits",
    "descending": "the sorted logits over the temperature",
    "probabilities": "the probabilities",
    "rank": "the drawn rank",
    "logits": "the logits",
    "next_token": "the next token",
    "tokens": "the tokens so far",
    "weighted_loss": "the weighted loss",
}
# Where they are other ones in a part.
_NAMES_IN = {("MLP", "output"): "the output before dropout"}
PLURAL = ("queries", "keys", "values", "scores", "logits", "probabilities", "targets", "tokens")


@dataclass(frozen=True)
class Stage:
    """A result of the reference.

    name: its name; that of an unnamed step begins with "a step".
    is_extra: whether only other right files compute it. is_given: whether it is the part's input or
        a parameter, in whatever layout.
    """

    name: str
    value: Tensor
    numbers: Tensor
    is_extra: bool = False
    is_given: bool = False

    @property
    def is_named(self) -> bool:
        return not self.name.startswith("a step")


def numbers_of(value: Tensor) -> Tensor:
    """A tensor's sorted numbers, with a single value for masked scores."""
    flat = value.detach().double().flatten()
    return torch.where(flat <= HIDDEN, torch.full_like(flat, MASKED), flat).sort().values


def fingerprint(value: Tensor) -> tuple[float, float, float, float]:
    """Four sums that identify a tensor's numbers in any order."""
    flat = value.detach().double().flatten()
    flat = torch.where(flat <= HIDDEN, torch.full_like(flat, MASKED), flat)
    largest = flat.max().item() if flat.numel() else 0.0
    return float(flat.numel()), flat.sum().item(), flat.square().sum().item(), largest


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of one shape are equal within rounding."""
    if a.shape != b.shape or a.isnan().any() or b.isnan().any():
        return False
    if not a.numel():
        return True
    largest = b[b != MASKED].abs().max().item() if bool((b != MASKED).any()) else 1.0
    return bool(((a == b) | ((a - b).abs() <= STAGES * max(1.0, largest))).all())


@cache
def stages(part: str, seed: int, case: str = "") -> tuple[Stage, ...]:
    """The reference's results in order; those of whole statements have names."""
    trace = record(reference(), part, seed, case)
    targets = _targets(part)
    found = []
    for index, event in enumerate(trace.events):
        target = targets.get(event.called or event.line, "")
        if event.value is None or not event.from_data or event.value.dtype == torch.bool:
            continue
        if target == "mask":
            continue
        following = next((e.called or e.line for e in trace.events[index + 1 : index + 2]), 0)
        is_last = targets.get(following, "") != target
        name = _NAMES_IN.get((part, target)) or NAMES.get(target, target.replace("_", " "))
        if not is_last and name:
            name = f"{WITHIN}{name}"
        if index == trace.output:
            name = "the output"
        found.append(_stage(name or "a step", event.value))
    extra = [*_input_stages(part, seed, case), *_extra_stages(part, seed, found)]
    return (*found, *(replace(stage, is_extra=True) for stage in extra))


@cache
def has_the_stages(part: str, seed: int, exercises: ExerciseSet) -> bool:
    """Whether a set's part has GPT-2's results; a variant may differ in dropout alone."""
    if exercises is GPT2:
        return True
    if not exercises.is_variant:
        return False
    right, other = (record(reference(each), part, seed) for each in (GPT2, exercises))
    if right.output is None or other.output is None:
        return False
    a, b = right.events[right.output].value, other.events[other.output].value
    return a is not None and b is not None and same(a.double(), b.double())


def steps_of_other_styles(part: str, seed: int) -> list[Tensor]:
    """Intermediate results of some right parts, which are no evidence."""
    by_name = {stage.name: stage.value for stage in stages(part, seed)}
    if part == "LayerNorm":
        built = tracing.model_and_input(reference(), part, seed)
        assert built is not None
        given = built[1].detach()
        mean = given.mean(-1, keepdim=True)
        squares = given.square()
        return [mean, mean.square(), squares, squares.mean(-1, keepdim=True), squares.sum(-1)]
    if part == "MLP":
        pre = by_name["the hidden layer before the activation"]
        inner = math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)
        return [pre / 2, pre**2, pre * (1 + inner.tanh()), (1 + inner.tanh()) / 2]
    return []


def _stage(name: str, value: Tensor) -> Stage:
    return Stage(name, value, numbers_of(value))


def _input_stages(part: str, seed: int, case: str) -> Iterator[Stage]:
    """A module's parameters, and its input if that is real numbers."""
    built = tracing.model_and_input(reference(), part, seed, case)
    if built is None:
        return
    model, given = built
    values = dict(model.named_parameters(recurse=False))
    if given.is_floating_point():
        values["the input"] = given  # type: ignore[assignment]
    for name, value in values.items():
        yield replace(_stage(name, value.detach()), is_given=True)


def _extra_stages(part: str, seed: int, found: Sequence[Stage]) -> Iterator[Stage]:
    """Right intermediate results that the reference does not compute."""
    by_name = {stage.name: stage.value for stage in found}
    if part == "MultiHeadAttention":
        scores = by_name["the masked scores"]
        yield _stage("a step in the pattern", scores.exp())
        yield _stage("a step in the pattern", (scores - scores.amax(-1, keepdim=True)).exp())
        packed = [by_name[name] for name in ("the queries", "the keys", "the values")]
        yield _stage("queries, keys and values", torch.cat([v.flatten(2) for v in packed], dim=-1))
        model = attention.SUBJECT.build(reference(), seed).double()
        by_head = torch.einsum("bqhd,hdm->bqhm", by_name["z"], model.get_parameter("W_O"))
        yield _stage("a step in the output", by_head.detach())
        yield _stage("a step in the output", by_head.cumsum(dim=2).detach())
    if part == "LayerNorm":
        yield _stage("the inverse of the scale", 1 / by_name["the scale, sqrt(variance + epsilon)"])
    if part == "MLP":
        pre = by_name["the hidden layer before the activation"]
        inner = math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)
        for value in (pre**3, pre + 0.044715 * pre**3, inner, inner.tanh(), 1 + inner.tanh()):
            yield _stage("a step in the hidden layer after the activation", value)
    if part == "sample":
        yield from _ways_to_sample(seed)
    if part == "next_token_loss":
        every = loss.logits(
            seed, "diagnosis"
        ).double()  # with one token more, all positions have a target
        logits = by_name.get("the logits that have a target", every)
        targets = by_name["the targets"].unsqueeze(-1)
        yield from _ways_to_normalize(logits)
        yield _stage("a step in the loss", logits.gather(-1, targets))
        yield _stage("the loss of each target", -logits.log_softmax(-1).gather(-1, targets))
        yield _stage("a step in the loss", F.one_hot(targets.squeeze(-1), logits.shape[-1]))
        for name, value in (
            ("log probabilities", logits.log_softmax(-1)),
            (BEFORE_LOG, logits.softmax(-1)),
        ):
            yield _stage(f"the {name}", value)
            yield _stage(f"the {name} of the targets", value.gather(-1, targets))


def _ways_to_normalize(logits: Tensor) -> Iterator[Stage]:
    """The intermediate results of a log-softmax, with and without the maximum."""
    largest = logits.amax(-1, keepdim=True)
    for value in (logits, logits - largest):
        total = value.exp().sum(-1)
        for step in (value, value.exp(), total):
            yield _stage("a step in the log probabilities", step)
    for step in (largest, logits.logsumexp(-1)):
        yield _stage("a step in the log probabilities", step)


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
    for origin in (0.0, largest):
        among = (scaled - origin).topk(int(settings["top_k"])).values
        yield _stage("the k largest logits", among)
        yield _stage("the least of the k largest logits", among[:, -1:])
    for name, value in (
        ("the logits over the temperature", scaled),
        ("the logits over the temperature", scaled - largest),
        ("the logits that top_k leaves", cut),
        ("the logits that top_k leaves", cut - largest),
        ("the probabilities that top_k leaves", shares),
        ("the logits that top_p leaves", kept),
        ("the logits that top_p leaves", kept - largest),
        ("the probabilities that top_p leaves", shares.masked_fill(probabilities == 0, 0.0)),
        ("the probabilities that top_p leaves", probabilities),
    ):
        yield _stage(name, value)
        for descending in (True, False):
            in_order = value.sort(dim=-1, descending=descending).values
            yield _stage(name, in_order)
            if "probabilities" in name:
                sums = in_order.cumsum(-1)
                yield _stage(f"a step after {name}", sums)
                yield _stage(f"a step after {name}", sums - in_order)


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


@cache
def _targets(part: str) -> dict[int, str]:
    """The variable that each line of the reference's part assigns."""
    found: dict[int, str] = {}
    for node in ast.walk(ast.parse(reference_text())):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == part:
            for statement in ast.walk(node):
                if isinstance(statement, ast.Assign):
                    target = statement.targets[0]
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    name = getattr(names[0], "id", "")
                elif isinstance(statement, ast.Return):
                    name = "returned"
                else:
                    continue
                for line in range(statement.lineno, (statement.end_lineno or 0) + 1):
                    found[line] = name
    return found
