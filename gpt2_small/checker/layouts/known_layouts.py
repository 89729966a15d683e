"""List the built-in layouts, and detect a file's."""

from collections.abc import Sequence
from types import ModuleType

from gpt2_small.checker.layouts.definitions.arena import ARENA
from gpt2_small.checker.layouts.definitions.early_hugging_face import EARLY_HUGGING_FACE
from gpt2_small.checker.layouts.definitions.hugging_face import HUGGING_FACE
from gpt2_small.checker.layouts.definitions.linear import LINEAR
from gpt2_small.checker.layouts.definitions.llms_from_scratch import LLMS_FROM_SCRATCH
from gpt2_small.checker.layouts.definitions.nanogpt import NANOGPT
from gpt2_small.checker.layouts.layout import Layout, fitting_parts
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.model_protocol import Config

_ALL = (NANOGPT, HUGGING_FACE, EARLY_HUGGING_FACE, LLMS_FROM_SCRATCH, LINEAR, ARENA)
LAYOUTS = {layout.name: layout for layout in _ALL}


def find_layout(name: str) -> Layout:
    """The built-in layout with a name. Raises UserError with the nearest."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    hint = did_you_mean(name, LAYOUTS, otherwise=f"there are {', '.join(LAYOUTS)}")
    raise UserError(f"there is no layout {name!r}; {hint}")


def proposed_layout(module: ModuleType, config: Config) -> tuple[str, Sequence[str]] | None:
    """The layout that fits most parts of a file, and those parts.

    config: a small TransformerConfig.
    """
    found = {name: fitting_parts(module, layout, config) for name, layout in LAYOUTS.items()}
    name = max(found, key=lambda name: len(found[name]))
    return (name, found[name]) if found[name] else None
