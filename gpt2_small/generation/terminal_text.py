"""Print a model's text on a terminal, which none of it controls."""

import io
import unicodedata
from typing import TextIO

_KEPT = "\n\t"


def visible(text: str) -> str:
    """The text with control characters replaced by visible ones."""
    return "".join(
        character
        if character in _KEPT or unicodedata.category(character) != "Cc"
        else _picture(ord(character))
        for character in text
    )


def on_one_line(text: str) -> str:
    """The same with line breaks and tabs as arrows."""
    return visible(text).replace("\n", " ↵ ").replace("\t", "⇥")


def print_anything(output: TextIO) -> None:
    """From now on, write a question mark for a character that the output's encoding lacks."""
    if isinstance(output, io.TextIOWrapper):
        output.reconfigure(errors="replace")


def _picture(point: int) -> str:
    """Unicode's picture of a control character, where it has one."""
    if point < 0x20:
        return chr(0x2400 + point)
    return "\u2421" if point == 0x7F else "\ufffd"
