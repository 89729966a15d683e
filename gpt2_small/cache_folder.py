"""Where files are kept that can be made or downloaded again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """This user's folder for them; it need not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpt2-small"
