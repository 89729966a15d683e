"""Run `gpt2-small watch`: check a file after every save."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gpt2_small.commands.options.learner_options import learner_file, shown_path


def watch(
    file: Annotated[
        Path | None,
        typer.Argument(help="Your file (default: the one in use, or my_gpt2.py).", metavar="FILE"),
    ] = None,
) -> None:
    """Check your file after every save, starting with the part you changed.

    Keys: h the next hint, n the next part, t all parts, q quit. Without a terminal it
    prints plain lines; stop it with Ctrl-C. Hints and progress are stored beside the
    file, in .my_gpt2.progress.json for my_gpt2.py.

    Example: gpt2-small watch my_gpt2.py
    """
    from gpt2_small.checker.learner import verdict_screen
    from gpt2_small.checker.learner.watching.keyboard import Keys, NoKeys
    from gpt2_small.checker.learner.watching.watch_screens import WatchLines, WatchScreen
    from gpt2_small.checker.learner.watching.watcher import Watch

    path = learner_file(file)
    console = verdict_screen.console_for_learners()
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    face = WatchScreen(console) if is_terminal else WatchLines(console)
    Watch(path, shown_path(path), face).run(Keys() if is_terminal else NoKeys())
    if is_terminal:
        console.print()
