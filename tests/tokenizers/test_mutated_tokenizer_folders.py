"""Test randomly changed tokenizer folders: transformers' ids, or an error."""

import json
import random

import pytest
import transformers
from tokenizer_folders import BUILT

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.hugging_face import read_tokenizer_folder

TEXTS = ["The cat sat on the mat; it's 3,141 cats.\n\n  Héllo 中文 😀", " x", "", "A<s> café"]
FILES = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.json",
    "generation_config.json",
)
KEYS = (
    "eos_token",
    "bos_token",
    "unk_token",
    "pad_token",
    "add_prefix_space",
    "add_bos_token",
    "add_eos_token",
    "added_tokens_decoder",
    "additional_special_tokens",
    "extra_special_tokens",
    "split_special_tokens",
    "tokenizer_class",
    "my_token",
    "eos_token_id",
)
TOKEN = {"content": "<y>", "lstrip": True, "rstrip": False, "single_word": False}
TOKEN |= {"normalized": True, "special": True}
VALUES = (None, True, False, 0, 1, -1, 7, 1.5, "", "<x>", "cat", "<|endoftext|>", [], {}, ["<a>"])
VALUES += (TOKEN, [1], {"a": 1}, "GPT2TokenizerFast", "PreTrainedTokenizerFast", "BertTokenizer")


def places(value, path=()):
    """Return the places in a JSON value, without vocabularies and merges."""
    if isinstance(value, dict):
        inside = [item for item in value.items() if item[0] not in ("vocab", "merges")]
    else:
        inside = list(enumerate(value[:50])) if isinstance(value, list) else []
    for key, each in inside:
        yield (*path, key)
        yield from places(each, (*path, key))


def change(folder, rng):
    """Set, add or remove a value in one of the files, and describe the change."""
    found = [name for name in FILES if (folder / name).is_file()]
    name = rng.choice([*found, FILES[0]])
    path = folder / name
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    place = rng.choice([*places(content), None, None])
    if place is None or rng.random() < 0.3:
        place = (rng.choice(KEYS),)
    inside = content
    for key in place[:-1]:
        inside = inside[key]
    value = rng.choice(VALUES)
    if rng.random() < 0.25 and isinstance(inside, dict):
        inside.pop(place[-1], None)
    else:
        inside[place[-1]] = value
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return f"{name}: {place} = {value!r}"


def check_changed_folder(folder, seed):
    """Return whether the folder was accepted; fail if its ids differ from transformers'."""
    rng = random.Random(seed)
    shape = rng.choice(sorted(BUILT))
    BUILT[shape](folder)
    config = folder / "config.json"
    model = json.loads(config.read_text()) if config.is_file() else {}
    config.write_text(json.dumps(model | {"model_type": "gpt2"}))
    changes = shape, [change(folder, rng) for _ in range(rng.choice((1, 1, 2)))]
    try:
        ours = read_tokenizer_folder(folder)
    except UserError:
        return False
    try:
        theirs = transformers.AutoTokenizer.from_pretrained(folder)
        theirs(TEXTS[0])
    except Exception:  # transformers cannot load it, so no ids can differ
        return True
    for text in TEXTS:
        typed = theirs(text, split_special_tokens=True)["input_ids"]
        assert ours.encode(text) == typed, changes
        assert ours.decode(typed) == theirs.decode(typed), changes
        text += "".join(ours.special_tokens)
        assert ours.encode_special(text) == theirs(text)["input_ids"], changes
    added_by_the_class = (theirs.eos_token_id or 0) >= ours.vocab_size  # after the files' ids
    assert theirs.eos_token_id in {None, *ours.ends} or added_by_the_class, changes
    return True


def test_a_changed_folder_has_transformers_ids_or_is_refused(tmp_path):
    built = []
    for seed in range(40):
        folder = tmp_path / str(seed)
        folder.mkdir()
        built.append(check_changed_folder(folder, seed))
    assert 10 < sum(built) < 35


@pytest.mark.slow
def test_many_changed_folders_have_transformers_ids_or_are_refused(tmp_path):
    for seed in range(40, 600):
        folder = tmp_path / str(seed)
        folder.mkdir()
        check_changed_folder(folder, seed)
