"""Test folders without tokenizer files: GPT-2's tokenizer if certain, else an error."""

import json

import pytest

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.registry import GPT2Tokenizer
from gpt2_small.weights.folder_tokenizer import tokenizer_beside


def write(folder, files):
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize("rows", [50257, 50264, 50304])
@pytest.mark.parametrize(
    "files",
    [
        {},
        {"config.json": {"eos_token_id": 50256}},
        {"tokenizer_config.json": {"model_max_length": 1024}},
        {"special_tokens_map.json": {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}},
    ],
)
def test_gpt2s_tokenizer_is_assumed_if_the_folder_does_not_contradict_it(tmp_path, rows, files):
    write(tmp_path, files)
    tokenizer, remarks = tokenizer_beside(tmp_path, rows)
    assert isinstance(tokenizer, GPT2Tokenizer)
    assert remarks == (f"{tmp_path} has no tokenizer files; GPT-2's is assumed",)


def test_another_end_of_text_is_used_with_gpt2s_tokenizer(tmp_path):
    write(tmp_path, {"generation_config.json": {"eos_token_id": [50256, 198]}})
    tokenizer, remarks = tokenizer_beside(tmp_path, 50257)
    assert tokenizer.ends == {198, 50256}
    assert tokenizer.encode("Hello world") == [15496, 995]
    assert remarks


@pytest.mark.parametrize(
    ("rows", "files", "sentence"),
    [
        (50260, {}, "its vocabulary of 50260 is not GPT-2's"),
        (21128, {"vocab.txt": "[PAD]\n"}, r"vocab\.txt is of a tokenizer that cannot be read"),
        (50257, {"spiece.model": "\n"}, r"spiece\.model is of a tokenizer that cannot be read"),
        (50257, {"tokenizer.model": "\n"}, r"tokenizer\.model is of a tokenizer that cannot"),
        (50257, {"merges.txt": "#version: 0.2\n"}, r"merges\.txt is of a tokenizer that cannot"),
        (
            50264,
            {"special_tokens_map.json": {"bos_token": "<|startoftext|>"}},
            "names another tokenizer, without its vocabulary",
        ),
        (50264, {"added_tokens.json": {"<pad>": 50257}}, "names another tokenizer"),
        (
            50257,
            {"tokenizer_config.json": {"tokenizer_class": "BertTokenizer"}},
            "names another tokenizer",
        ),
        (
            50257,
            {"tokenizer_config.json": {"add_prefix_space": True}},
            "names another tokenizer",
        ),
        (
            50264,
            {"config.json": {"eos_token_id": 50258}},
            "ends a text with token 50258, which GPT-2's tokenizer does not have",
        ),
    ],
)
def test_a_folder_with_settings_of_another_tokenizer_is_refused(tmp_path, rows, files, sentence):
    write(tmp_path, files)
    with pytest.raises(UserError, match=sentence) as refusal:
        tokenizer_beside(tmp_path, rows)
    assert "beside the weights" in str(refusal.value)
