"""Send and receive messages through a pipe or socket: a length, then the bytes."""

import os
import select
import threading
import time
from os import write as _write
from typing import Any

_LENGTH = 8
_LONGEST = 1 << 30
_LONGEST_ACCESS = 300
# Begins a message about an access; no JSON object and no safetensors file begins with it.
_ACCESS = b"access"
_one_at_a_time = threading.RLock()


def write_frame(descriptor: int, message: bytes) -> None:
    """Send a complete message."""
    data = memoryview(len(message).to_bytes(_LENGTH, "little") + message)
    with _one_at_a_time:
        while data:
            data = data[_write(descriptor, data) :]


def visible(value: Any) -> Any:
    """A JSON value with the control characters of its texts escaped, but for line ends and tabs.

    A file's texts reach terminals, where such characters can hide lines.
    """
    match value:
        case str():
            return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in value)
        case dict():
            return {key: visible(inner) for key, inner in value.items()}
        case list() | tuple():
            return [visible(inner) for inner in value]
    return value


def access_frame(line: int | None, sentence: str) -> bytes:
    """The message about a file's access, made in this line."""
    return _ACCESS + f"{line or 0} {sentence[:_LONGEST_ACCESS]}".encode(errors="replace")


def access_in(frame: bytes) -> str | None:
    """The sentence about an access, with its line; None for other messages.

    Raises ValueError for invalid bytes.
    """
    if not frame.startswith(_ACCESS):
        return None
    line, _, sentence = frame[len(_ACCESS) :].decode().partition(" ")
    where = f" (line {int(line)})" if int(line) else ""
    return f"{sentence[:_LONGEST_ACCESS]}{where}"


def read_frame(
    descriptor: int, deadline: float | None = None, longest: int = _LONGEST
) -> bytes | None:
    """The next message; None at the end of the stream, and for a message that is too long.

    deadline: in `time.monotonic`; raises TimeoutError after it.
    """
    header = _read(descriptor, _LENGTH, deadline)
    if header is None:
        return None
    length = int.from_bytes(header, "little")
    return _read(descriptor, length, deadline) if length <= longest else None


def _read(descriptor: int, size: int, deadline: float | None) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        if deadline is not None:
            wait = deadline - time.monotonic()
            if wait <= 0 or not select.select([descriptor], [], [], wait)[0]:
                raise TimeoutError
        piece = os.read(descriptor, min(size - len(data), 1 << 20))
        if not piece:
            return None
        data += piece
    return bytes(data)
