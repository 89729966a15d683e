"""Provide a run and conversations to train on."""

from pathlib import Path

import chat_folders as folders
import pytest
from small_runs import train

from gpt2_small import binding

SOLUTION = binding.bound()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `base`, a run on bytes, and `chats`, conversations for it."""
    place = tmp_path_factory.mktemp("chat")
    train(SOLUTION, place / "base", tokenizer="byte", max_steps=2, n_ctx=40)
    folders.prepared(place)
    return place
