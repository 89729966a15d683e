"""Lock a file between processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gpt2_small.errors import UserError
from gpt2_small.files.write_errors import cannot_write


@contextmanager
def locked(path: Path, *, in_use: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock on the file `path`, on every system. The file and its folder are created.

    Args:
        in_use: the message when another process holds the lock.
        wait: wait until it is released, instead of raising.

    Raises:
        UserError: another process holds it, or the folder cannot be written.
    """
    lock = FileLock(path, timeout=-1 if wait else 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(in_use) from None
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    try:
        yield
    finally:
        lock.release()
