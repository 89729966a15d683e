"""Provide what a solution file expects where it runs, and undo what it changes for others.

A script or a notebook may call `get_ipython()`, ask for a function's source, as `torch.jit.script`
does, and change torch's global settings.
"""

import builtins
import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from gpt2_small import notebooks


@contextmanager
def prepared(module: ModuleType, source: bytes) -> Iterator[None]:
    """In this context, run the text of a module's file.

    Afterwards torch has its earlier default dtype, default device and gradient mode: a file that
    ends with `torch.set_grad_enabled(False)` would stop every training.
    """
    file = str(module.__file__)
    if notebooks.is_notebook(Path(file)):
        text = source.decode("utf-8", errors="replace")
        # Without a time of change, so that it is never compared with the notebook's JSON.
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    if b"get_ipython" in source and not hasattr(builtins, "get_ipython"):
        module.__dict__["get_ipython"] = _NoIPython
    before = _torch_settings()
    try:
        yield
    finally:
        _restore(before)


def _torch_settings() -> tuple[Any, Any, bool] | None:
    """Torch's default dtype, default device and gradient mode; None if it is not imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    return torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()


def _restore(before: tuple[Any, Any, bool] | None) -> None:
    """Restore these settings if the file has changed them; None: those that torch starts with."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    dtype, device, records_gradients = before or (torch.float32, torch.device("cpu"), True)
    torch.set_grad_enabled(records_gradients)
    torch.set_default_dtype(dtype)
    if torch.get_default_device() != device:
        torch.set_default_device(device)


class _NoIPython:
    """Stands for IPython in a plain Python: its commands do nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None
