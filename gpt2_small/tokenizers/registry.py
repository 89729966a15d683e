"""Make a tokenizer by name, save it with a run, and restore it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.files.atomic import write_atomically
from gpt2_small.files.json_files import parse_json
from gpt2_small.files.special_files import refuse_pipe
from gpt2_small.tokenizers.byte_pairs import ByteLevelTokenizer, BytePairTokenizer
from gpt2_small.tokenizers.chat_roles import SUFFIX, with_roles
from gpt2_small.tokenizers.gpt2 import GPT2Tokenizer
from gpt2_small.tokenizers.hugging_face.tokenizer import HuggingFaceTokenizer
from gpt2_small.tokenizers.protocol import StreamDecoder, Tokenizer, encode_array
from gpt2_small.tokenizers.simple import ByteTokenizer, CharTokenizer
from gpt2_small.tokenizers.words import WordTokenizer

__all__ = [
    "ByteLevelTokenizer",
    "BytePairTokenizer",
    "ByteTokenizer",
    "CharTokenizer",
    "GPT2Tokenizer",
    "StreamDecoder",
    "Tokenizer",
    "check_spec",
    "encode_array",
    "from_dict",
    "load_tokenizer",
    "make_tokenizer",
    "save_tokenizer",
]

FILE_NAME = "tokenizer.json"
FORMAT = "gpt2-small-tokenizer/1"
LARGEST_SIZE = 1_000_000  # tokens of a trained vocabulary


def check_spec(spec: str) -> None:
    """Check a tokenizer's name before any text is read.

    Raises:
        UserError: `spec` is not `gpt2`, `byte`, `char` or `bpe:SIZE`, or one of them with `-chat`.
    """
    given, spec = spec, spec.removesuffix(SUFFIX)
    if spec in ("gpt2", "byte", "char"):
        return
    kind, _, size = spec.partition(":")
    if kind == "bpe":
        if not (size.isascii() and size.isdigit()):
            raise UserError(f"tokenizer {spec!r} needs a whole number of tokens, as in bpe:1024")
        if len(size) > len(str(LARGEST_SIZE)) or int(size) > LARGEST_SIZE:
            raise UserError(
                f"tokenizer {spec!r} is too large; give at most bpe:{LARGEST_SIZE} tokens"
            )
        return
    guess = did_you_mean(kind, ("gpt2", "byte", "char", "bpe"))
    choice = "choose gpt2, byte, char or bpe:SIZE, or give the folder of a run"
    advice = " ".join(filter(None, [guess, choice]))
    raise UserError(f"unknown tokenizer {given!r}; {advice}")


def make_tokenizer(spec: str, text: str = "") -> Tokenizer:
    """Make a tokenizer by its name.

    Args:
        spec: `gpt2`, `byte`, `char` (alphabet from `text`) or `bpe:SIZE` (trained on `text`), each
            optionally followed by `-chat` to add roles.
        text: the training text of `char` and `bpe:SIZE`.

    Raises:
        UserError: an unknown name (with the nearest), or a text that is too short.
    """
    check_spec(spec)
    if spec.endswith(SUFFIX):
        return with_roles(make_tokenizer(spec.removesuffix(SUFFIX), text))
    if spec == "gpt2":
        return GPT2Tokenizer()
    if spec == "byte":
        return ByteTokenizer()
    if spec == "char":
        return CharTokenizer(text)
    return BytePairTokenizer.train(text, int(spec.removeprefix("bpe:")))


def from_dict(data: dict[str, Any]) -> Tokenizer:
    """Restore a tokenizer of any kind from its `to_dict`.

    Raises:
        UserError: an unknown name, or a field that is missing or wrong.
    """
    name = str(data.get("name"))
    if name.endswith(SUFFIX) and name not in _RESTORE:
        return _restore_chat(name, data)
    restore = _RESTORE.get(name.partition(":")[0])
    if restore is None:
        raise UserError(f"unknown tokenizer {name!r}; known are {', '.join(_RESTORE)}")
    try:
        return restore(data)
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"the description of a {name!r} tokenizer is damaged ({error!r})") from None


def _restore_chat(name: str, data: dict[str, Any]) -> Tokenizer:
    base = data.get("base")
    if not isinstance(base, dict) or str(base.get("name")) + SUFFIX != name:
        raise UserError(f"the description of a {name!r} tokenizer is damaged (no fitting base)")
    tokenizer = with_roles(from_dict(base))
    if tokenizer.name != name:
        raise UserError(f"the description of a {name!r} tokenizer is damaged (its base has roles)")
    return tokenizer


_RESTORE: dict[str, Callable[[dict[str, Any]], Tokenizer]] = {
    "gpt2": lambda data: GPT2Tokenizer(),
    "byte": ByteTokenizer.from_dict,
    "char": CharTokenizer.from_dict,
    "bpe": BytePairTokenizer.from_dict,
    "byte-level": ByteLevelTokenizer.from_dict,
    HuggingFaceTokenizer.kind: HuggingFaceTokenizer.from_dict,
    HuggingFaceTokenizer.kind + SUFFIX: HuggingFaceTokenizer.from_dict,
    "stories": WordTokenizer.from_dict,
    "dialogues": WordTokenizer.from_dict,
    "words": WordTokenizer.from_dict,
}


def save_tokenizer(tokenizer: Tokenizer, folder: str | Path) -> Path:
    """Write `tokenizer.json` into `folder`, atomically, and return its path."""
    content = {"format": FORMAT, "vocab_size": tokenizer.vocab_size}
    text = json.dumps(content | tokenizer.to_dict(), ensure_ascii=False, indent=1)
    path = Path(folder) / FILE_NAME
    write_atomically(path, text + "\n")
    return path


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Read the tokenizer that `save_tokenizer` wrote.

    Raises:
        UserError: a missing or damaged file, or one of another program.
    """
    path = Path(folder) / FILE_NAME
    refuse_pipe(path)
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: is {folder} the folder of a run?") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged and cannot be read ({error})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UserError(f"{path} was not written by this program (no format {FORMAT!r} in it)")
    try:
        tokenizer = from_dict(data)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if (tokenizer.name, tokenizer.vocab_size) != (data.get("name"), data.get("vocab_size")):
        raise UserError(
            f"{path} is damaged: it names {data.get('name')!r} with {data.get('vocab_size')} "
            f"tokens and contains {tokenizer.name!r} with {tokenizer.vocab_size}"
        )
    return tokenizer
