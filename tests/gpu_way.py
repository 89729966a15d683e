"""The twin as it computes on a GPU, on a CPU."""

from contextlib import contextmanager

import torch

from gpt2_small.model import fast


@contextmanager
def the_way_of_a_gpu(monkeypatch):
    """The twin's other path, on a CPU: the operations that a compiler or a GPU is given."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        patch.setattr(fast, "is_compiling", lambda: True)
        patch.setattr(fast, "attends_in_full", lambda device: False)
        yield
