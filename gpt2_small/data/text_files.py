"""Text files: read whole, or looked through and read in pieces without ever holding them whole."""

import codecs
import difflib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.gpt2_pattern import chunks_of_blocks

BLOCK_BYTES = 2**20
BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class TextFacts:
    """What a text file holds.

    sha256: of the bytes of the file.
    begin: the offset of the text, after a byte-order mark.
    size: bytes of the file.
    """

    sha256: str
    begin: int
    size: int
    characters: int


def read_text(source: str | Path) -> str:
    """The text of a UTF-8 file, line endings as they are, without a byte-order mark.

    Raises:
        UserError: no such file (with the nearest name), a folder, an empty file, or bytes that are
            not text (with their offset).
    """
    path = Path(source)
    with open_file(path) as file:
        data = file.read()
    if (zero := data.find(b"\0")) >= 0:
        raise _zero_byte(path, zero)
    try:
        text = data.decode("utf-8").removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data[error.start], error.start) from None
    if not text.strip():
        raise _empty(path)
    return text


def scan_text(source: str | Path) -> TextFacts:
    """Look through a UTF-8 file block by block.

    Raises:
        UserError: as `read_text`.
    """
    path = Path(source)
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    begin = size = characters = 0
    is_empty = True
    with open_file(path) as file:
        while True:
            block = file.read(BLOCK_BYTES)
            if (zero := block.find(b"\0")) >= 0:
                raise _zero_byte(path, size + zero)
            undecoded = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                offset = size - undecoded + error.start
                raise _not_utf8(path, error.object[error.start], offset) from None
            if characters == 0 and text.startswith(BYTE_ORDER_MARK):
                text, begin = text[1:], len(codecs.BOM_UTF8)
            is_empty = is_empty and not text.strip()
            characters += len(text)
            if not block:
                break
            digest.update(block)
            size += len(block)
    if is_empty:
        raise _empty(path)
    return TextFacts(digest.hexdigest(), begin, size, characters)


def read_pieces(path: Path, *, begin: int, characters: int, size: int) -> Iterator[str]:
    """The next `characters` of a file in pieces of about `size` that encode to what they all do.

    Args:
        path: a file that `scan_text` has seen.
        begin: the offset of the first character, in bytes.
    """
    with path.open("rb") as file:
        file.seek(begin)
        yield from chunks_of_blocks(_blocks(file, characters), size)


def open_file(path: Path) -> BinaryIO:
    """A file to read bytes from.

    Raises:
        UserError: no such file (with the nearest name), a folder, or a file that may not be read.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give one text file{_example(path.glob('*.txt'))}.")
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UserError(_missing(path)) from None
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); give a readable file.") from None


def _blocks(file: BinaryIO, characters: int) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    while characters > 0 and (block := file.read(BLOCK_BYTES)):
        text = decoder.decode(block)[:characters]
        characters -= len(text)
        yield text


def _zero_byte(path: Path, offset: int) -> UserError:
    return UserError(
        f"{path} is not UTF-8 text (a zero byte at offset {offset}): "
        f"give a text file, or {_convert(path)}."
    )


def _not_utf8(path: Path, byte: int, offset: int) -> UserError:
    return UserError(
        f"{path} is not UTF-8 text (byte 0x{byte:02x} at offset {offset}): "
        f"give a text file, or {_convert(path)}."
    )


def _convert(path: Path) -> str:
    return f"convert it to UTF-8, for instance with `iconv -f ENCODING -t UTF-8 {path}`"


def _empty(path: Path) -> UserError:
    return UserError(f"{path} is empty; give a file with text in it.")


def _missing(path: Path) -> str:
    if not path.parent.is_dir():
        return f"{path} does not exist: there is no folder {path.parent}; check the path."
    names = sorted(other.name for other in path.parent.iterdir())
    near = difflib.get_close_matches(path.name, names, n=1)
    if near:
        return f"{path} does not exist; did you mean {path.parent / near[0]}?"
    return f"{path} does not exist; check the path, or write hub:NAME for a data set of the hub."


def _example(files: Iterable[Path]) -> str:
    first = min(files, default=None)
    return f", such as {first}" if first else ""
