"""Find this user's cache folder."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """This user's cache folder, which may not exist yet.

    Raises FileNotFoundError for a user without a home folder.
    """
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise FileNotFoundError("there is no home folder, and $XDG_CACHE_HOME is not set") from None
    return caches / "gpt2-small"
