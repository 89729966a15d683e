"""Write the tokenizer files of a small GPT-2, and register functions that vary them."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers
import transformers

TEXT = "The cat sat on the mat; it's 3,141 cats.\n\n  Héllo 中文 😀\t\r\n" * 5
END, START, ANSWER_END, PAD = "<|endoftext|>", "<|startoftext|>", "<|answer_end|>", "<|pad|>"
OTHERS_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]

Maker = Callable[[Path], None]
BUILT: dict[str, Maker] = {}
REFUSED: dict[str, tuple[Maker, str]] = {}


@cache
def base_files() -> tuple[str, str]:
    """Return vocab.json and merges.txt of a small GPT-2: bytes, some merges, an end of text."""
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator([TEXT], vocab_size=300, special_tokens=[])
    model = json.loads(trained.to_str())["model"]
    vocabulary = model["vocab"] | {END: len(model["vocab"])}
    merges = "\n".join(["#version: 0.2", *map(" ".join, model["merges"]), ""])
    return json.dumps(vocabulary), merges


def write_base(folder: Path) -> None:
    vocabulary, merges = base_files()
    (folder / "vocab.json").write_text(vocabulary)
    (folder / "merges.txt").write_text(merges)


def gpt2(folder: Path, **options: Any) -> transformers.GPT2Tokenizer:
    """Return transformers' own tokenizer of the small base."""
    source = folder / "base"
    source.mkdir()
    write_base(source)
    tokenizer: transformers.GPT2Tokenizer
    tokenizer = transformers.GPT2Tokenizer.from_pretrained(source, **options)
    shutil.rmtree(source)
    return tokenizer


def whole(folder: Path) -> dict[str, Any]:
    """Return tokenizer.json of the small base, as the library writes it."""
    described: dict[str, Any] = json.loads(gpt2(folder).backend_tokenizer.to_str())
    return described


def engine(folder: Path) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_str(json.dumps(whole(folder)))


def id_of(backend: tokenizers.Tokenizer, token: str) -> int:
    id = backend.token_to_id(token)
    assert id is not None
    return id


def write_json(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def save_fast(folder: Path, backend: tokenizers.Tokenizer, **named: Any) -> None:
    named = {"eos_token": END, "bos_token": END, "unk_token": END} | named
    fast: Any = transformers.PreTrainedTokenizerFast  # its constructor has no types
    fast = fast(tokenizer_object=backend, **named)
    fast.save_pretrained(folder)


def change_json(folder: Path, name: str, **changes: Any) -> None:
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    write_json(folder, name, content | changes)


def built(make: Maker) -> Maker:
    BUILT[make.__name__] = make
    return make


def refused(sentence: str) -> Callable[[Maker], Maker]:
    def register(make: Maker) -> Maker:
        REFUSED[make.__name__] = make, sentence
        return make

    return register
