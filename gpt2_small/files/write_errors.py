"""Explain why a file or folder cannot be written."""

import errno
import os
import re
from pathlib import Path

from safetensors import SafetensorError

from gpt2_small.errors import UserError

DISK_FULL = {os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT)}


def cannot_write(path: Path, error: OSError | SafetensorError, unharmed: str = "") -> UserError:
    """The error for a path that cannot be written: the system's reason and the way out.

    unharmed: a clause between the two, such as "nothing was changed; ".
    """
    reason = _reason(error)
    way_out = "free some space" if reason in DISK_FULL else "make it writable or give another path"
    return UserError(f"cannot write {path} ({reason}); {unharmed}{way_out}")


def _reason(error: OSError | SafetensorError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said_by_the_system = re.search(r"I/O error: (.*?)( \(os error \d+\))?$", str(error))
    return said_by_the_system[1] if said_by_the_system else str(error)
