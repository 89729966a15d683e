"""Keep bytes that are not UTF-8 in a string as surrogates (PEP 383), and encode them."""

import re
from collections.abc import Callable, Sequence

_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_ESCAPED_BYTES = re.compile("([\udc80-\udcff]+)")


def has_surrogates(text: str) -> bool:
    """Whether `text` holds something that UTF-8 cannot say."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def escape_surrogates(text: str) -> str:
    """`text` with no surrogate left but those that stand for one byte (PEP 383).

    A pair becomes its character; a lone surrogate that stands for no byte becomes U+FFFD.
    """
    if not has_surrogates(text):
        return text
    whole = _SURROGATE_PAIR.sub(
        lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text
    )
    return _NO_BYTE.sub("\ufffd", whole)


def text_to_bytes(text: str) -> bytes:
    """UTF-8, with surrogates treated as in `escape_surrogates`."""
    return escape_surrogates(text).encode("utf-8", "surrogateescape")


def bytes_to_text(data: bytes) -> str:
    """A string that every byte-level tokenizer encodes to exactly `data`."""
    return data.decode("utf-8", "surrogateescape")


def encode_around_escapes(
    text: str, encode: Callable[[str], list[int]], byte_ids: Sequence[int]
) -> list[int]:
    """Encodes clean stretches of `text` with `encode`, and escaped bytes by `byte_ids[byte]`."""
    if not has_surrogates(text):
        return encode(text)
    ids: list[int] = []
    for stretch in _ESCAPED_BYTES.split(escape_surrogates(text)):
        if _ESCAPED_BYTES.match(stretch):
            ids.extend(byte_ids[byte] for byte in text_to_bytes(stretch))
        else:
            ids.extend(encode(stretch))
    return ids
