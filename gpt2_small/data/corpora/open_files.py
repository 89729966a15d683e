"""Open text files, compressed or not, as streams of UTF-8 bytes."""

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
from gpt2_small.errors import UserError, did_you_mean_beside
from gpt2_small.files.lfs_pointers import refuse_lfs_pointer

COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".zstd")
ARCHIVES = {b"PK\3\4": "zip", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}
PARQUET = b"PAR1"
# Byte-order marks. UTF-32's begins with UTF-16's and is therefore tested first.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
LONGEST_MARK = 4
TAR_AT = 257  # the offset of a tar archive's magic bytes


def check_regular(path: Path) -> None:
    """Check that a path is a regular file, which can be read more than once.

    Raises:
        UserError: a missing file (with the nearest name), a folder, a pipe or a device.
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
            f"{path} is a pipe or a device, which cannot be read more than once; "
            "save it to a file first, and give that"
        )


def first_bytes(path: Path, count: int = BLOCK_BYTES) -> bytes:
    """The first bytes of a file, decompressed and converted to UTF-8.

    Raises:
        UserError: as `open_bytes`.
    """
    with open_bytes(path) as file:
        return file.read(count)


def raw_beginning(path: Path, count: int = 512) -> bytes:
    """The first bytes of a file, unconverted.

    Raises:
        UserError: a file that is missing, not regular, or not readable.
    """
    with _open(path) as file:
        beginning: bytes = file.read(count)
    return beginning


def archive_of(path: Path) -> str | None:
    """The kind of an archive (`zip`, `tar`, ...), compressed or not; None for another file."""
    beginning = raw_beginning(path)
    kind = next((kind for magic, kind in ARCHIVES.items() if beginning.startswith(magic)), None)
    if kind is None and compression_of(beginning):
        beginning = first_bytes(path, 512)
    return "tar" if beginning[TAR_AT : TAR_AT + 5] == b"ustar" else kind


def is_plain(path: Path) -> bool:
    """Whether `open_bytes` returns a file's bytes unconverted."""
    beginning = raw_beginning(path)
    marked = any(beginning.startswith(mark) for mark, _ in MARKS)
    return not marked and compression_of(beginning) is None


def open_bytes(path: Path, offset: int = 0) -> BinaryIO:
    """Open a file as UTF-8 bytes from an offset on, decompressed and without byte-order mark.

    Decompresses gzip, bzip2, xz and zstd, and converts files that begin with the byte-order mark of
    UTF-16 or UTF-32. Offsets refer to the result; in a compressed or converted file the bytes
    before the offset are read and discarded.

    Raises:
        UserError: an unreadable file, also later while reading a truncated or damaged one.
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
    refuse_lfs_pointer(path)
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); give a readable file") from None


def _missing(path: Path) -> str:
    if not os.path.isdir(path.parent):
        return f"{path} does not exist: there is no folder {path.parent}; check the path"
    names = sorted(other.name for other in path.parent.iterdir())
    otherwise = "check the path, or write hub:NAME for a data set of the Hub"
    return f"{path} does not exist; {did_you_mean_beside(path, names, otherwise=otherwise)}"


def _example(files: Iterable[Path]) -> str:
    first = min(files, default=None)
    return f", such as {first}" if first else ""
