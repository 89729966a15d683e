"""Estimate the disk space of a run's checkpoints."""

from dataclasses import dataclass

from gpt2_small.model_protocol import Config
from gpt2_small.planning.flops import parameter_count
from gpt2_small.planning.memory import FLOAT32_BYTES, MOMENTS


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The peak size of a run's folder, in bytes.

    checkpoint: of one checkpoint, with the weights and AdamW's moments in float32.
    kept: the number of latest checkpoints kept, besides the best and one being written.
    """

    checkpoint: int
    kept: int

    @property
    def checkpoints(self) -> int:
        return self.kept + 2

    @property
    def total(self) -> int:
        return self.checkpoints * self.checkpoint


def disk_of(config: Config, kept: int) -> Disk:
    """The disk space of a run of this model that keeps so many of its latest checkpoints."""
    return Disk(checkpoint=(1 + MOMENTS) * FLOAT32_BYTES * parameter_count(config), kept=kept)
