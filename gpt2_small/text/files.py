"""Files that are there whole or not at all."""

import os
import tempfile
from pathlib import Path

from gpt2_small.errors import UserError


def write_whole(path: Path, text: str) -> None:
    """Writes `text` beside `path`, syncs it, and moves it into place.

    Raises:
        UserError: the disk or the folder does not allow it; what was at `path` is unharmed.
    """
    aside = None
    try:
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except OSError as error:
        if aside:
            Path(aside).unlink(missing_ok=True)
        raise UserError(f"cannot write {path} ({error.strerror}); nothing was changed.") from None
