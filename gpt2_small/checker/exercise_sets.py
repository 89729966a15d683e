"""Find an exercise set: by its name, or by the comment in a learner's file."""

import re
import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from gpt2_small import binding
from gpt2_small.checker.exercise_set import GPT2, VARIANT, ExerciseSet
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.notebooks import LESSON_MARK

# The file in `lessons/NN_name/` that defines EXERCISES, the lesson's set.
_DEFINITION = "exercise_set.py"
_MARK = re.compile(rf"^{LESSON_MARK}(\S+)[ \t]*\r?$".encode(), re.MULTILINE)


def of_source(source: bytes) -> ExerciseSet:
    """The set of a source text. Raises UserError for a lesson that is not installed."""
    marked = _MARK.search(source)
    return find(marked[1].decode(errors="replace")) if marked else GPT2


def of_file(path: Path) -> ExerciseSet:
    """The set of a file. Raises UserError if it cannot be read."""
    return of_source(binding.read(path.expanduser()))


def of_file_or_default(path: Path) -> ExerciseSet:
    """The set of a file; the fifteen parts if it cannot be determined."""
    try:
        return of_file(path)
    except UserError:
        return GPT2


def find(name: str) -> ExerciseSet:
    """The set with a name. Raises UserError with the nearest lesson."""
    if name.startswith(VARIANT):
        from gpt2_small.checker.variants import variant_set  # not needed by children

        return variant_set(tuple(name.removeprefix(VARIANT).split(",")))
    return GPT2 if name == GPT2.name else find_lesson(name)


def find_lesson(name: str) -> ExerciseSet:
    """The set of a lesson, by its name, its folder (`01_bigram`) or its number.

    Raises UserError with the nearest.
    """
    folders = lesson_folders()
    wanted = name.casefold().replace("_", "-")
    for lesson, folder in folders.items():
        number = folder.name[:2]
        if wanted in (lesson, f"{number}-{lesson}", number, number.lstrip("0")):
            return _of_lesson(folder)
    known = f"the lessons are {', '.join(folders)}" if folders else "no lessons are installed"
    hint = did_you_mean(name, folders, otherwise=known)
    raise UserError(f"there is no lesson {name!r}; {hint}")


def lesson_folders() -> dict[str, Path]:
    """The folders of lessons with exercises by lesson name, in order."""
    found = sorted((GPT2.reference.parent / "lessons").glob(f"[0-9][0-9]_*/{_DEFINITION}"))
    return {path.parent.name[3:].replace("_", "-"): path.parent for path in found}


@cache
def _of_lesson(folder: Path) -> ExerciseSet:
    """The set of a lesson, whose folder is a package: its files import each other with a dot."""
    name = f"gpt2_small_lesson_{folder.name}"
    definition = folder / _DEFINITION
    spec = spec_from_file_location(name, definition, submodule_search_locations=[str(folder)])
    assert spec, definition
    assert spec.loader, definition
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    found = vars(module).get("EXERCISES")
    assert isinstance(found, ExerciseSet), f"{definition} defines no EXERCISES"
    return found
