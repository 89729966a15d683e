"""Text of a model on a terminal."""

import unicodedata

_KEPT = "\n\t"


def visible(text: str) -> str:
    """The text with control characters made visible, so that none of them steers a terminal."""
    return "".join(
        character
        if character in _KEPT or unicodedata.category(character) != "Cc"
        else _picture(ord(character))
        for character in text
    )


def _picture(point: int) -> str:
    """Unicode's picture of a control character, where it has one."""
    if point < 0x20:
        return chr(0x2400 + point)
    return "\u2421" if point == 0x7F else "\ufffd"
