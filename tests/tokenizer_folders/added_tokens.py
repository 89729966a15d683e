"""Build folders with added and special tokens, as today's and old versions write them."""

import json
from pathlib import Path
from typing import Any

import tokenizers
import transformers
from tokenizers import AddedToken

from .files import (
    ANSWER_END,
    END,
    OTHERS_SPECIAL,
    PAD,
    START,
    TEXT,
    base_files,
    built,
    change_json,
    gpt2,
    write_base,
    write_json,
)


@built
def as_transformers_saves_it(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)


@built
def start_answer_end_and_pad_added(folder: Path) -> None:
    tokenizer = gpt2(folder)
    names: dict[str, Any] = {"bos_token": START, "eos_token": ANSWER_END, "pad_token": PAD}
    tokenizer.add_special_tokens(names)
    tokenizer.save_pretrained(folder)


@built
def pad_alone_added(folder: Path) -> None:
    tokenizer = gpt2(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)


@built
def ordinary_words_added(folder: Path) -> None:
    tokenizer = gpt2(folder)
    tokenizer.add_tokens(["cat", "mat;", "3,1", " sat", "日本", "né"])
    tokenizer.save_pretrained(folder)


@built
def added_tokens_that_take_the_spaces_beside_them(folder: Path) -> None:
    tokenizer = gpt2(folder)
    words = [
        AddedToken("cat", lstrip=True),
        AddedToken("the", rstrip=True, single_word=True),
        AddedToken("<sep>", lstrip=True, rstrip=True, special=True),
    ]
    tokenizer.add_tokens(words)
    tokenizer.save_pretrained(folder)


@built
def prefix_space_of_the_class(folder: Path) -> None:
    gpt2(folder, add_prefix_space=True).save_pretrained(folder)


@built
def vocabulary_and_merges_alone(folder: Path) -> None:
    write_base(folder)


@built
def vocabulary_with_prefix_space(folder: Path) -> None:
    write_base(folder)
    write_json(folder, "tokenizer_config.json", {"add_prefix_space": True})


@built
def vocabulary_with_bos_before_each_text(folder: Path) -> None:
    write_base(folder)
    write_json(
        folder, "tokenizer_config.json", {"add_bos_token": True, "tokenizer_class": "GPT2Tokenizer"}
    )


@built
def vocabulary_with_bos_and_eos_around_each_text(folder: Path) -> None:
    write_base(folder)
    write_json(folder, "tokenizer_config.json", {"add_bos_token": True, "add_eos_token": True})
    write_json(folder, "special_tokens_map.json", {"bos_token": START, "eos_token": END})
    write_json(folder, "added_tokens.json", {START: len(json.loads(base_files()[0]))})


@built
def added_tokens_json_of_old_versions(folder: Path) -> None:
    write_base(folder)
    size = len(json.loads(base_files()[0]))
    names = {"<|PAD|>": size + 3, "<|SEP|>": size + 4, "<|UNK|>": size + 2, "<|EOS|>": size + 1}
    write_json(folder, "added_tokens.json", {**names, "<|BOS|>": size})
    special = {"bos_token": "<|BOS|>", "eos_token": "<|EOS|>", "pad_token": "<|PAD|>"}
    write_json(folder, "special_tokens_map.json", special)


@built
def special_tokens_map_with_flags(folder: Path) -> None:
    write_base(folder)
    flags = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    names = {"bos_token": START, "eos_token": END, "pad_token": PAD}
    special = {name: {"content": token, **flags} for name, token in names.items()}
    write_json(folder, "special_tokens_map.json", special)


@built
def additional_special_tokens_of_old_versions(folder: Path) -> None:
    write_base(folder)
    special = {"eos_token": END, "additional_special_tokens": ["<user>", "<system>"]}
    write_json(folder, "special_tokens_map.json", special)


@built
def added_tokens_decoder_without_tokenizer_json(folder: Path) -> None:
    tokenizer = gpt2(folder)
    tokenizer.add_special_tokens({"bos_token": START, "pad_token": PAD})
    tokenizer.add_tokens(["cats"])
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer.json").unlink()
    write_base(folder)


@built
def end_of_text_after_the_vocabulary(folder: Path) -> None:
    write_base(folder)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    size = vocabulary.pop(END)
    write_json(folder, "vocab.json", vocabulary)
    write_json(folder, "added_tokens.json", {END: size})


@built
def special_tokens_before_all_others(folder: Path) -> None:
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator([TEXT], vocab_size=300, special_tokens=OTHERS_SPECIAL)
    trained.save_model(str(folder))
    names: dict[str, Any] = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer = transformers.GPT2Tokenizer.from_pretrained(folder, pad_token="<pad>", **names)
    tokenizer.save_pretrained(folder)


@built
def its_vocabulary_alone(folder: Path) -> None:
    special_tokens_before_all_others(folder)
    (folder / "tokenizer.json").unlink()


@built
def eos_in_the_models_config(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)
    write_json(folder, "config.json", {"eos_token_id": 7})


@built
def several_ends_in_the_generations_config(folder: Path) -> None:
    start_answer_end_and_pad_added(folder)
    write_json(folder, "config.json", {"eos_token_id": 0})
    write_json(folder, "generation_config.json", {"eos_token_id": [7, 9]})


@built
def eos_switched_off(folder: Path) -> None:
    gpt2(folder).save_pretrained(folder)
    change_json(folder, "tokenizer_config.json", eos_token=None)
