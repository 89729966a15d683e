"""Generate continuations with a small model, for the tests of generation."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_gpt2s import N_CTX, characters, our_gpt2

from gpt2_small import binding
from gpt2_small.generation import LoadedModel, SamplingOptions, continuations
from gpt2_small.generation.continuation import Continuation
from gpt2_small.tokenizers.protocol import Tokenizer

# Float32 sums in another order, for logits of magnitude 1.
ROUNDING = 1e-4


@lru_cache
def small_model(**changes: Any) -> Any:
    """Return a model with the same weights at every call of a session."""
    with torch.random.fork_rng():
        torch.manual_seed(20190214)
        return our_gpt2(**changes)


def written(
    prompts: Sequence[str | Sequence[int]],
    *,
    model: Any = None,
    solution: Any = None,
    tokenizer: Tokenizer | None = None,
    **options: Any,
) -> list[Continuation]:
    """Return a small model's continuations, longer than its context by default."""
    options = {"max_new_tokens": N_CTX + 8, "seed": 5, "candidates": 0} | options
    return continuations(
        solution or binding.bound(),
        LoadedModel("small", model or small_model(), tokenizer or characters()),
        prompts,
        SamplingOptions(**options),
    )


def ids(continuation: Continuation) -> list[int]:
    return [step.id for step in continuation.steps]


def log_probs(continuation: Continuation) -> list[float | None]:
    return [step.log_probability for step in continuation.steps]


def same(left: Continuation, right: Continuation) -> bool:
    return bool(
        ids(left) == ids(right)
        and left.text == right.text
        and left.finish == right.finish
        and log_probs(left) == pytest.approx(log_probs(right), abs=ROUNDING)
    )


def scripted(token_ids: Iterable[int]) -> SimpleNamespace:
    """Return a solution whose `sample` returns these tokens, whatever the logits."""
    left = iter([0, *token_ids])  # 0: the first call only checks the options
    return SimpleNamespace(sample=lambda logits, **_: torch.tensor([next(left)] * len(logits)))
