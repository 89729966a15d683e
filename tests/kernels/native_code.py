"""Share helpers between tests of the C code."""

from pathlib import Path

import pytest
import torch

from gpt2_small.kernels.native import library as native

FLOAT32, CPU = torch.float32, torch.device("cpu")
WHY_NOT = native.unavailable(FLOAT32, CPU)

needs_compiler = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def plant_in_c(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    old: str,
    new: str,
    dtype: torch.dtype = FLOAT32,
) -> None:
    """Build the C library from a source with this mistake until the test ends."""
    source = native.SOURCE.read_text()
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times in {native.SOURCE}"
    edited = folder / native.SOURCE.name
    edited.write_text(source.replace(old, new))
    monkeypatch.setattr(native, "SOURCE", edited)
    assert native.unavailable(dtype, CPU) is None
