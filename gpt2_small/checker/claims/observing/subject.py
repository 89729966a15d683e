"""Build, fill and run a module class under check."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims.contract import Shapes, parameters_of
from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.observing import probes


@dataclass(frozen=True)
class Subject:
    """A module class, and how its claims build and feed it.

    name: the part.
    feed: `probes.residual` or `probes.tokens`.
    scales: of the inputs for the values; empty for tokens.
    settings: of the configuration, beside the small sizes.
    parameters: names and shapes of the parameters of a part, given the configuration's fields.
    """

    name: str
    feed: Callable[..., Tensor]
    scales: tuple[float, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict, hash=False)
    parameters: Callable[[str, Mapping[str, Any]], Shapes] = parameters_of

    def build(self, module: ModuleType, seed: int, **changes: Any) -> nn.Module:
        """The part with random parameters, in evaluation mode."""
        model = self.fresh(module, **changes)
        values = {
            name: probes.random_parameter(name, shape, seed)
            for name, shape in self.contract(**changes).items()
        }
        probes.load_values(model, values)
        return model.eval()

    def fresh(self, module: ModuleType, **changes: Any) -> nn.Module:
        """The part as its constructor leaves it."""
        settings = probes.config(module, **self.settings | changes)
        model = getattr(module, self.name)(settings)
        if not isinstance(model, nn.Module):
            raise Failure(f"{self.name}(config) is {probes.text(model)}, not an nn.Module")
        return model

    def contract(self, **changes: Any) -> Shapes:
        """Names and shapes of the parameters that the part must have."""
        return self.parameters(self.name, probes.SIZES | self.settings | changes)

    def run(self, model: nn.Module, given: Tensor) -> Tensor:
        """What the part makes of an input. Raises Failure when it is no tensor."""
        return probes.tensor(model(given), f"what {self.name} returns")

    def values(
        self, seed: int, name: str, dtype: torch.dtype = torch.float32, **how: Any
    ) -> Tensor:
        """An input, in a dtype when it is made of real numbers."""
        given = self.feed(seed, name, **how)
        return given.to(dtype) if given.is_floating_point() else given

    def inputs(self, seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """What the values are checked on, by the names of the outputs."""
        if not self.scales:
            return {"the output": self.feed(seed)}
        scales = self.scales if dtype != torch.bfloat16 else (1.0,)
        return {
            f"the output for inputs of size {scale:g}": self.values(
                seed, f"size {scale}", dtype, scale=scale
            )
            for scale in scales
        }
