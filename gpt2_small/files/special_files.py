"""Refuse pipes and devices in the place of files."""

import os
import stat
from pathlib import Path

from gpt2_small.errors import UserError


def refuse_pipe(path: Path) -> None:
    """Raises UserError for a pipe, a socket or a device, which reading may never finish.

    A path that cannot be inspected passes; opening it will give the reason.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(
            f"{path} is a pipe or a device, not a file; save its content to a file, and use that"
        )
