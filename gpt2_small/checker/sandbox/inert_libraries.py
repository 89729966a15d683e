"""Provide an inert google.colab and an inert torch.compile.

Notebooks from Colab mount a drive or upload files in their first cell. Compiling a function takes
longer than a check may, and changes no result.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch


class _Inert:
    """Accepts every call and attribute, and returns itself."""

    def __call__(self, *_: Any, **__: Any) -> "_Inert":
        return self

    def __getattr__(self, name: str) -> "_Inert":
        if name.startswith("__"):
            raise AttributeError(name)
        return self


class _Colab(ModuleType):
    """A module with every attribute."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> _Inert:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Inert()


def stand_in_for_colab() -> None:
    """Make `from google.colab import drive` work without Colab."""
    if "google.colab" in sys.modules or _is_installed("google.colab"):
        return
    colab = _Colab("google.colab")
    google = sys.modules.setdefault("google", _Colab("google"))
    google.colab = colab  # type: ignore[attr-defined]
    sys.modules["google.colab"] = colab
    for name in ("drive", "files", "output", "userdata"):
        module = _Colab(f"google.colab.{name}")
        sys.modules[module.__name__] = module
        setattr(colab, name, module)


def compile_nothing() -> None:
    """Make torch.compile return its function, or its module, as it is."""

    def uncompiled(model: Any = None, **_: Any) -> Any:
        return (lambda model: model) if model is None else model

    torch.compile = uncompiled


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
