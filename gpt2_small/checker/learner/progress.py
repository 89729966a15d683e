"""Store a learner's progress and hints beside the learner's file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.errors import UserError
from gpt2_small.files.atomic import write_atomically

FORMAT = "gpt2-small-progress/1"


@dataclass
class Progress:
    """A learner's progress with one file.

    done: parts that have passed once.
    shown: parts whose reference was printed.
    hints: the number of hints given, by mistake id or part.
    """

    done: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    hints: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Hint:
    """A hint.

    part: the requested part.
    number, of: its number, and the number of hints.
    about: a mistake's id, or the part's name.
    """

    part: str
    text: str
    number: int
    of: int
    about: str

    @property
    def title(self) -> str:
        """The part and the hint's number."""
        return f"{self.part}, hint {self.number} of {self.of}"


def path_for(file: Path) -> Path:
    """The path of a file's progress: `.my_gpt2.progress.json` beside `my_gpt2.py`."""
    return file.with_name(f".{file.stem}.progress.json")


def read(file: Path, exercises: ExerciseSet = GPT2) -> Progress:
    """Read a file's progress; missing and damaged fields are empty."""
    try:
        content = json.loads(path_for(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Progress()
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        return Progress()
    return Progress(
        _known_parts(content.get("done"), exercises),
        _known_parts(content.get("shown"), exercises),
        _counts(content),
    )


def _known_parts(names: Any, exercises: ExerciseSet) -> list[str]:
    return [part for part in exercises.parts if part in names] if isinstance(names, list) else []


def _counts(content: dict[str, Any]) -> dict[str, int]:
    hints = content.get("hints")
    if not isinstance(hints, dict):
        return {}
    return {about: n for about, n in hints.items() if type(n) is int and n > 0}


def write(file: Path, progress: Progress) -> bool:
    """Write a file's progress; False if the folder is not writable."""
    text = json.dumps({"format": FORMAT, **asdict(progress)}, indent=1)
    try:
        write_atomically(path_for(file), text + "\n")
    except UserError:
        return False
    return True


def next_hint(
    progress: Progress, part: str, mistakes: Sequence[str], exercises: ExerciseSet = GPT2
) -> Hint:
    """The next hint for a part with these named mistakes, counted in the progress.

    The last hint is repeated.
    """
    found = [(name, exercises.find_mistake(name).hints) for name in mistakes]
    sources = [(name, tuple(filter(None, hints))) for name, hints in found]
    guide = exercises.guides()[part].hints
    sources = [(name, hints) for name, hints in sources if hints] or [(part, guide)]
    left = [(n, hints) for n, hints in sources if progress.hints.get(n, 0) < len(hints)]
    about, hints = (left or sources[-1:])[0]
    number = min(progress.hints.get(about, 0) + 1, len(hints))
    progress.hints[about] = number
    return Hint(part, hints[number - 1], number, len(hints), about)
