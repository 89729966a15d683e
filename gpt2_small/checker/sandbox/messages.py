"""Send and receive messages through a pipe or socket: a length, then the bytes."""

import os
import select
import time

_LENGTH = 8
_LONGEST = 1 << 30


def write_frame(descriptor: int, message: bytes) -> None:
    """Send a complete message."""
    data = memoryview(len(message).to_bytes(_LENGTH, "little") + message)
    while data:
        data = data[os.write(descriptor, data) :]


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
