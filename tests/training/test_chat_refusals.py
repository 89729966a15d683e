"""Test the refusals of training on conversations."""

import json
from pathlib import Path
from typing import Any

import chat_folders as folders
import pytest
from chat_runs import chat_run
from small_runs import ALONE, train

from gpt2_small import binding
from gpt2_small.data.conversations.prepare_chats import ChatOptions, prepare_chats
from gpt2_small.errors import UserError
from gpt2_small.evaluation.evaluation_texts import open_texts
from gpt2_small.generation import open_model
from gpt2_small.training.recipes.training_presets import training_preset
from gpt2_small.training.session import open_run

SOLUTION = binding.bound()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"d_vocab": 300}, "d_vocab is 300, but the weights of .* have 257; leave d_vocab out"),
        ({"n_ctx": 16}, "n_ctx is 16, but the weights of .* have 40"),
        ({"d_model": 32}, "d_model is 32, but the weights"),
        ({"epochs": 0}, "epochs is 0"),
    ],
)
def test_other_changes_of_the_shape_are_refused(
    changes: dict[str, Any], sentence: str, place: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        chat_run(place, tmp_path / "run", **changes)


def test_a_vocabulary_other_than_the_weights_own_with_roles_is_refused(
    place: Path, tmp_path: Path
) -> None:
    options = ChatOptions(validation_share=0.3, limit=40)
    prepare_chats("dialogues", tmp_path / "dialogues", options)
    with pytest.raises(UserError, match=r"'dialogues-chat', but .* was trained with 'byte'"):
        chat_run(place, tmp_path / "run", data=str(tmp_path / "dialogues"), n_ctx=128)


def test_a_conversation_longer_than_the_context_is_refused_before_training(
    place: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long.jsonl"
    row = {"instruction": "a" * 60, "output": "b"}
    long.write_text("".join(json.dumps({**row, "id": n}) + "\n" for n in range(9)))
    options = ChatOptions(tokenizer="byte-chat", validation_share=0.4, split="path")
    with pytest.raises(UserError, match="is left for"):
        prepare_chats(str(long), tmp_path / "same", options)
    long.write_text(
        "".join(json.dumps(row | {"instruction": f"{n}" * 60}) + "\n" for n in range(9))
    )
    prepare_chats(str(long), tmp_path / "long", options)
    with pytest.raises(UserError, match=r"a conversation of \d+ tokens, more than a context of 40"):
        chat_run(place, tmp_path / "run", data=str(tmp_path / "long"))


def test_a_preset_that_needs_weights_asks_for_them(place: Path, tmp_path: Path) -> None:
    changes = {"data": str(place / "chats")}
    preset = training_preset("chat-stories")
    with (
        pytest.raises(UserError, match="give --init-from"),
        open_run(SOLUTION, tmp_path / "run", preset, changes, ALONE),
    ):
        pass
    assert not (tmp_path / "run").exists()


def test_conversations_of_another_tokenizer_are_not_evaluated(place: Path) -> None:
    with pytest.raises(UserError, match="chats was prepared with the tokenizer"):
        open_texts(place / "chats", open_model(place / "base").tokenizer)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tokenizer": "char"}, "tokenizer is char, but .*base has its own; leave tokenizer out"),
        ({"column": "text"}, "chats holds conversations, without columns; leave --column out"),
    ],
)
def test_a_setting_that_the_run_would_ignore_is_refused(
    place: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        chat_run(place, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_epochs_are_refused_for_other_data_than_conversations(place: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="epochs is 2, which is for a folder of conversations"):
        train(SOLUTION, tmp_path / "run", epochs=2)


def test_a_run_on_other_conversations_is_not_resumed(place: Path, tmp_path: Path) -> None:
    chat_run(place, tmp_path / "run", max_steps=4)
    other = folders.prepared(tmp_path, 50)
    with pytest.raises(UserError, match="is not the data that"):
        chat_run(place, tmp_path / "run", None, resume=True, data=str(other), max_steps=8)
