"""Store what a learner has done and been told, beside the learner's file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.errors import UserError
from gpt2_small.files import write_atomically

FORMAT = "gpt2-small-progress/1"


@dataclass
class Progress:
    """A learner's progress with one file.

    done: parts that have passed all their checks at some time.
    shown: parts whose reference was shown.
    hints: how many hints were given, by the mistake's id or the part's name.
    """

    done: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    hints: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Hint:
    """A hint.

    part: the one it was asked for.
    number, of: which it is, of how many there are.
    about: a mistake's id, or the part's name.
    """

    part: str
    text: str
    number: int
    of: int
    about: str

    @property
    def title(self) -> str:
        """Its part and its number."""
        return f"{self.part}, hint {self.number} of {self.of}"


def path_for(file: Path) -> Path:
    """Where the progress with a file is kept: `.my_gpt2.progress.json` beside `my_gpt2.py`."""
    return file.with_name(f".{file.stem}.progress.json")


def read(file: Path, exercises: ExerciseSet = GPT2) -> Progress:
    """The progress with a file; what is missing or damaged counts as none."""
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
    """Keep the progress with a file; False where the folder cannot be written to."""
    text = json.dumps({"format": FORMAT, **asdict(progress)}, indent=1)
    try:
        write_atomically(path_for(file), text + "\n")
    except UserError:
        return False
    return True


def next_hint(
    progress: Progress, part: str, mistakes: Sequence[str], exercises: ExerciseSet = GPT2
) -> Hint:
    """The next hint for a part that behaves like these mistakes, counted in the progress.

    After the last hint it is given again.
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
