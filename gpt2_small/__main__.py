"""Run the command `gpt2-small` as `python -m gpt2_small`."""

import os
import sys
from pathlib import Path

# `python -m` puts the working directory first on sys.path, where a torch.py would shadow torch.
# Remove it, unless the package itself is imported from there.
if sys.path[:1] == [os.getcwd()] and Path(__file__).parents[1] != Path.cwd():
    del sys.path[0]

from gpt2_small.cli import main

main()
