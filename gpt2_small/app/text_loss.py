"""Compute the loss of a text, and the log-probability of each of its tokens."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2_small.app.models import ShownModel
from gpt2_small.generation.sampling.logit_processors import without_padding

ROWS_AT_ONCE = 256


def token_log_probs(
    shown: ShownModel, logits: Float[Tensor, "seq d_vocab"], ids: Sequence[int]
) -> list[float | None]:
    """The log-probability of each token except the first."""
    found: list[float | None] = []
    targets = torch.tensor(ids[1:], device=logits.device)
    for start in range(0, len(targets), ROWS_AT_ONCE):
        rows = without_padding(
            logits[start : start + ROWS_AT_ONCE][: len(targets) - start],
            shown.tokenizer.vocab_size,
        )
        chosen = targets[start : start + ROWS_AT_ONCE, None]
        log_probs = rows.float().log_softmax(dim=-1).gather(1, chosen)
        found += [finite(value) for value in log_probs.flatten().tolist()]
    return found


def loss_of(log_probs: Sequence[float | None]) -> float | None:
    """The mean loss, in nats; None without tokens, or with one that is not finite."""
    known = [value for value in log_probs if value is not None]
    return -sum(known) / len(known) if known and len(known) == len(log_probs) else None


def finite(value: float) -> float | None:
    """The number if JSON can represent it; None for infinities and NaN."""
    return value if abs(value) < float("inf") else None
