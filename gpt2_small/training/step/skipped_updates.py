"""Skip updates whose float16 gradients overflow, and updates of gradient spikes.

The smallest positive float16 number is 6e-8, so the loss is multiplied by a scale in the backward
pass and every gradient is divided by it (Micikevicius et al. 2018, "Mixed Precision Training",
section 3.2). As in torch.amp.GradScaler, a gradient that is not finite skips the update and halves
the scale, which doubles again after many steps without overflow.
"""

import statistics
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.model_protocol import Model
from gpt2_small.training.distributed import Processes
from gpt2_small.training.recipes.recipe import Recipe

FIRST_SCALE, LARGEST_SCALE = 2.0**16, 2.0**24
STEPS_TO_DOUBLE = 2000
# The number of norms whose median sets the threshold of a spike, at most and at least.
REMEMBERED_NORMS, NORMS_NEEDED = 100, 20


def norms_in(log: Iterable[Mapping[str, Any]]) -> list[float]:
    """The last gradient norms in a run's records that its guard remembers."""
    norms = [
        record["grad_norm"]
        for record in log
        if record.get("skipped") != "overflow" and record.get("grad_norm") is not None
    ]
    return norms[-REMEMBERED_NORMS:]


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.scale, None


class WithScaledGradient(nn.Module):
    """A module whose gradients are multiplied by the guard's scale."""

    def __init__(self, module: nn.Module, guard: "UpdateGuard") -> None:
        super().__init__()
        self.module = module
        self._guard = guard

    def forward(self, batch: Tensor) -> Tensor:
        scaled: Tensor = _ScaleGradient.apply(self.module(batch), self._guard.scale)  # type: ignore[no-untyped-call]
        return scaled


class UpdateGuard:
    """Decides before each update of an optimiser whether to skip it.

    scale: of the gradients in the backward pass; 1 except for float16.
    good_steps: steps since the scale changed.
    skipped: the reason for skipping the last update, `overflow` or `spike`; None if it was made.
    """

    def __init__(
        self,
        model: Model,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        processes: Processes,
    ) -> None:
        self.parameters = [each for each in model.parameters() if each.requires_grad]
        self.recipe, self.processes = recipe, processes
        self.is_scaling = recipe.dtype == "float16"
        self.scale = FIRST_SCALE if self.is_scaling else 1.0
        self.good_steps = 0
        self.skipped: str | None = None
        self._norms: deque[float] = deque(maxlen=REMEMBERED_NORMS)
        self._overflows: list[Tensor] = []
        if self.is_scaling:
            for parameter in self.parameters:
                parameter.register_hook(self._unscaled)
        if self.is_scaling or recipe.skip_spikes is not None:
            optimizer.register_step_pre_hook(self._before_update)

    @property
    def max_grad_norm(self) -> float:
        """The clipping norm for the solution's step; with skip_spikes the guard clips instead."""
        guard_clips = self.recipe.skip_spikes is not None
        return sys.float_info.max if guard_clips else self.recipe.max_grad_norm

    def wrap(self, module: nn.Module) -> nn.Module:
        """Wrap a module to scale its gradients, for float16 alone."""
        return WithScaledGradient(module, self) if self.is_scaling else module

    def begin(self) -> None:
        """Discard overflows of passes before the first step, as of a throw-away backward pass."""
        self._overflows.clear()

    def remember(self, norms: Iterable[float]) -> None:
        """Restore the gradient norms of a resumed run, as `norms_in` reads them from its log."""
        self._norms.extend(norms)

    def _unscaled(self, grad: Tensor) -> Tensor:
        """Unscale a gradient; one that is not finite becomes 0, and the update is skipped."""
        grad = grad / self.scale
        self._overflows.append(~grad.isfinite().all())
        return grad.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)

    def _before_update(self, optimizer: Any, *_: Any) -> None:
        self.skipped = "overflow" if self._has_overflown() else None
        if self.recipe.skip_spikes is not None:
            norm = nn.utils.clip_grad_norm_(self.parameters, self.recipe.max_grad_norm).item()
            if self.skipped is None:
                if self._is_spike(norm):
                    self.skipped = "spike"
                self._norms.append(norm)
        # A fused optimiser changes nothing when found_inf is 1.
        device = self.processes.device
        optimizer.grad_scale = None
        optimizer.found_inf = None if self.skipped is None else torch.ones((), device=device)

    def _has_overflown(self) -> bool:
        if not self.is_scaling:
            return False
        here = bool(torch.stack(self._overflows).any()) if self._overflows else False
        self._overflows.clear()
        overflown = self._in_any_process(here)
        if overflown:
            self.scale, self.good_steps = max(1.0, self.scale / 2), 0
        else:
            self.good_steps += 1
            if self.good_steps == STEPS_TO_DOUBLE:
                self.scale, self.good_steps = min(LARGEST_SCALE, 2 * self.scale), 0
        return overflown

    def join_overflow(self) -> None:
        """Report an overflow to the processes that make the update which this one cannot make."""
        self._in_any_process(True)

    def _in_any_process(self, has_overflown: bool) -> bool:
        return self.processes.sum(float(has_overflown))[0] > 0

    def _is_spike(self, norm: float) -> bool:
        factor = self.recipe.skip_spikes
        if factor is None or len(self._norms) < NORMS_NEEDED:
            return False
        return norm > factor * statistics.median(self._norms)
