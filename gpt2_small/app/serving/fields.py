"""Parse and check the fields of a request."""

import json
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from gpt2_small.errors import UserError
from gpt2_small.generation import SamplingOptions
from gpt2_small.tokenizers.protocol import Tokenizer

MOST_CHARACTERS = 200_000
MOST_TOKENS = 32_768
MOST_NEW_TOKENS = 4_096
MOST_STOPS = 8
MOST_CANDIDATES = 20
CANDIDATES = 10


async def body_of(request: Request) -> dict[str, Any]:
    """Parse a request's JSON object. Raises UserError for anything else."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json":
        raise UserError(f"the content type is {content_type!r}; send application/json")
    try:
        content = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise UserError(f"the request is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise UserError("the request is not a JSON object; send one with fields")
    return content


def text(fields: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Parse a text of bounded length."""
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise UserError(f"{name} is {shown(value)}; give a text")
    if len(value) > MOST_CHARACTERS:
        raise UserError(f"{name} has {len(value):,} characters; give at most {MOST_CHARACTERS:,}")
    return value


def whole(fields: Mapping[str, Any], name: str, default: int | None, least: int, most: int) -> int:
    """Parse a whole number from `least` to `most`."""
    value = fields.get(name)
    value = default if value is None else value
    if type(value) is not int or not least <= value <= most:
        raise UserError(f"{name} is {shown(value)}; give a whole number from {least} to {most:,}")
    return value


def number(fields: Mapping[str, Any], name: str, default: float | None) -> float | None:
    """Parse a finite number; None if it is left out without default."""
    value = fields.get(name)
    if value is None:
        return default
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            found = float(value)
            if math.isfinite(found):
                return found
    except OverflowError:  # an integer beyond the floats
        pass
    raise UserError(f"{name} is {shown(value)}; give a number")


def token_ids(value: Any, name: str = "ids") -> tuple[int, ...]:
    """Parse a list of token ids, of bounded length."""
    if not isinstance(value, list) or not all(type(id) is int for id in value):
        raise UserError(f"{name} is {shown(value)}; give a list of token ids")
    if len(value) > MOST_TOKENS:
        raise UserError(f"{name} holds {len(value):,} tokens; give at most {MOST_TOKENS:,}")
    return tuple(value)


def encoded(tokenizer: Tokenizer, written: str, *, is_whole: bool = True) -> tuple[int, ...]:
    """Encode a text, to a bounded number of tokens.

    is_whole: whether to add the ids that the tokenizer adds around a whole text.
    """
    ids = tokenizer.encode(written) if is_whole else tokenizer.encode_ordinary(written)
    if len(ids) > MOST_TOKENS:
        raise UserError(f"the text has {len(ids):,} tokens; give at most {MOST_TOKENS:,}")
    return tuple(ids)


def sampling_options(fields: Mapping[str, Any]) -> SamplingOptions:
    """Parse the options of a continuation, with a random seed if none is given."""
    return SamplingOptions(
        max_new_tokens=whole(fields, "max_new_tokens", 100, 0, MOST_NEW_TOKENS),
        stop=stop_strings(fields.get("stop")),
        stop_tokens=() if fields.get("ignore_end") is True else None,
        seed=seed_of(fields),
        candidates=whole(fields, "candidates", CANDIDATES, 0, MOST_CANDIDATES),
        **penalties_and_cuts(fields),
    )


def penalties_and_cuts(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Parse the given penalties and cuts."""
    found: dict[str, Any] = {
        name: number(fields, name, None)
        for name in (
            *("temperature", "top_p", "min_p", "typical_p"),
            *("repetition_penalty", "frequency_penalty", "presence_penalty"),
        )
    }
    if fields.get("top_k") is not None:
        found["top_k"] = whole(fields, "top_k", None, 1, 10**9)
    if fields.get("no_repeat_ngram_size") is not None:
        found["no_repeat_ngram_size"] = whole(fields, "no_repeat_ngram_size", 0, 0, 1000)
    return {name: value for name, value in found.items() if value is not None}


def seed_of(fields: Mapping[str, Any]) -> int:
    """Parse the seed, or draw a random one."""
    if fields.get("seed") is None:
        return random.SystemRandom().randrange(2**32)
    return whole(fields, "seed", None, 0, 2**53)


def stop_strings(value: Any) -> tuple[str, ...]:
    """Parse one stop string, or a short list of them."""
    if value is None:
        return ()
    strings: Sequence[Any] = [value] if isinstance(value, str) else value
    if not isinstance(strings, list) or not all(isinstance(each, str) for each in strings):
        raise UserError(f"stop is {shown(value)}; give a text, or a list of texts")
    if len(strings) > MOST_STOPS or any(len(each) > 200 for each in strings):
        raise UserError(f"stop is too long; give at most {MOST_STOPS} short texts")
    return tuple(strings)


def shown(value: Any) -> str:
    """A value for an error message, shortened."""
    written = repr(value)
    return written if len(written) <= 60 else f"{written[:57]}..."
