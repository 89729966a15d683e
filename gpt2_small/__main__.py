"""`python -m gpt2_small`."""

import os
import sys
from pathlib import Path

# Python has put the working directory first: a torch.py there would be torch. It stays where the
# package itself is in it.
if sys.path[:1] == [os.getcwd()] and Path(__file__).parents[1] != Path.cwd():
    del sys.path[0]

from gpt2_small.cli import main

main()
