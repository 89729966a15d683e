"""Check models whose parameters have other names and shapes."""

from gpt2_small.checker.layouts.adapter import adapted
from gpt2_small.checker.layouts.known_layouts import LAYOUTS, find_layout
from gpt2_small.checker.layouts.layout import AdaptedPart, Layout, adapted_module

__all__ = ["LAYOUTS", "AdaptedPart", "Layout", "adapted", "adapted_module", "find_layout"]
