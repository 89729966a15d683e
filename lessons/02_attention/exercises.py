"""Define the exercises of the attention lesson: claims, known mistakes and hints."""

from functools import partial
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2_small.checker.claims import Claim, Observe
from gpt2_small.checker.claims.observation import Observation
from gpt2_small.checker.claims.probes import draws
from gpt2_small.checker.exercise_set import ExerciseSet, exercise_mistake
from gpt2_small.checker.learner.hints import Guide

BATCH, SEQ, D_HEAD, D_MODEL = 2, 7, 4, 5
AVERAGES = ("average_by_loop", "average_by_matrix", "average_by_softmax")


def values_of(seed: int, seq: int = SEQ, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = draws(seed, "values")
    return (torch.randn(BATCH, seq, D_MODEL, generator=generator, dtype=torch.float64) + 1).to(
        dtype
    )


def averaged(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        average = getattr(module, part)
        return {
            "the means": average(values_of(seed)),
            "the means of one position": average(values_of(seed, 1)),
        }

    return observe


def cumulative(_reference: ModuleType, seed: int) -> Observation:
    """torch's running sum, divided by how many there are."""
    return {
        "the means": values_of(seed).cumsum(dim=1) / torch.arange(1, SEQ + 1)[:, None],
        "the means of one position": values_of(seed, 1),
    }


def in_float32(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        return {"the means in float32": getattr(module, part)(values_of(seed, 7, torch.float32))}

    return observe


def input_kept(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        values = values_of(seed)
        getattr(module, part)(values)
        same = torch.equal(values, values_of(seed))
        return {"the values afterwards": "as before" if same else "changed"}

    return observe


def heads(seed: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    generator = draws(seed, "head")
    query, key = (
        scale * torch.randn(BATCH, SEQ, D_HEAD, generator=generator, dtype=torch.float64)
        for _ in range(2)
    )
    return query, key, values_of(seed)


def attended(module: ModuleType, seed: int) -> Observation:
    return {"the output": module.attend(*heads(seed))}


def attended_by_torch(_reference: ModuleType, seed: int) -> Observation:
    return {"the output": F.scaled_dot_product_attention(*heads(seed), is_causal=True)}


def attended_equally(module: ModuleType, seed: int) -> Observation:
    query, key, values = heads(seed, scale=0.0)
    return {"the output for queries of zeros": module.attend(query, key, values)}


def attended_sharply(module: ModuleType, seed: int) -> Observation:
    return {"the output for scores in the hundreds": module.attend(*heads(seed, scale=20.0))}


def without_future(module: ModuleType, seed: int) -> Observation:
    """What the first positions get, whatever comes after them."""
    cut = [part[:, :3] for part in heads(seed)]
    return {
        "the first three positions of seven": module.attend(*heads(seed))[:, :3],
        "three positions alone": module.attend(*cut),
    }


def gradient(module: ModuleType, seed: int) -> Observation:
    parts = [part.requires_grad_() for part in heads(seed)]
    module.attend(*parts).square().sum().backward()
    names = ("the queries' gradient", "the keys' gradient", "the values' gradient")
    return {name: part.grad for name, part in zip(names, parts, strict=True)}


def average_claims(part: str) -> tuple[Claim, ...]:
    return (
        Claim(part, "Every position gets the mean of the vectors up to its own", averaged(part),
              also=(cumulative,), gate=True),
        Claim(part, "It computes in the type of its input", in_float32(part), group="dtypes"),
        Claim(part, "The values stay as they are", input_kept(part), group="inputs"),
    )  # fmt: skip


CLAIMS = {part: average_claims(part) for part in AVERAGES} | {
    "attend": (
        Claim("attend", "It is torch's causal attention", attended, also=(attended_by_torch,),
              gate=True),
        Claim("attend", "With equal scores it is the mean", attended_equally),
        Claim("attend", "Large scores do not overflow", attended_sharply),
        Claim("attend", "No position sees a later one", without_future),
        Claim("attend", "Queries, keys and values get the right gradients", gradient,
              group="gradient"),
    )
}  # fmt: skip

_MEAN_HINTS = (
    "What does position 0 get, and what the last one?",
    "Position p sees p + 1 vectors, its own among them.",
)
GUIDES = {
    "average_by_loop": Guide(
        steps=("For every position, take the mean over the vectors up to and including its own.",),
        hints=(*_MEAN_HINTS, "values[:, : position + 1].mean(dim=1)"),
    ),
    "average_by_matrix": Guide(
        steps=(
            "Make a matrix of ones on and below the diagonal.",
            "Divide every row by its sum.",
            "Multiply it with the values.",
        ),
        hints=(*_MEAN_HINTS, "ones.tril() / ones.tril().sum(dim=1, keepdim=True)"),
    ),
    "average_by_softmax": Guide(
        steps=(
            "Scores: 0 on and below the diagonal, -inf above it.",
            "Their softmax over the keys is the matrix of before.",
            "Multiply it with the values.",
        ),
        hints=(*_MEAN_HINTS, "torch.full((seq, seq), -math.inf).triu(diagonal=1).softmax(dim=-1)"),
    ),
    "attend": Guide(
        steps=(
            "Scores: the dot product of every query with every key, divided by sqrt(d_head).",
            "Hide the future: add -inf where the key is later than the query.",
            "The softmax over the keys is the pattern; mix the values by it.",
        ),
        hints=(
            "What is the shape of the scores, and which axis does the softmax run over?",
            "The mask is added before the softmax, so that every row still adds up to 1.",
            "(query @ key.mT / sqrt(d_head) + mask).softmax(dim=-1) @ values",
        ),
    ),
}


mistake = partial(exercise_mistake, GUIDES)


_LOOP = "values[:, : position + 1].mean(dim=1)"
_ONES = "weights = torch.ones(seq, seq, dtype=values.dtype).tril()"
_ROWS = "weights = weights / weights.sum(dim=1, keepdim=True)"
_ZEROS = "scores = torch.full((seq, seq), -math.inf, dtype=values.dtype).triu(diagonal=1)"
_SOFTMAX = "pattern = scores.softmax(dim=-1)"
_SCORES = (
    'scores = einsum(query, key, "batch seq_q d_head, batch seq_k d_head -> batch seq_q seq_k")'
)
_MASK = "mask = torch.full((seq, seq), -math.inf, dtype=values.dtype).triu(diagonal=1)"
_PATTERN = "pattern = (scores / math.sqrt(d_head) + mask).softmax(dim=-1)"

MISTAKES = {
    "average_by_loop": (
        mistake("average_by_loop", "without-itself", _LOOP,
                "values[:, : max(position, 1)].mean(dim=1)",
                "leaves a position's own vector out", "Does position 1 see itself?"),
        mistake("average_by_loop", "sees-one-ahead", _LOOP, "values[:, : position + 2].mean(dim=1)",
                "looks one position ahead", "What may position 0 see?"),
        mistake("average_by_loop", "of-all", _LOOP, "values.mean(dim=1)",
                "averages over all positions", "What may position 0 see?"),
        mistake("average_by_loop", "sum", _LOOP, "values[:, : position + 1].sum(dim=1)",
                "sums instead of averaging", "How large is the output at the last position?"),
        mistake("average_by_loop", "by-seq", _LOOP,
                "values[:, : position + 1].sum(dim=1) / values.shape[1]",
                "divides by the length of the sequence", "By how many is position 0 divided?"),
        mistake("average_by_loop", "over-the-batch", _LOOP,
                "values[:, : position + 1].mean(dim=(0, 1), keepdim=True)[0]"
                ".expand(len(values), -1)",
                "averages over the batch, too", "Do two texts of a batch know of each other?"),
        mistake("average_by_loop", "backwards", _LOOP, "values[:, position:].mean(dim=1)",
                "averages over the positions from its own on",
                "Which direction is the past?"),
        mistake("average_by_loop", "running", _LOOP,
                "(values[:, position] + values[:, max(position - 1, 0)]) / 2",
                "averages with the position before alone", "How many vectors does position 5 see?"),
    ),
    "average_by_matrix": (
        mistake("average_by_matrix", "not-normalised", _ROWS, "weights = weights * 1.0",
                "does not divide the rows by their sums", "What do the weights of a row add up to?"),
        mistake("average_by_matrix", "by-column", _ROWS,
                "weights = weights / weights.sum(dim=0, keepdim=True)",
                "divides the columns by their sums", "What do the weights of a row add up to?"),
        mistake("average_by_matrix", "without-keepdim", _ROWS,
                "weights = weights / weights.sum(dim=1)",
                "divides column k by the sum of row k, since the sum lost its axis",
                "How is a vector broadcast against a matrix?"),
        mistake("average_by_matrix", "upper", _ONES,
                "weights = torch.ones(seq, seq, dtype=values.dtype).triu()",
                "looks at the future instead of the past", "Which triangle is the past?"),
        mistake("average_by_matrix", "full", _ONES,
                "weights = torch.ones(seq, seq, dtype=values.dtype)",
                "hides nothing", "What may position 0 see?"),
        mistake("average_by_matrix", "without-itself", _ONES,
                "weights = torch.ones(seq, seq, dtype=values.dtype).tril(diagonal=-1)"
                " + torch.eye(seq, dtype=values.dtype) * (torch.arange(seq) == 0)",
                "leaves a position's own vector out", "Does position 1 see itself?"),
        mistake("average_by_matrix", "one-ahead", _ONES,
                "weights = torch.ones(seq, seq, dtype=values.dtype).tril(diagonal=1)",
                "looks one position ahead", "What may position 0 see?"),
        mistake("average_by_matrix", "by-seq", _ROWS, "weights = weights / seq",
                "divides every row by the length of the sequence",
                "By how many is position 0 divided?"),
    ),
    "average_by_softmax": (
        mistake("average_by_softmax", "zeros-are-not-hidden", _ZEROS,
                "scores = torch.zeros((seq, seq), dtype=values.dtype)",
                "hides nothing: a score of 0 is not a weight of 0", "What is exp(0)?"),
        mistake("average_by_softmax", "hides-itself", _ZEROS,
                "scores = torch.full((seq, seq), -math.inf, dtype=values.dtype)"
                ".triu(diagonal=0).index_fill(1, torch.tensor([0]), 0.0)",
                "hides a position from itself", "Does position 1 see itself?"),
        mistake("average_by_softmax", "one-ahead", _ZEROS,
                "scores = torch.full((seq, seq), -math.inf, dtype=values.dtype).triu(diagonal=2)",
                "looks one position ahead", "What may position 0 see?"),
        mistake("average_by_softmax", "past-hidden", _ZEROS,
                "scores = torch.full((seq, seq), -math.inf, dtype=values.dtype).tril(diagonal=-1)",
                "hides the past instead of the future", "Which triangle is the future?"),
        mistake("average_by_softmax", "over-queries", _SOFTMAX, "pattern = scores.softmax(dim=0)",
                "takes the softmax over the queries", "What do the weights of a row add up to?"),
        mistake("average_by_softmax", "small-fill", _ZEROS,
                "scores = torch.full((seq, seq), -4.0, dtype=values.dtype).triu(diagonal=1)",
                "hides the future with -4, which leaves it a weight", "What is exp(-4)?"),
        mistake("average_by_softmax", "exponential-only", _SOFTMAX, "pattern = scores.exp()",
                "does not divide by the sum", "What do the weights of a row add up to?"),
        mistake("average_by_softmax", "twice", _SOFTMAX,
                "pattern = scores.softmax(dim=-1).softmax(dim=-1)",
                "takes the softmax twice, so that the future has a weight again",
                "What is the softmax of a weight of 0?"),
    ),
    "attend": (
        mistake("attend", "not-scaled", _PATTERN, "pattern = (scores + mask).softmax(dim=-1)",
                "does not divide the scores by sqrt(d_head)",
                "How does the size of a dot product grow with d_head?"),
        mistake("attend", "scaled-by-d-head", _PATTERN,
                "pattern = (scores / d_head + mask).softmax(dim=-1)",
                "divides the scores by d_head", "Of what is the root taken?"),
        mistake("attend", "multiplied", _PATTERN,
                "pattern = (scores * math.sqrt(d_head) + mask).softmax(dim=-1)",
                "multiplies the scores by sqrt(d_head)", "Should scores become larger or smaller?"),
        mistake("attend", "no-mask", _PATTERN,
                "pattern = (scores / math.sqrt(d_head)).softmax(dim=-1)",
                "hides nothing", "What may position 0 see?"),
        mistake("attend", "masked-afterwards", _PATTERN,
                "pattern = (scores / math.sqrt(d_head)).softmax(dim=-1) * (mask == 0)",
                "hides the future after the softmax, so that rows add up to less than 1",
                "What do the weights of a row add up to?"),
        mistake("attend", "over-queries", _PATTERN,
                "pattern = (scores / math.sqrt(d_head) + mask).nan_to_num(neginf=-1e9)"
                ".softmax(dim=-2)",
                "takes the softmax over the queries", "What do the weights of a row add up to?"),
        mistake("attend", "exchanged", _SCORES,
                'scores = einsum(key, query, "batch seq_q d_head, batch seq_k d_head -> '
                'batch seq_q seq_k")',
                "exchanges queries and keys", "Which of the two asks?"),
        mistake("attend", "hides-itself", _MASK,
                "mask = torch.full((seq, seq), -math.inf, dtype=values.dtype).triu(diagonal=0)"
                ".index_fill(1, torch.tensor([0]), 0.0)",
                "hides a position from itself", "Does position 1 see itself?"),
        mistake("attend", "one-ahead", _MASK,
                "mask = torch.full((seq, seq), -math.inf, dtype=values.dtype).triu(diagonal=2)",
                "looks one position ahead", "What may position 0 see?"),
        mistake("attend", "past-hidden", _MASK,
                "mask = torch.full((seq, seq), -math.inf, dtype=values.dtype).tril(diagonal=-1)",
                "hides the past instead of the future", "Which triangle is the future?"),
        mistake("attend", "small-fill", _MASK,
                "mask = torch.full((seq, seq), -4.0, dtype=values.dtype).triu(diagonal=1)",
                "hides the future with -4, which leaves it a weight", "What is exp(-4)?"),
    ),
}  # fmt: skip

EXERCISES = ExerciseSet(
    name="attention",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
