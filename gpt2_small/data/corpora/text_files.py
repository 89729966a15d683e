"""Check a text file, and read it in pieces."""

import codecs
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gpt2_small.data.corpora import corpus
from gpt2_small.data.corpora.corpus import Piece, Place, train_characters
from gpt2_small.data.corpora.decompression import BLOCK_BYTES
from gpt2_small.data.corpora.open_files import archive_of, is_plain, open_bytes, raw_beginning
from gpt2_small.errors import UserError, shell_word
from gpt2_small.files.hashes import sha256
from gpt2_small.tokenizers.pretoken_split import chunks_of_blocks
from gpt2_small.tokenizers.protocol import END_OF_TEXT

LONGEST_PIECE = 2**21  # characters; longer pieces are split even without whitespace
ZERO_BYTE = "a zero byte"
ISO_2022 = "an escape sequence of ISO-2022"  # whose bytes are all ASCII
ISO_2022_ESCAPE = b"\x1b$"
CONVERTERS = {b"%PDF": "pdftotext", b"{\\rtf": "a word processor", b"\xd0\xcf\x11\xe0": "Word"}


@dataclass(frozen=True)
class TextFacts:
    """Facts about a text file.

    sha256: of the file's bytes.
    hash: of the text, as in `document_hash`.
    size: bytes of the text in UTF-8.
    end_marks: the number of occurrences of `<|endoftext|>`.
    windows_lines: the number of lines that end with CR LF.
    """

    sha256: str
    hash: bytes
    size: int
    characters: int
    end_marks: int = 0
    windows_lines: int = 0


def scan_text(path: Path) -> TextFacts:
    """Scan a text file block by block.

    Raises:
        UserError: a missing file (with the nearest name), a folder, a pipe, an archive, an empty or
            damaged file, or invalid UTF-8 (with the offset).
    """
    if archive := archive_of(path):
        raise UserError(f"{path} is a {archive} archive; unpack it, and give the file or folder")
    raw, text_hash = hashlib.sha256(), hashlib.blake2b(digest_size=8)
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = characters = end_marks = windows_lines = 0
    is_empty, tail = True, ""
    with open_bytes(path) as file:
        while True:
            block = file.read(BLOCK_BYTES)
            if (zero := block.find(b"\0")) >= 0:
                raise _not_text(path, ZERO_BYTE, size + zero)
            if (escape := block.find(ISO_2022_ESCAPE)) >= 0:
                raise _not_text(path, ISO_2022, size + escape)
            undecoded = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                offset = size - undecoded + error.start
                byte = f"byte 0x{error.object[error.start]:02x}"
                raise _not_text(path, byte, offset) from None
            is_empty = is_empty and not text.strip()
            end_marks += (tail + text).count(END_OF_TEXT)
            windows_lines += (tail[-1:] + text).count("\r\n")
            tail = (tail + text)[-len(END_OF_TEXT) + 1 :]
            characters += len(text)
            if not block:
                break
            raw.update(block)
            text_hash.update(block)
            size += len(block)
    if is_empty:
        content = "has white space alone" if characters else "is empty"
        raise EmptyText(f"{path} {content}; give a file with text in it")
    digest = raw.hexdigest() if is_plain(path) else sha256(path)
    return TextFacts(digest, text_hash.digest(), size, characters, end_marks, windows_lines)


class EmptyText(UserError):
    """A file without any text."""


class NotText(UserError):
    """A file that is not UTF-8. `reason` gives the offset."""

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = f"not UTF-8 ({reason})"


def read_pieces(path: Path, *, begin: int, characters: int, size: int) -> Iterator[str]:
    """Read the next `characters` of a file in pieces of about `size`, without changing the tokens.

    Pieces are split at LONGEST_PIECE characters even without whitespace.

    Args:
        path: a file that `scan_text` has accepted.
        begin: the offset of the first character, in bytes of `open_bytes`.
    """
    with open_bytes(path, begin) as file:
        yield from chunks_of_blocks(_blocks(file, characters), size, longest=LONGEST_PIECE)


def _blocks(file: BinaryIO, characters: int) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    while characters > 0 and (block := file.read(BLOCK_BYTES)):
        text = decoder.decode(block)[:characters]
        characters -= len(text)
        yield text


class TextFile:
    """A text file, which is one document.

    Raises UserError as `scan_text` does.
    """

    documents: int = 1
    column: str | None = None

    def __init__(self, path: Path) -> None:
        self.path, self.facts = path, scan_text(path)
        self.sha256, self.bytes = self.facts.sha256, self.facts.size

    def hashes(self) -> Iterator[bytes]:
        """The hash of its document."""
        yield self.facts.hash

    def pieces(
        self, place: Place | None, *, cut: bool, ends: bool
    ) -> Iterator[tuple[Piece, Place]]:
        """The pieces of the text, with the position after each.

        Args:
            cut: hold out the last tenth.
            ends: whether the last piece ends the document; False for the only document.
        """
        offset, character = (place["byte"], place["character"]) if place else (0, 0)
        total = self.facts.characters
        border = train_characters(total) if cut else total
        parts = ((0, border, "train" if cut else None), (border, total, "val"))
        for first, last, split in parts:
            left = last - max(first, character)
            for text in read_pieces(
                self.path, begin=offset, characters=left, size=corpus.PIECE_CHARACTERS
            ):
                begins = character == first
                offset, character = offset + len(text.encode()), character + len(text)
                after: Place = {"byte": offset, "character": character}
                hash = None if split else self.facts.hash
                at_end = ends and character == last
                yield Piece(text, split, hash, begins=begins, ends=at_end), after
            if character < last:
                raise UserError(f"{self.path} has become shorter while it was read; start again")


def _not_text(path: Path, byte: str, offset: int) -> "NotText":
    reason = f"{byte} at offset {offset:,}"
    return NotText(f"{path} is not UTF-8 text ({reason}): {_way_out(path, byte, offset)}.", reason)


def _way_out(path: Path, byte: str, offset: int) -> str:
    beginning = raw_beginning(path)
    for magic, converter in CONVERTERS.items():
        if beginning.startswith(magic):
            return f"convert it to text with {converter}"
    encoding, condition = "WINDOWS-1252", "if it is from Windows"
    if byte == ZERO_BYTE:  # the higher bytes of a Latin letter
        kind = "UTF-32" if b"\0\0\0" in beginning[:4] else "UTF-16"
        encoding, condition = f"{kind}{'LE' if offset % 2 else 'BE'}", f"if it is {kind}"
    elif byte == ISO_2022:
        encoding = "ISO-2022-KR" if b"\x1b$)C" in beginning else "ISO-2022-JP"
        condition = f"if it is {encoding}"
    return (
        "give a text file, or convert it, for instance with "
        f"`iconv -f {encoding} -t UTF-8 {shell_word(path)}` {condition}"
    )
