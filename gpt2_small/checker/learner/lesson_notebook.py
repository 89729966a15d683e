"""Give a learner the notebook of a lesson, which runs on the learner's own file."""

import re
from pathlib import Path

from gpt2_small.checker.exercise_set import ExerciseSet

# By this name a lesson's text calls the file that it runs on.
_USUAL_FILE = re.compile(r"\bmy_\w+\.py\b")
# A name that means the same in a shell, in a string of Python and in JSON.
_PLAIN_NAME = re.compile(r"[\w.-]+")


def notebook_for(exercises: ExerciseSet, file: Path) -> tuple[Path, str] | None:
    """Where the notebook of a lesson belongs beside a file, and its text, which names the file.

    None for exercises that have no notebook, and for a name that a notebook would have to quote.
    """
    source = exercises.reference.with_name("lesson.ipynb")
    if not exercises.mark or not source.exists() or not _PLAIN_NAME.fullmatch(file.name):
        return None
    text = _USUAL_FILE.sub(lambda _: file.name, source.read_text(encoding="utf-8"))
    return file.with_name(f"{source.parent.name}.ipynb"), text
