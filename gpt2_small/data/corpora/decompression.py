"""Decompress byte streams and convert them to UTF-8; refuse truncated and damaged ones."""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from gpt2_small.errors import UserError, package_missing

BLOCK_BYTES = 2**20
COPY_AGAIN = "copy it again from where it was made"
COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
SKIPPABLE_FRAME = b"\x2a\x4d\x18"  # of zstd, after a byte from 0x50 to 0x5f; pzstd begins with one
BZIP2_BLOCK = b"1AY&SY"  # after `BZh` and a digit, so that a text may begin with BZh


def compression_of(beginning: bytes) -> str | None:
    """Detect the compression of a file by its first bytes."""
    if beginning[1:4] == SKIPPABLE_FRAME and 0x50 <= beginning[0] <= 0x5F:
        return "zstd"
    kind = next((kind for magic, kind in COMPRESSED.items() if beginning.startswith(magic)), None)
    return None if kind == "bzip2" and beginning[4:10] != BZIP2_BLOCK else kind


class Decompressed(io.RawIOBase):
    """The decompressed stream of a file; raises UserError for damaged data."""

    def __init__(self, path: Path, raw: BinaryIO, compression: str) -> None:
        self._path, self._raw = path, raw
        self._file = self._decompressor(compression)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise UserError(
                f"{self._path} is truncated or damaged ({str(error).rstrip('.')}); {COPY_AGAIN}"
            ) from None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            self._raw.close()
        super().close()

    def _decompressor(self, compression: str) -> Any:
        if compression == "gzip":
            return gzip.GzipFile(fileobj=self._raw)
        if compression == "bzip2":
            return _Streams(self._raw, bz2.BZ2Decompressor)
        if compression == "xz":
            return _Streams(self._raw, lzma.LZMADecompressor)
        try:
            import pyarrow
        except ImportError:
            self._raw.close()
            raise package_missing(f"reading {self._path} (zstd)", "pyarrow") from None
        return pyarrow.CompressedInputStream(pyarrow.PythonFile(self._raw), "zstd")


class _Streams:
    """Concatenated compressed streams, as written by pbzip2 and pixz.

    `bz2.BZ2File` and `lzma.LZMAFile` end without an error at a damaged later stream.
    """

    def __init__(self, raw: BinaryIO, new: Callable[[], Any]) -> None:
        self._raw, self._new, self._stream = raw, new, new()

    def read(self, count: int) -> bytes:
        """Read up to `count` bytes; none at the end. Raises EOFError for a truncated stream."""
        while True:
            data = b""
            if self._stream.eof:
                data = self._next_stream()
                if not data:
                    return b""
                self._stream = self._new()
            elif self._stream.needs_input and not (data := self._raw.read(BLOCK_BYTES)):
                raise EOFError("it ends within a compressed stream")
            if found := self._stream.decompress(data, count):
                return bytes(found)

    def close(self) -> None:
        """Do nothing; the owner closes the file."""

    def _next_stream(self) -> bytes:
        """The first bytes after a stream and its zero padding."""
        data: bytes = self._stream.unused_data.lstrip(b"\0")
        while not data and (block := self._raw.read(BLOCK_BYTES)):
            data = block.lstrip(b"\0")
        return data


class Converted(io.RawIOBase):
    """The stream of a file in another encoding, converted to UTF-8."""

    def __init__(self, path: Path, file: BinaryIO, encoding: str) -> None:
        self._path, self._file, self._encoding = path, file, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        is_last = False
        while not self._ready and not is_last:
            block = self._file.read(BLOCK_BYTES)
            is_last = not block
            try:
                self._ready = self._decoder.decode(block, final=is_last).encode()
            except UnicodeError as error:
                raise UserError(
                    f"{self._path} begins as {self._encoding.upper()} and is not ({error}); "
                    f"{COPY_AGAIN}"
                ) from None
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
