"""Refuse pipes and devices in the place of files."""

import os
import stat
from pathlib import Path

from gpt2_small.errors import UserError


def refuse_pipe(path: Path) -> None:
    """Refuse a pipe, a socket or a device in the place of a file: reading it may never end.

    A path that cannot be looked at passes, since opening it gives the reason.

    Raises UserError.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(
            f"{path} is a pipe or a device, not a file; save its content to a file, and use that"
        )
