"""Run the twin's GPU code path on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gpt2_small.kernels import (
    attention,
    chunked_loss,
    matmul,
    qkv_projection,
    tied_embedding,
)


@contextmanager
def the_way_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run the kernels' plain versions on a CPU, as under a compiler or on a GPU."""
    with monkeypatch.context() as patch:
        for kernel in (matmul, qkv_projection, chunked_loss, tied_embedding):
            patch.setattr(kernel, "cpu_version_runs", lambda *tensors: False)
        patch.setattr(attention, "attends_in_full", lambda device: False)
        yield
