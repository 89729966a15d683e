"""Construct and run a module class under check."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.modules.parameter_shapes import Shapes, parameters_of
from gpt2_small.checker.claims.observing import probes


@dataclass(frozen=True)
class Subject:
    """A module class, with the configuration and inputs of its claims.

    name: the part.
    feed: `probes.residual` or `probes.tokens`.
    scales: the sizes of the inputs; empty for tokens.
    settings: configuration fields that differ from the probes'.
    parameters: gives names and shapes of a part's parameters from the configuration's fields.
    output_weight: the size of the outputs' weights in the gradients' claims. The gradient of b_K is
        0 in exact arithmetic; in float32 it is the rounding errors of a sum over all positions,
        which grow with the model and must stay far below the tolerance.
    """

    name: str
    feed: Callable[..., Tensor]
    scales: tuple[float, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict, hash=False)
    parameters: Callable[[str, Mapping[str, Any]], Shapes] = parameters_of
    output_weight: float = 1.0

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
        """The part as initialised."""
        settings = probes.config(module, **self.settings | changes)
        model = getattr(module, self.name)(settings)
        if not isinstance(model, nn.Module):
            raise Failure(f"{self.name}(config) is {probes.text(model)}, not an nn.Module")
        return model

    def contract(self, **changes: Any) -> Shapes:
        """The names and shapes of the part's parameters in the contract."""
        return self.parameters(self.name, probes.SIZES | self.settings | changes)

    def run(self, model: nn.Module, given: Tensor) -> Tensor:
        """The part's output. Raises Failure if it is not a tensor."""
        return probes.tensor(model(given), f"what {self.name} returns")

    def values(
        self, seed: int, name: str, dtype: torch.dtype = torch.float32, **how: Any
    ) -> Tensor:
        """An input; real numbers are converted to the dtype."""
        given = self.feed(seed, name, **how)
        return given.to(dtype) if given.is_floating_point() else given

    def gradient_input(self, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """The input of the gradients' claims; tokens are all those of the vocabulary."""
        how = {} if self.scales else {"batch": probes.BATCH_OF_ALL_TOKENS}
        return self.values(seed, "gradients", dtype, **how)

    def inputs(self, seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """The inputs of all scales, by the names of their outputs."""
        if not self.scales:
            return {"the output": self.feed(seed)}
        scales = self.scales if dtype != torch.bfloat16 else (1.0,)
        return {
            f"the output for inputs of size {scale:g}": self.values(
                seed, f"size {scale}", dtype, scale=scale
            )
            for scale in scales
        }
