"""Read prompts, and convert prompts and token names to ids of the model's vocabulary."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.tokenizers.protocol import Tokenizer, split_at_names


def prompt_ids(tokenizer: Tokenizer, prompt: str | Sequence[int], d_vocab: int) -> list[int]:
    """Encode a prompt; an empty prompt becomes the tokenizer's start-of-text token.

    Raises UserError for an empty prompt without such a token, and for ids beyond the vocabulary.
    """
    ids = tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
    if not ids and tokenizer.start_of_text is not None:
        ids = [tokenizer.start_of_text]
    if not ids:
        raise UserError(
            f"the prompt is empty, and tokenizer {tokenizer.name!r} has no start-of-text token; "
            "give a prompt of at least one character"
        )
    known = min(d_vocab, tokenizer.vocab_size)
    for id in ids:
        if not 0 <= id < known:
            raise UserError(
                f"the prompt contains token {id}, and the model has tokens 0 to {known - 1}; "
                "use the tokenizer that the model was trained with"
            )
    return ids


def special_tokens_in(tokenizer: Tokenizer, prompt: str) -> list[str]:
    """The names of special tokens in a prompt, in their order."""
    return split_at_names(prompt, tokenizer.special_tokens)[1::2]


def read_prompts(path: Path) -> list[str]:
    """Read the prompts of a text file, one on each line.

    A line of a `.jsonl` file is a string or {"prompt": ...}. Empty lines are skipped.
    Unicode's line separators do not end a line.

    Raises UserError for a file that cannot be read, has no prompt, or is not of the format that its
    name says.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; check the name") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    prompts = [
        _prompt_in(line, f"{path}, line {number}") if path.suffix == ".jsonl" else line
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not prompts:
        raise UserError(f"{path} has no prompt; give one a line")
    return prompts


def _prompt_in(line: str, place: str) -> str:
    try:
        content: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place} is not JSON ({error})") from None
    prompt = content.get("prompt") if isinstance(content, dict) else content
    if not isinstance(prompt, str):
        raise UserError(f'{place} is neither a string nor {{"prompt": "..."}}')
    return prompt


def token_named(tokenizer: Tokenizer, name: str, d_vocab: int) -> int:
    """The id of a token given as a number, as a special token's name, or as a text of one token.

    Raises UserError for an id beyond the vocabulary, and for a text of several tokens.
    """
    known = min(d_vocab, tokenizer.vocab_size)
    if name.isascii() and name.isdigit():
        if int(name) < known:
            return int(name)
        raise UserError(f"there is no token {name}; the model has tokens 0 to {known - 1}")
    if name in tokenizer.special_tokens:
        return tokenizer.special_tokens[name]
    ids = tokenizer.encode_ordinary(name)
    if len(ids) != 1:
        hint = did_you_mean(name, tokenizer.special_tokens, otherwise="give an id, or use --stop")
        raise UserError(f"{name!r} is {len(ids)} tokens, not one; {hint}")
    return ids[0]


def ends_inside_a_word(tokenizer: Tokenizer, prompt: str) -> bool:
    """Whether a prompt ends in a space that the tokenizer would join to the next word."""
    if not prompt.endswith(" "):
        return False
    try:
        return len(tokenizer.encode_ordinary(" a")) == 1
    except UserError:  # a vocabulary without " " or "a"
        return False
