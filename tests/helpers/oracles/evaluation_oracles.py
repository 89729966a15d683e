"""Compute multiple choice and text scores plainly: one row at a time, in float64."""

import math
import random
import re
from typing import Any

import torch

from gpt2_small.evaluation.choices import Question

WORDS = ("a", "man", "woman", "dog", "runs", "over", "the", "table", "and", "sits", "by", "water")
NOISE = ("[header]", "[title]", "[substeps]", "")


def log_probabilities(model: Any, context: list[int], continuation: list[int]) -> torch.Tensor:
    """Return a continuation's log-probabilities, row by row; overlong texts are cut on the left."""
    ids = (context + continuation)[-(model.config.n_ctx + 1) :]
    with torch.no_grad():
        table = model(torch.tensor([ids[:-1]]))[0].double().log_softmax(dim=-1)
    wanted = torch.tensor(continuation)
    found: torch.Tensor = table[-len(continuation) :].gather(1, wanted[:, None])[:, 0]
    return found


def text(rng: random.Random, least: int, most: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(least, most)))


def questions(count: int, seed: int = 0) -> list[Question]:
    """Return questions in HellaSwag's format; some texts have brackets, titles or double spaces."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        ctx_a = f"{text(rng, 2, 6)} {rng.choice(NOISE)} {text(rng, 1, 4)}".strip()
        ctx_b = text(rng, 1, 2)
        endings = {f"{text(rng, 2, 5)} {rng.choice(NOISE)} {text(rng, 1, 6)}" for _ in range(9)}
        four = tuple(sorted(endings)[:4])
        made.append(
            Question(f"{ctx_a} {ctx_b}", ctx_a, ctx_b, "Going home", four, rng.randrange(4))
        )
    return made


def as_json(question: Question) -> dict[str, Any]:
    fields = dict(question.__dict__)
    return fields | {"endings": list(question.endings), "label": str(question.label)}


Chosen = tuple[int, int, float, int]
"""The chosen ending, the choice after normalisation, and the right ending's nats and bytes."""


def completion(model: Any, tokenizer: Any, question: Question) -> Chosen:
    """Score by build-nanogpt's definition: normalised by the ending's tokens."""
    context = tokenizer.encode(question.ctx)
    scores = [
        log_probabilities(model, context, tokenizer.encode(" " + ending))
        for ending in question.endings
    ]
    nats = -float(scores[question.label].sum())
    byte_count = len(" " + question.endings[question.label])
    sums, means = [each.sum() for each in scores], [each.mean() for each in scores]
    return best(sums), best(means), nats, byte_count


def harness(model: Any, tokenizer: Any, question: Question) -> Chosen:
    """Score by lm-evaluation-harness's definition: normalised by the ending's characters."""

    def cleaned(text: str) -> str:
        text = text.strip().replace(" [title]", ". ")
        return re.sub("\\[.*?\\]", "", text).replace("  ", " ")

    query = cleaned(f"{question.activity_label}: {question.ctx_a} {question.ctx_b.capitalize()}")
    endings = [cleaned(ending) for ending in question.endings]
    context, totals = tokenizer.encode(query), []
    for ending in endings:
        joined = tokenizer.encode(f"{query} {ending}")
        totals.append(log_probabilities(model, context, joined[len(context) :]).sum())
    per_character = [total / len(ending) for total, ending in zip(totals, endings, strict=True)]
    right = question.label
    return best(totals), best(per_character), -float(totals[right]), len(" " + endings[right])


def best(scores: list[torch.Tensor]) -> int:
    return int(torch.stack(scores).argmax())


def nats_with_stride(model: Any, ids: list[int], stride: int) -> float:
    """Return the summed loss of every token but the first, each in the window that scores it."""
    n_ctx, total, stop = model.config.n_ctx, 0.0, 1
    while stop < len(ids):
        first = stop
        stop = min(len(ids), stop + (n_ctx if stop == 1 else stride))
        window = ids[max(0, first - 1 - (n_ctx - stride)) : stop]
        scored = stop - first
        total -= float(log_probabilities(model, window[:-scored], window[-scored:]).sum())
    return total


def bits(nats: float) -> float:
    return nats / math.log(2)
