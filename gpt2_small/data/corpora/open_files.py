"""Open files of text, compressed or not, as a stream of UTF-8 bytes."""

import codecs
import io
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from gpt2_small.data.corpora.decompression import (
    BLOCK_BYTES,
    Converted,
    Decompressed,
    compression_of,
)
from gpt2_small.errors import UserError, nearest

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
            raise UserError(f"cannot read {path} ({error.strerror})") from None
        raise UserError(_missing(path)) from None
    if stat.S_ISDIR(mode):
        raise UserError(f"{path} is a folder; give one text file{_example(path.glob('*.txt'))}")
    if not stat.S_ISREG(mode):
        raise UserError(
            f"{path} is a pipe or a device, and a text is read more than once; "
            "save it to a file first, and give that"
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
        beginning: bytes = file.read(count)
    return beginning


def archive_of(path: Path) -> str | None:
    """Which kind of archive a file is (`zip`, `tar`, ...), compressed or not; else None."""
    beginning = raw_beginning(path)
    kind = next((kind for magic, kind in ARCHIVES.items() if beginning.startswith(magic)), None)
    if kind is None and compression_of(beginning):
        beginning = first_bytes(path, 512)
    return "tar" if beginning[TAR_AT : TAR_AT + 5] == b"ustar" else kind


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
    file: BinaryIO = _open(path)
    beginning = file.read(16)
    compression = compression_of(beginning)
    file.seek(0)
    if compression:
        file = io.BufferedReader(Decompressed(path, file, compression), BLOCK_BYTES)
        beginning = file.peek(LONGEST_MARK)
    mark, encoding = next(
        ((mark, encoding) for mark, encoding in MARKS if beginning.startswith(mark)), (b"", "utf-8")
    )
    if not compression and encoding == "utf-8":
        file.seek(len(mark) + offset)
        return file
    file.read(len(mark))
    if encoding != "utf-8":
        file = io.BufferedReader(Converted(path, file, encoding), BLOCK_BYTES)
    while offset > 0 and (dropped := file.read(min(offset, BLOCK_BYTES))):
        offset -= len(dropped)
    return file


def _open(path: Path) -> BinaryIO:
    check_regular(path)
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); give a readable file") from None


def _missing(path: Path) -> str:
    if not os.path.isdir(path.parent):
        return f"{path} does not exist: there is no folder {path.parent}; check the path"
    near = nearest(path.name, sorted(other.name for other in path.parent.iterdir()))
    if near:
        return f"{path} does not exist; did you mean {path.parent / near}?"
    return f"{path} does not exist; check the path, or write hub:NAME for a data set of the hub"


def _example(files: Iterable[Path]) -> str:
    first = min(files, default=None)
    return f", such as {first}" if first else ""
