"""Describe one step of a run, as its log holds it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One step of a run, as it stands in the log.

    step: counted from 1.
    tokens: targets so far, over all processes.
    loss: mean over all processes' targets, in nats, before the update.
    learning_rate, grad_norm: the rate of the step, and the gradient's norm before clipping.
    tokens_per_second: targets of the step over its time, evaluation left out.
    time: when the step ended, in seconds since 1970.
    peak_share: of all devices' peak, PaLM's way of counting; None where no peak is known.
    skipped: why the update was skipped, `overflow` or `spike`; None when it was made.
    val_loss: mean loss on held-out windows, at the steps that end with an evaluation.
    scores: what else an evaluation measured, by name.
    """

    step: int
    tokens: int
    loss: float
    learning_rate: float
    grad_norm: float
    tokens_per_second: float
    time: float = 0.0
    peak_share: float | None = None
    skipped: str | None = None
    val_loss: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The record as the log holds it: without the fields that are None."""
        content = asdict(self)
        scores = content.pop("scores")
        return {name: value for name, value in (content | scores).items() if value is not None}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RunRecord":
        """The record that `as_json` gave."""
        own = {each.name for each in fields(cls)} - {"scores"}
        known = {name: value for name, value in content.items() if name in own}
        scores = {name: value for name, value in content.items() if name not in own}
        return cls(**known, scores=scores)
