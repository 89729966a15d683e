"""Plant a mistake in the fast twin: run a module's edited source in the place of the original."""

import types
from pathlib import Path
from types import ModuleType

import pytest

from gpt2_small.kernels import (
    activation,
    attention,
    chunked_loss,
    matmul,
    qkv_projection,
    tied_embedding,
)
from gpt2_small.model import cached_decoder, kv_cache, packed_weights, twin

KERNELS = (activation, matmul, qkv_projection, attention, tied_embedding, chunked_loss)
MODULES = (*KERNELS, twin, packed_weights, kv_cache, cached_decoder)


def plant(monkeypatch: pytest.MonkeyPatch, module: ModuleType, old: str, new: str) -> None:
    """Replace every name of `module` by the edited source's until the test ends."""
    source = Path(str(module.__file__)).read_text()
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times in {module.__name__}"
    edited = types.ModuleType(module.__name__)
    exec(compile(source.replace(old, new), str(module.__file__), "exec"), edited.__dict__)
    names = {key: value for key, value in vars(module).items() if not key.startswith("__")}
    for user in MODULES:
        for name, original in names.items():
            if vars(user).get(name) is original and callable(original):
                monkeypatch.setattr(user, name, getattr(edited, name))
