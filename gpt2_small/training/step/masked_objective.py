"""Compute the loss of masked batches: the mean over all targets of a step.

A batch contains its mask: a token that is no target is stored as `~token`, which is negative.
"""

from collections.abc import Sequence
from functools import cache
from types import ModuleType

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn, where

from gpt2_small import binding
from gpt2_small.kernels.chunked_loss import chunked_loss
from gpt2_small.model.twin import FastTransformer
from gpt2_small.training.step.objective import Loss, Objective


def tokens_and_mask(
    batch: Int[Tensor, "batch seq"],
) -> tuple[Int[Tensor, "batch seq"], Bool[Tensor, "batch seq"]]:
    """The tokens of a masked batch, and which of them are targets."""
    is_target = batch >= 0
    return where(is_target, batch, ~batch), is_target


class MaskedTwin(FastTransformer):
    """The fast twin with the summed loss of a masked batch's targets.

    Logits are computed for targets alone.
    """

    def forward(self, batch: Int[Tensor, "batch seq_plus_1"]) -> Float[Tensor, ""]:
        """Summed cross-entropy, in nats, of a batch with at least one target."""
        tokens, is_target = tokens_and_mask(batch)
        final, weight, bias = self.before_logits(tokens[:, :-1])
        targets = tokens[:, 1:][is_target[:, 1:]]
        mean = chunked_loss(
            final[is_target[:, 1:]],
            weight,
            bias,
            targets,
            is_transposed=self.config.tied_embeddings,
            positions_per_chunk=self.positions_per_chunk,
        )
        return mean * len(targets)


class MaskedObjective(Objective):
    """The loss on masked batches [batch seq+1], whose first column is never a target.

    The solution's step weighs each micro-batch by its share of this process's positions, and
    DistributedDataParallel averages over processes. `loss` compensates for both, so that the step's
    loss is the mean over all processes' targets, however they are divided.

    A learner's model is trained with the reference's step, since the learner's may ignore `loss`.
    """

    twin_class = MaskedTwin

    def loss(self, module: nn.Module, batch: Tensor) -> Tensor:
        """A micro-batch's contribution to the step's mean loss, scaled for the solution's step."""
        share = batch[:, 1:].numel() / self._positions
        return self._summed(module, batch) * (self._world_size / (share * self._targets))

    def begin_step(self, batches: Sequence[Tensor], targets: int, world_size: int) -> None:
        """Set the sizes of a step before its first loss.

        batches: this process's micro-batches.
        targets: of the whole step, over all processes.
        """
        self._positions = sum(batch[:, 1:].numel() for batch in batches)
        self._targets, self._world_size = targets, world_size

    @property
    def train_keywords(self) -> dict[str, Loss]:
        """Further keyword arguments for `train`."""
        return {"loss": self.loss}

    @property
    def stepped_by(self) -> ModuleType:
        """The reference, whose step takes `loss`; a learner's may ignore it."""
        return self.solution if binding.is_reference(self.solution) else _reference()

    def targets(self, batch: Tensor) -> int:
        """The number of targets in a batch."""
        return int((batch[:, 1:] >= 0).sum())

    def _summed(self, module: nn.Module, batch: Tensor) -> Tensor:
        if self.is_twin:
            summed: Tensor = module(batch)
            return summed
        tokens, is_target = tokens_and_mask(batch)
        logits = module(tokens[:, :-1])[is_target[:, 1:]]
        return F.cross_entropy(logits, tokens[:, 1:][is_target[:, 1:]], reduction="sum")


@cache
def _reference() -> ModuleType:
    return binding.load(binding.reference_path())
