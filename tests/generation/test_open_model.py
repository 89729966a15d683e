"""Test opening models for generation: tokenizers, hashes and dtypes."""

import re

import pytest
import torch
from sample_command import make_run
from small_continuations import small_model
from small_gpt2s import characters, hugging_face_gpt2

from gpt2_small.errors import UserError
from gpt2_small.generation import (
    open_model,
)
from gpt2_small.tokenizers.registry import GPT2Tokenizer
from gpt2_small.weights import export_hugging_face


def test_a_hugging_face_folder_without_tokenizer_files_gets_gpt2s_when_its_size_is_gpt2s(tmp_path):
    hugging_face_gpt2(vocab_size=50257).save_pretrained(tmp_path / "hf")
    assert isinstance(open_model(tmp_path / "hf").tokenizer, GPT2Tokenizer)


def test_a_hugging_face_folder_of_another_size_without_tokenizer_files_is_refused(tmp_path):
    hugging_face_gpt2().save_pretrained(tmp_path / "hf")
    with pytest.raises(UserError, match=r"holds no tokenizer .* vocabulary of 61 is not GPT-2's"):
        open_model(tmp_path / "hf")


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_flipped_byte_in_the_tokenizer_of_an_export_is_found_by_its_hash(tmp_path, name):
    folder = export_hugging_face(small_model(), tmp_path / "out", tokenizer=characters())
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data.replace(b"e", b"d", 1))
    with pytest.raises(UserError, match=re.escape(f"{name} was changed after it was written")):
        open_model(folder)


def test_a_run_is_opened_in_the_requested_dtype(tmp_path):
    run_folder = make_run(tmp_path)
    assert open_model(run_folder, dtype=torch.bfloat16).model.embed.W_E.dtype == torch.bfloat16
