"""Open files of text, compressed or not, as a stream of UTF-8 bytes."""

import bz2
import codecs
import gzip
import io
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from gpt2_small.errors import UserError, nearest

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
COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".zstd")
ARCHIVES = {b"PK\3\4": "zip", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}
PARQUET = b"PAR1"
# A byte-order mark decides. That of UTF-32 begins with that of UTF-16, so it comes first.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LONGEST_MARK = 4
TAR_AT = 257  # where a tar archive says that it is one


def check_regular(path: Path) -> None:
    """Refuse what cannot be read twice, such as a pipe, without opening it.

    Raises:
        UserError: no such file (with the nearest name), a folder, a pipe or a device.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise UserError(f"cannot read {path} ({error.strerror}).") from None
        raise UserError(_missing(path)) from None
    if stat.S_ISDIR(mode):
        raise UserError(f"{path} is a folder; give one text file{_example(path.glob('*.txt'))}.")
    if not stat.S_ISREG(mode):
        raise UserError(
            f"{path} is a pipe or a device, and a text is read more than once; "
            "save it to a file first, and give that."
        )


def first_bytes(path: Path, count: int = BLOCK_BYTES) -> bytes:
    """The first bytes of a file, decompressed and as UTF-8, where they can be.

    Raises:
        UserError: as `open_bytes`.
    """
    with open_bytes(path) as file:
        return file.read(count)


def raw_beginning(path: Path, count: int = 512) -> bytes:
    """The first bytes of a file as they are on the disk.

    Raises:
        UserError: a file that is not there, is not a regular one, or may not be read.
    """
    with _open(path) as file:
        return file.read(count)


def archive_of(path: Path) -> str | None:
    """Which kind of archive a file is (`zip`, `tar`, ...), compressed or not; else None."""
    beginning = raw_beginning(path)
    kind = next((kind for magic, kind in ARCHIVES.items() if beginning.startswith(magic)), None)
    if kind is None and compression_of(beginning):
        beginning = first_bytes(path, 512)
    return "tar" if beginning[TAR_AT : TAR_AT + 5] == b"ustar" else kind


def compression_of(beginning: bytes) -> str | None:
    """How a file is compressed, by its first bytes."""
    if beginning[1:4] == SKIPPABLE_FRAME and 0x50 <= beginning[0] <= 0x5F:
        return "zstd"
    kind = next((kind for magic, kind in COMPRESSED.items() if beginning.startswith(magic)), None)
    return None if kind == "bzip2" and beginning[4:10] != BZIP2_BLOCK else kind


def is_plain(path: Path) -> bool:
    """Whether `open_bytes` gives the bytes of a file as they are on the disk."""
    beginning = raw_beginning(path)
    marked = any(beginning.startswith(mark) for mark, _ in MARKS)
    return not marked and compression_of(beginning) is None


def open_bytes(path: Path, offset: int = 0) -> BinaryIO:
    """The text of a file as UTF-8 bytes from an offset on, without compression (gzip, bzip2, xz,
    zstd) and without a byte-order mark.

    A file that begins with the byte-order mark of UTF-16 or UTF-32 is converted. Offsets count what
    this gives; in a compressed or converted file, what lies before one is read and dropped.

    Raises:
        UserError: a file that cannot be read, also later, while it is read: one that is cut off or
            damaged is never taken for a shorter one.
    """
    file = _open(path)
    beginning = file.read(16)
    compression = compression_of(beginning)
    file.seek(0)
    if compression:
        file = io.BufferedReader(_Decompressed(path, file, compression), BLOCK_BYTES)
        beginning = file.peek(LONGEST_MARK)
    mark, encoding = next(
        ((mark, encoding) for mark, encoding in MARKS if beginning.startswith(mark)), (b"", "utf-8")
    )
    if not compression and encoding == "utf-8":
        file.seek(len(mark) + offset)
        return file
    file.read(len(mark))
    if encoding != "utf-8":
        file = io.BufferedReader(_Converted(path, file, encoding), BLOCK_BYTES)
    while offset > 0 and (dropped := file.read(min(offset, BLOCK_BYTES))):
        offset -= len(dropped)
    return file


def _open(path: Path) -> Any:
    check_regular(path)
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); give a readable file.") from None


class _Decompressed(io.RawIOBase):
    """What a decompressor gives, with its errors as sentences."""

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
                f"{self._path} is cut off or damaged ({str(error).rstrip('.')}); {COPY_AGAIN}."
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
            raise UserError(
                f"reading {self._path} (zstd) needs the `pyarrow` package: pip install pyarrow."
            ) from None
        return pyarrow.CompressedInputStream(pyarrow.PythonFile(self._raw), "zstd")


class _Streams:
    """Compressed streams one after the other, as pbzip2 and pixz write them.

    `bz2.BZ2File` and `lzma.LZMAFile` end without an error where a later one is damaged.
    """

    def __init__(self, raw: BinaryIO, new: Callable[[], Any]) -> None:
        self._raw, self._new, self._stream = raw, new, new()

    def read(self, count: int) -> bytes:
        """Up to `count` bytes; none at the end. Raises EOFError for a stream that is cut off."""
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
        """Nothing to do; the file is closed by its owner."""

    def _next_stream(self) -> bytes:
        """The beginning of what follows a stream and its padding with zero bytes."""
        data: bytes = self._stream.unused_data.lstrip(b"\0")
        while not data and (block := self._raw.read(BLOCK_BYTES)):
            data = block.lstrip(b"\0")
        return data


class _Converted(io.RawIOBase):
    """Text of another encoding as UTF-8."""

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
                    f"{COPY_AGAIN}."
                ) from None
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _missing(path: Path) -> str:
    if not os.path.isdir(path.parent):
        return f"{path} does not exist: there is no folder {path.parent}; check the path."
    near = nearest(path.name, sorted(other.name for other in path.parent.iterdir()))
    if near:
        return f"{path} does not exist; did you mean {path.parent / near}?"
    return f"{path} does not exist; check the path, or write hub:NAME for a data set of the hub."


def _example(files: Iterable[Path]) -> str:
    first = min(files, default=None)
    return f", such as {first}" if first else ""
