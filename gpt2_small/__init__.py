"""Export the names of the bound solution, and of the kit around it: GPT-2 in eight proven parts.

`from gpt2_small import Transformer, TransformerConfig` gives the reference's classes, or those of
the file named by `gpt2_small.bind(path)`, `--solution` or $GPT2_SMALL_SOLUTION. Names are looked up
at first use; importing the package loads no torch.
"""

from importlib import import_module
from typing import Any

from gpt2_small import binding
from gpt2_small.binding import bind, load
from gpt2_small.errors import UserError

__version__ = "0.1.0"

_MODULE_OF = {
    "check": "gpt2_small.checker.learner.notebook_check",
    "load_pretrained": "gpt2_small.weights",
    "preset": "gpt2_small.model.presets",
    "run_with_cache": "gpt2_small.model.hooks",
    "hooks": "gpt2_small.model.hooks",
}

__all__ = ["UserError", "bind", "load", *binding.SOLUTION_NAMES, *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name in binding.SOLUTION_NAMES:
        return binding.bound_name(name)
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module 'gpt2_small' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
