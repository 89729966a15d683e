"""Build the model and the prompts that generate is observed with."""

from types import ModuleType
from typing import Any

from torch import Tensor, nn

from gpt2_small.checker.claims.modules.transformer import TIED
from gpt2_small.checker.claims.observing import probes

N_CTX = probes.SIZES["n_ctx"]


def model_of(module: ModuleType, seed: int, **changes: Any) -> nn.Module:
    """The reference's Transformer with random parameters."""
    return TIED.build(module, seed, **changes)


def prompt(seed: int, seq: int) -> Tensor:
    return probes.tokens(seed, f"prompt of {seq}", batch=3, seq=seq)
