"""Define the shapes of the four published GPT-2s and of small models that train in minutes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gpt2_small import binding
from gpt2_small.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from gpt2_small import TransformerConfig

# GPT-2, table 2; the width of a head is 64 in all four.
PRESETS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "gpt2": dict(d_model=768, n_layers=12, n_heads=12),
        "gpt2-medium": dict(d_model=1024, n_layers=24, n_heads=16),
        "gpt2-large": dict(d_model=1280, n_layers=36, n_heads=20),
        "gpt2-xl": dict(d_model=1600, n_layers=48, n_heads=25),
        "stories": dict(d_model=128, n_layers=3, n_heads=8, n_ctx=72, d_vocab=236, init_std=0.08),
        "characters": dict(d_model=128, n_layers=4, n_heads=4, n_ctx=128, d_vocab=256),
    }
)


def preset(name: str, **changes: Any) -> "TransformerConfig":
    """The bound solution's TransformerConfig of a preset, with fields changed by keyword.

    Raises UserError for an unknown preset, an unknown field or an invalid value.
    """
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS, otherwise=f"choose one of {', '.join(PRESETS)}")
        raise UserError(f"there is no preset {name!r}; {hint}")
    config_class = binding.bound().TransformerConfig
    try:
        config: TransformerConfig = config_class(**PRESETS[name] | changes)
    except (TypeError, ValueError) as error:
        raise UserError(f"preset {name}: {error}") from error
    return config
