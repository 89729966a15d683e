"""Read the records of JSON lines and of JSON files, one at a time."""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gpt2_small.data.corpora.decompression import BLOCK_BYTES, COPY_AGAIN
from gpt2_small.data.corpora.open_files import first_bytes, open_bytes
from gpt2_small.errors import UserError

LONGEST_LINE = 2**30  # bytes
_BETWEEN = re.compile(r"[\s,]*")


class NotJson(ValueError):
    """A row that is not JSON. The message is the reason."""


def is_array(path: Path) -> bool:
    """Whether a file is one JSON array, rather than one record on each line."""
    beginning = first_bytes(path).lstrip()
    first, _, rest = beginning.partition(b"\n")
    return beginning.startswith(b"[") and not (rest.strip() and _is_json(first))


def is_single_object(path: Path) -> bool:
    """Whether a file is one JSON object, such as a document or settings, rather than lines."""
    with open_bytes(path) as file:
        first = b""
        while not first.strip() and (line := file.readline(LONGEST_LINE)):
            first = line
        rest = file.read(BLOCK_BYTES).strip()
    return first.lstrip().startswith(b"{") and not (rest and _is_json(first))


def json_object(path: Path, offset: int) -> Iterator[tuple[Any, int]]:
    """The single object of a file, with the offset after it.

    Raises:
        UserError: as `open_bytes`, or the file is not JSON.
    """
    with open_bytes(path, offset) as file:
        text = _Window(path, file, offset)
        text.skip(_BETWEEN)
        if text.rest():
            value = text.value()
            text.skip(_BETWEEN)
            if text.rest():
                raise text.damaged("there is more after the object")
            yield value, text.offset


def json_lines(path: Path, offset: int) -> Iterator[tuple[Any, int]]:
    """The record of each line that is not blank, or NotJson, with the offset after the line.

    Raises:
        UserError: as `open_bytes`.
    """
    with open_bytes(path, offset) as file:
        while line := file.readline(LONGEST_LINE):
            offset += len(line)
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                offset += _pass_line(file)
                yield NotJson(f"it is longer than {LONGEST_LINE:,} bytes"), offset
            elif line.strip():
                yield _parsed(line), offset


def json_array(path: Path, offset: int) -> Iterator[tuple[Any, int]]:
    """The elements of an array, with the offset after each.

    Raises:
        UserError: as `open_bytes`, or invalid JSON at some offset.
    """
    with open_bytes(path, offset) as file:
        text = _Window(path, file, offset)
        if offset == 0:
            text.skip(re.compile(r"\s*\["))
        while True:
            text.skip(_BETWEEN)
            if text.rest().startswith("]"):
                text.skip(re.compile(r"\]\s*"))
                if text.rest():
                    raise text.damaged("there is more after the array")
                return
            yield text.value(), text.offset


class _Window:
    """The part of a text stream being parsed."""

    def __init__(self, path: Path, file: BinaryIO, offset: int) -> None:
        self.offset = offset
        self._path, self._file = path, file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text, self._at, self._ended = "", 0, False
        self._json = json.JSONDecoder()

    def rest(self) -> str:
        """The next character; empty at the end."""
        while self._at == len(self._text) and not self._ended:
            self._read()
        return self._text[self._at : self._at + 1]

    def skip(self, pattern: re.Pattern[str]) -> None:
        """Skip a match of the pattern, which may extend into the next block."""
        while True:
            self.rest()
            found = pattern.match(self._text, self._at)
            if found:
                self._pass(found.end())
            if self._at < len(self._text) or self._ended:
                return

    def value(self) -> Any:
        """Parse the next JSON value."""
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
                if end < len(self._text) or self._ended:
                    self._pass(end)
                    return value
            except RecursionError:
                raise self.damaged("it is nested too deeply") from None
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated") or error.pos > len(self._text) - 16
                if self._ended or not is_cut:
                    raise self.damaged(error.msg) from None
            self._read()

    def damaged(self, reason: str) -> UserError:
        return UserError(
            f"{self._path} is not JSON from about byte {self.offset:,} on ({reason}); {COPY_AGAIN}"
        )

    def _pass(self, end: int) -> None:
        self.offset += len(self._text[self._at : end].encode("utf-8", "surrogatepass"))
        self._at = end

    def _read(self) -> None:
        rest = self._text[self._at :]
        block = self._file.read(max(BLOCK_BYTES, len(rest)))
        self._ended = not block
        try:
            self._text, self._at = rest + self._decoder.decode(block, final=self._ended), 0
        except UnicodeDecodeError:
            raise self.damaged("it is not UTF-8") from None


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except RecursionError:
        return NotJson("it is nested too deeply")
    except UnicodeDecodeError as error:
        return NotJson(f"it is not UTF-8 (at byte {error.start})")
    except ValueError as error:
        return NotJson(f"it is not JSON ({str(error).split(':')[0]})")


def _is_json(line: bytes) -> bool:
    return not isinstance(_parsed(line), NotJson)


def _pass_line(file: BinaryIO) -> int:
    passed = 0
    while part := file.readline(BLOCK_BYTES):
        passed += len(part)
        if part.endswith(b"\n"):
            break
    return passed
