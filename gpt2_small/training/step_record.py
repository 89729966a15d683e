"""Define the log record of a training step."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The log record of one step of a run.

    step: counted from 1.
    tokens: targets so far, over all processes.
    loss: mean over all processes' targets, in nats, before the update.
    learning_rate, grad_norm: the step's rate, and the gradient's norm before clipping.
    tokens_per_second: targets of the step over its time, without evaluation.
    time: the end of the step, in seconds since 1970.
    peak_share: model FLOPs utilisation, counted as for PaLM; None for an unknown peak.
    skipped: the reason for a skipped update, `overflow` or `spike`; None for an update made.
    val_loss: mean loss on held-out windows, at steps with an evaluation.
    scores: further results of an evaluation, by name.
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
        """The record as a line of the log: without the fields that are None."""
        content = asdict(self)
        scores = content.pop("scores")
        return {name: value for name, value in (content | scores).items() if value is not None}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RunRecord":
        """Restore a record from `as_json`."""
        own = {each.name for each in fields(cls)} - {"scores"}
        known = {name: value for name, value in content.items() if name in own}
        scores = {name: value for name, value in content.items() if name not in own}
        return cls(**known, scores=scores)
