"""A module class under check: how it is built, fed and run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims import probes
from gpt2_small.checker.claims.failure import Failure
from gpt2_small.checker.mistakes.mistake import reference


@dataclass(frozen=True)
class Subject:
    """A module class, and how its checks build and feed it.

    name: the part.
    feed: `probes.residual` or `probes.tokens`.
    scales: of the inputs for the values; empty for tokens.
    settings: of the configuration, beside the small sizes.
    """

    name: str
    feed: Callable[..., Tensor]
    scales: tuple[float, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict, hash=False)

    def build(self, module: ModuleType, seed: int, **changes: Any) -> nn.Module:
        """The part with random parameters, in evaluation mode."""
        model = self.fresh(module, **changes)
        contract = self.contract(**changes)
        values = {n: probes.random_parameter(n, shape, seed) for n, shape in contract.items()}
        probes.load_values(model, values)
        return model.eval()

    def fresh(self, module: ModuleType, **changes: Any) -> nn.Module:
        """The part as its constructor leaves it."""
        settings = probes.config(module, **self.settings | changes)
        model = getattr(module, self.name)(settings)
        if not isinstance(model, nn.Module):
            raise Failure(f"{self.name}(config) is {probes.text(model)}, not an nn.Module")
        return model

    def contract(self, **changes: Any) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the parameters that the part must have."""
        return probes.shapes(self.fresh(reference(), **changes))

    def run(self, model: nn.Module, given: Tensor) -> Tensor:
        """What the part makes of an input. Raises Failure when it is no tensor."""
        return probes.tensor(model(given), f"what {self.name} returns")

    def values(
        self, seed: int, name: str, dtype: torch.dtype = torch.float32, **how: Any
    ) -> Tensor:
        """An input, in a dtype when it is made of real numbers."""
        given = self.feed(seed, name, **how)
        return given.to(dtype) if given.is_floating_point() else given
