"""Make a model's text safe to print on a terminal: replace control characters."""

import io
import unicodedata
from typing import TextIO

_UNCHANGED = "\n\t"


def visible(text: str) -> str:
    """The text with control characters replaced by visible ones."""
    return "".join(
        character
        if character in _UNCHANGED or unicodedata.category(character) != "Cc"
        else _picture(ord(character))
        for character in text
    )


def on_one_line(text: str) -> str:
    """The text as `visible`, with arrows for line breaks and tabs."""
    return visible(text).replace("\n", " ↵ ").replace("\t", "⇥")


def print_anything(output: TextIO) -> None:
    """Make an output write a question mark for characters that its encoding lacks."""
    if isinstance(output, io.TextIOWrapper):
        output.reconfigure(errors="replace")


def _picture(point: int) -> str:
    """Unicode's symbol for a control character, or the replacement character."""
    if point < 0x20:
        return chr(0x2400 + point)
    return "\u2421" if point == 0x7F else "\ufffd"
