"""Represent invalid UTF-8 in strings by surrogates (PEP 383), and encode them."""

import re
from collections.abc import Callable, Sequence

_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_ESCAPED_BYTES = re.compile("([\udc80-\udcff]+)")


def has_surrogates(text: str) -> bool:
    """Whether `text` contains surrogates, which UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def escape_surrogates(text: str) -> str:
    """Replace all surrogates in `text` except those that represent a byte (PEP 383).

    A pair becomes its character; any other surrogate becomes U+FFFD.
    """
    if not has_surrogates(text):
        return text
    whole = _SURROGATE_PAIR.sub(
        lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text
    )
    return _NO_BYTE.sub("\ufffd", whole)


def text_to_bytes(text: str) -> bytes:
    """Encode as UTF-8, with surrogates treated as in `escape_surrogates`."""
    return escape_surrogates(text).encode("utf-8", "surrogateescape")


def bytes_to_text(data: bytes) -> str:
    """Decode bytes to a string that byte-level tokenizers encode to exactly `data`."""
    return data.decode("utf-8", "surrogateescape")


def encode_around_escapes(
    text: str, encode: Callable[[str], list[int]], byte_ids: Sequence[int]
) -> list[int]:
    """Encode `text` with `encode`, except for escaped bytes, which become `byte_ids[byte]`."""
    if not has_surrogates(text):
        return encode(text)
    ids: list[int] = []
    for stretch in _ESCAPED_BYTES.split(escape_surrogates(text)):
        if _ESCAPED_BYTES.match(stretch):
            ids.extend(byte_ids[byte] for byte in text_to_bytes(stretch))
        else:
            ids.extend(encode(stretch))
    return ids
