"""Read the tokenizer of a Hugging Face folder, and refuse unsupported ones."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Engine
from tokenizers import decoders, models, pre_tokenizers

from gpt2_small.errors import UserError
from gpt2_small.files.json_files import read_json_object
from gpt2_small.tokenizers.hugging_face.own_tokenizers import own_kind
from gpt2_small.tokenizers.hugging_face.tokenizer import (
    HuggingFaceTokenizer,
    another_kind,
    read_engine,
    refusing_panics,
)
from gpt2_small.tokenizers.hugging_face.tokenizer_settings import (
    FILE_CLASSES,
    GPT2_CLASS,
    TokenizerSettings,
    add_template,
    add_tokens,
    name_as_gpt2,
    read_settings,
)
from gpt2_small.tokenizers.protocol import Tokenizer

WHOLE, VOCABULARY, MERGES = "tokenizer.json", "vocab.json", "merges.txt"


def read_tokenizer_folder(folder: str | Path) -> Tokenizer:
    """Read the tokenizer of a folder, with the same ids as in transformers.

    Reads `tokenizer.json`, else `vocab.json` and `merges.txt`, and the settings in other files. A
    tokenizer equivalent to one of this program's own is returned as that kind.

    Raises:
        UserError: missing or damaged files, an unsupported tokenizer, or files that transformers
            and the tokenizers library interpret differently.
    """
    folder = Path(folder)
    path = next((folder / name for name in (WHOLE, VOCABULARY) if (folder / name).is_file()), None)
    if path is None:
        raise UserError(f"{folder} holds no tokenizer: it needs {WHOLE} or {VOCABULARY}")
    content = read_json_object(path) if path.name == WHOLE else None
    try:
        settings = read_settings(folder, content)
        if settings.options.get("fast_tokenizer_files"):
            raise UserError("its settings choose the file by the version of transformers")
        engine = _engine(path, content, settings)
        add_tokens(engine, settings)
        if content is None:
            add_template(engine, settings)
        named = _contents(settings.named)
        return own_kind(engine, named, settings.ends, settings.options) or HuggingFaceTokenizer(
            engine,
            named=named,
            ends=settings.ends,
            split_special=bool(settings.options.get("split_special_tokens")),
        )
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged or not a GPT-2 tokenizer ({error!r})") from None


def _engine(path: Path, content: dict[str, Any] | None, settings: TokenizerSettings) -> Engine:
    """Build the library's tokenizer from the files as transformers' class does."""
    model = (content or {}).get("model") or {}
    is_bpe = model.get("type", "BPE") == "BPE"
    if is_bpe and model.get("continuing_subword_prefix"):  # the library would panic
        raise UserError("its subwords have a prefix, which byte-level byte pairs do not")
    if settings.class_name in FILE_CLASSES:
        if content is None:
            raise UserError(f"its class {settings.class_name} needs {WHOLE}, which is not there")
        return read_engine(json.dumps(content))
    if settings.class_name != GPT2_CLASS:
        raise UserError(
            f"its class is {settings.class_name}; {GPT2_CLASS} and PreTrainedTokenizerFast can be "
            "used"
        )
    prefix = bool(settings.options.get("add_prefix_space", False))
    if content is not None:
        check_as_gpt2(content, prefix, settings)
        engine = read_engine(json.dumps(content))
        name_as_gpt2(engine, settings)
        return engine
    if not (path.parent / MERGES).is_file():
        raise UserError(f"{MERGES} is missing beside it")
    with refusing_panics():
        engine = Engine(models.BPE.from_file(str(path), str(path.parent / MERGES)))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    engine.decoder = decoders.ByteLevel()
    name_as_gpt2(engine, settings)
    return engine


def check_as_gpt2(content: Mapping[str, Any], prefix: bool, settings: TokenizerSettings) -> None:
    """Raises UserError for parts of tokenizer.json that the class GPT2Tokenizer ignores.

    transformers 5 reads vocabulary, merges, added tokens and post-processor from the file and
    always splits by GPT-2's pattern; transformers 4 and the library use the whole file.
    """
    model, decoder = content["model"], content.get("decoder") or {}
    if model.get("type", "BPE") != "BPE" or decoder.get("type") != "ByteLevel":
        raise UserError(another_kind(content))
    splitting = content.get("pre_tokenizer") or {}
    own_prefix = bool(splitting.get("add_prefix_space"))
    listed = {token.content for token in settings.added.values()}
    listed |= {*_contents(settings.named).values()}
    differing = {
        "dropout": model.get("dropout"),
        "a suffix of words": model.get("end_of_word_suffix"),
        "ignore_merges": model.get("ignore_merges"),
        "a normalizer": content.get("normalizer") is not None,
        f"the pre-tokenizer {splitting.get('type')}": splitting.get("type") != "ByteLevel",
        "a pre-tokenizer without GPT-2's pattern": not splitting.get("use_regex", True),
        f"add_prefix_space {str(own_prefix).lower()}": own_prefix != prefix,
        "tokens that tokenizer_config.json does not list": any(
            token["content"] not in listed for token in content.get("added_tokens", [])
        ),
    }
    found = [part for part, differs in differing.items() if differs]
    if found:
        raise UserError(
            f"it has {', '.join(found)}, which the class {GPT2_CLASS} drops in transformers 5 and "
            "keeps in transformers 4; set tokenizer_class to PreTrainedTokenizerFast in "
            "tokenizer_config.json to keep it, or take it out"
        )


def _contents(named: Mapping[str, Any]) -> dict[str, str]:
    """The texts of the named tokens, without disabled ones."""
    return {
        name: token if isinstance(token, str) else token.content
        for name, token in named.items()
        if token is not None
    }
