"""Bind a lesson's notebook to a learner's file."""

import re
from pathlib import Path

from gpt2_small.checker.exercise_set import ExerciseSet

# The file name in a lesson's text.
_USUAL_FILE = re.compile(r"\bmy_\w+\.py\b")
# A name that needs no quoting in a shell, Python or JSON.
_PLAIN_NAME = re.compile(r"[\w.-]+")


def notebook_for(exercises: ExerciseSet, file: Path) -> tuple[Path, str] | None:
    """The path and text of a lesson's notebook for a file.

    None for exercises without a notebook, and for file names that need quoting.
    """
    source = exercises.reference.with_name("lesson.ipynb")
    if not exercises.mark or not source.exists() or not _PLAIN_NAME.fullmatch(file.name):
        return None
    text = _USUAL_FILE.sub(lambda _: file.name, source.read_text(encoding="utf-8"))
    return file.with_name(f"{source.parent.name}.ipynb"), text
