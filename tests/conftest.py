"""What every test shares: the typed solution, reproducible randomness, no network."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "2")

import pytest
import torch
from hypothesis import settings

settings.register_profile("gpt2-small", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("gpt2-small")


@pytest.fixture(scope="session", autouse=True)
def _shapes_are_checked(solution):
    torch.set_num_threads(2)


@pytest.fixture
def generator() -> torch.Generator:
    """Randomness that starts at the same place in every test."""
    return torch.Generator().manual_seed(20190214)
