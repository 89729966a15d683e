"""Tokenizer files that `transformers` and `tokenizers` load, giving the same ids."""

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.files import write_atomically
from gpt2_small.stories import StoriesTokenizer
from gpt2_small.tokenizers.byte_pairs import ByteLevelTokenizer, BytePairTokenizer
from gpt2_small.tokenizers.gpt2 import GPT2Tokenizer
from gpt2_small.tokenizers.gpt2_table import verified_ranks
from gpt2_small.tokenizers.hugging_face_engines import (
    UNKNOWN,
    Merges,
    byte_level,
    byte_level_engine,
    character_engine,
    special_tokens,
    stories_engine,
    words,
)
from gpt2_small.tokenizers.protocol import END_OF_TEXT, Tokenizer
from gpt2_small.tokenizers.simple import ByteTokenizer, CharTokenizer

# Where the end of a text may be named, beside a vocabulary.
NAMED_ENDS = (
    ("tokenizer_config.json", "eos_token"),
    ("special_tokens_map.json", "eos_token"),
    ("config.json", "eos_token_id"),
)

# What would make byte pairs another tokenizer than GPT-2's kind.
FOREIGN = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")


def write_hugging_face_files(
    tokenizer: Tokenizer, folder: str | Path, *, n_ctx: int | None = None
) -> list[Path]:
    """Writes the tokenizer's files into an exported folder and returns their paths.

    Byte-level tokenizers (`gpt2`, `bpe:SIZE`, `byte`, `byte-level`) give `vocab.json`,
    `merges.txt`, `tokenizer.json` and `tokenizer_config.json`; `char` and `stories` the last two.
    `transformers` itself reads a typed `<|endoftext|>` as the token, and a character that `char`
    does not know as `<unk>`, an id beyond the model's.

    Args:
        tokenizer: one whose splitting these files can say.
        folder: must exist.
        n_ctx: the longest input, in tokens, that the files promise.

    Raises:
        UserError: a kind of tokenizer that these files cannot say.
    """
    files: dict[str, Any] = {}
    if isinstance(tokenizer, CharTokenizer):
        engine = character_engine(tokenizer)
        config = _config("PreTrainedTokenizerFast", n_ctx, unknown=UNKNOWN)
    elif isinstance(tokenizer, StoriesTokenizer):
        engine, config = stories_engine(tokenizer), _config("PreTrainedTokenizerFast", n_ctx)
    else:
        vocabulary, merges = byte_level(tokenizer)
        engine = byte_level_engine(vocabulary, merges)
        end = next((word for word, id in vocabulary.items() if id == tokenizer.end_of_text), None)
        config = _config("GPT2Tokenizer", n_ctx, end_of_text=end, unknown=end)
        files["vocab.json"] = json.dumps(vocabulary, ensure_ascii=False)
        files["merges.txt"] = "\n".join(["#version: 0.2", *map(" ".join, merges), ""])
    files["tokenizer.json"] = engine.to_str(pretty=True)
    files["tokenizer_config.json"] = json.dumps(config, indent=2)
    paths = [Path(folder) / name for name in files]
    for path, text in zip(paths, files.values(), strict=True):
        write_atomically(path, text)
    return paths


def read_hugging_face_files(folder: str | Path) -> Tokenizer:
    """The tokenizer of an exported folder, or of any GPT-2 folder with byte-level byte pairs.

    Reads `tokenizer.json`, else `vocab.json` and `merges.txt`.

    Raises:
        UserError: no such files, damaged ones, or a tokenizer of another kind.
    """
    folder = Path(folder)
    names = ("tokenizer.json", "vocab.json")
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise UserError(f"{folder} holds no tokenizer: it needs {' or '.join(names)}.")
    try:
        if verified_ranks(path.read_bytes()) is not None:
            return GPT2Tokenizer(path)
        content = json.loads(path.read_text(encoding="utf-8"))
        if path.name == "vocab.json":
            vocabulary, merges = content, _read_merges(path.parent / "merges.txt")
        else:
            vocabulary, merges = _vocabulary_and_merges(content)
        tokenizer = _own(vocabulary, merges)
        if tokenizer is None and (path.name == "vocab.json" or _splits_as_gpt2(content)):
            end = _end_of_text(folder, vocabulary, special_tokens(vocabulary, merges))
            tokenizer = ByteLevelTokenizer(vocabulary, merges, end_of_text=end)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged or not a GPT-2 tokenizer ({error}).") from None
    if tokenizer is None:
        raise UserError(
            f"{path} describes a tokenizer of another kind; GPT-2's, byte-level byte pairs, bytes, "
            "characters and the stories' words can be read."
        )
    return tokenizer


def _read_merges(path: Path) -> Merges:
    lines = path.read_text(encoding="utf-8").splitlines()
    return _pairs(line for line in lines if line and not line.startswith("#version"))


def _pairs(merges: Iterable[str | list[str]]) -> Merges:
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    return [(left, right) for left, right in pairs]


def _vocabulary_and_merges(content: dict[str, Any]) -> tuple[dict[str, int], Merges]:
    model = content["model"]
    vocabulary: dict[str, int] = dict(model["vocab"])
    vocabulary |= {token["content"]: token["id"] for token in content["added_tokens"]}
    if model.get("type") == "WordLevel":
        vocabulary.pop(UNKNOWN, None)
    return vocabulary, _pairs(model.get("merges", []))


def _own(vocabulary: dict[str, int], merges: Merges) -> Tokenizer | None:
    """The tokenizer of this program's own kinds that has exactly this vocabulary."""
    kinds: tuple[Callable[[], Tokenizer], ...] = (
        lambda: ByteTokenizer(end_of_text=False),
        ByteTokenizer,
        lambda: BytePairTokenizer(merges),
        lambda: CharTokenizer("".join(vocabulary)),
        StoriesTokenizer,
    )
    for kind in kinds:
        with contextlib.suppress(UserError):  # such as for merges in another order than ours
            tokenizer = kind()
            if words(tokenizer) == vocabulary:
                return tokenizer
    return None


def _splits_as_gpt2(content: dict[str, Any]) -> bool:
    model, splitting = content["model"], content.get("pre_tokenizer") or {}
    return (
        model.get("type") == "BPE"
        and not any(model.get(name) for name in FOREIGN)
        and content.get("normalizer") is None
        and splitting.get("type") == "ByteLevel"
        and not splitting.get("add_prefix_space")
        and splitting.get("use_regex", True)
    )


def _end_of_text(folder: Path, vocabulary: dict[str, int], special: Sequence[str]) -> str | None:
    """The token that ends a text, as the files beside a vocabulary name it."""
    for file, name in NAMED_ENDS:
        try:
            named = json.loads((folder / file).read_text(encoding="utf-8"))[name]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        content = named.get("content") if isinstance(named, dict) else named
        for token in special:
            if content in (token, vocabulary[token]):
                return token
    return END_OF_TEXT if END_OF_TEXT in special else None


def _config(
    loaded_by: str,
    n_ctx: int | None,
    *,
    end_of_text: str | None = None,
    unknown: str | None = None,
) -> dict[str, Any]:
    config = {
        "tokenizer_class": loaded_by,
        "add_prefix_space": False,
        "bos_token": end_of_text,
        "eos_token": end_of_text,
        "unk_token": unknown,
        "clean_up_tokenization_spaces": False,
    }
    return config if n_ctx is None else config | {"model_max_length": n_ctx}
