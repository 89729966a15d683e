"""Write a tokenizer's files into an exported folder."""

import json
from pathlib import Path
from typing import Any

from gpt2_small.files.atomic import write_atomically
from gpt2_small.tokenizers.chat_roles import ChatTokenizer
from gpt2_small.tokenizers.hugging_face import chat_template
from gpt2_small.tokenizers.hugging_face.engines import (
    OWN_NAMES,
    UNKNOWN,
    engine_of,
    vocabulary_and_merges,
)
from gpt2_small.tokenizers.hugging_face.tokenizer import HuggingFaceTokenizer
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.simple import CharTokenizer
from gpt2_small.tokenizers.words import WordTokenizer

FROM_FILE, GPT2 = "PreTrainedTokenizerFast", "GPT2Tokenizer"


def write_tokenizer_files(
    tokenizer: Tokenizer, folder: str | Path, *, n_ctx: int | None = None
) -> list[Path]:
    """Write a tokenizer's files into an existing folder, and return their paths.

    Writes `tokenizer.json` and `tokenizer_config.json`, for byte-level tokenizers (`gpt2`,
    `bpe:SIZE`, `byte`, `byte-level`) `vocab.json` and `merges.txt`, and for tokenizers with roles
    `chat_template.jinja`. transformers then encodes a typed `<|endoftext|>` or role as the special
    token, and a character outside the alphabet of `char` as `<unk>`, an id beyond the model's.

    Args:
        n_ctx: the longest input in tokens, for the settings.

    Raises:
        UserError: a kind of tokenizer that these files cannot represent.
    """
    base = tokenizer.base if isinstance(tokenizer, ChatTokenizer) else tokenizer
    engine = engine_of(tokenizer)
    end = None if tokenizer.end_of_text is None else engine.id_to_token(tokenizer.end_of_text)
    config: dict[str, Any] = {"tokenizer_class": FROM_FILE}
    files: dict[str, str] = {}
    if isinstance(base, HuggingFaceTokenizer):
        config |= base.named
        config["split_special_tokens"] = base.split_special
    elif isinstance(base, CharTokenizer):
        config |= {"bos_token": end, "eos_token": end, "unk_token": UNKNOWN}
    elif isinstance(base, WordTokenizer):
        config |= {"bos_token": None, "eos_token": None, "unk_token": None}
        config[OWN_NAMES] = {"name": base.name, "begin": base.vocabulary[0]}
    else:
        vocabulary, merges = vocabulary_and_merges(base)
        config |= {"tokenizer_class": GPT2, "add_prefix_space": False}
        config |= dict.fromkeys(("bos_token", "eos_token", "unk_token"), end)
        files["vocab.json"] = json.dumps(vocabulary, ensure_ascii=False)
        files["merges.txt"] = "\n".join(["#version: 0.2", *map(" ".join, merges), ""])
    if isinstance(tokenizer, ChatTokenizer):
        config["additional_special_tokens"] = tokenizer.added_names
    config["clean_up_tokenization_spaces"] = False
    if n_ctx is not None:
        config["model_max_length"] = n_ctx
    if tokenizer.roles is not None and end is not None:
        files[chat_template.FILE] = chat_template.chat_template(tokenizer, end)
    files["tokenizer.json"] = engine.to_str(pretty=True)
    files["tokenizer_config.json"] = json.dumps(config, indent=2)
    paths = [Path(folder) / name for name in files]
    for path, text in zip(paths, files.values(), strict=True):
        write_atomically(path, text + ("" if text.endswith("\n") else "\n"))
    return paths
