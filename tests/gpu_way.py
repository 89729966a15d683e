"""The twin as it computes on a GPU, on a CPU."""

from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F

from gpt2_small.kernels import products
from gpt2_small.model import projection
from gpt2_small.model import twin as fast


@contextmanager
def the_way_of_a_gpu(monkeypatch):
    """The twin's other path, on a CPU: the operations that a compiler or a GPU is given."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        patch.setattr(fast, "is_compiling", lambda: True)
        patch.setattr(projection, "is_compiling", lambda: True)
        patch.setattr(products, "gelu_tanh", partial(F.gelu, approximate="tanh"))
        patch.setattr(fast, "attends_in_full", lambda device: False)
        yield
