"""Define an exercise set: parts to write, with the claims, mistakes and hints about them.

The fifteen parts of `solution.py` are one set; every lesson is another. A learner's file says in a
comment which set it belongs to, so that no command has to be told.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2_small import binding
from gpt2_small.checker.parts import PARTS
from gpt2_small.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from gpt2_small.checker.claims import Claim
    from gpt2_small.checker.learner.hints import Guide
    from gpt2_small.checker.mistakes.mistake import Mistake

# The file of a lesson, in `lessons/NN_name/`, that has its set under the name EXERCISES.
_DEFINITION = "exercises.py"
# Begins the names of sets whose reference is the fifteen parts' with named edits in it.
VARIANT = "gpt2 with "
_MARK = re.compile(rb"^# gpt2-small lesson: (\S+)[ \t]*\r?$", re.MULTILINE)


@dataclass(frozen=True)
class ExerciseSet:
    """Parts to write, and what judges and helps who writes them.

    name: "gpt2" for the fifteen parts, else the lesson's.
    reference: the file in which every part is written.
    parts: names of classes and functions of the reference, in learning order.
    claims: the claims about a part, gates first.
    mistakes: the known mistakes in a part, each an edit of the reference.
    guides: steps and hints for every part, by its name.
    text: the reference's, where it is not that of the file.
    axes: for parts whose parameters are not those of GPT-2, the axes of each, by its name.
    """

    name: str
    reference: Path
    parts: tuple[str, ...]
    claims: Callable[[str], tuple["Claim", ...]]
    mistakes: Callable[[str], tuple["Mistake", ...]]
    guides: Callable[[], Mapping[str, "Guide"]]
    text: str | None = None
    axes: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict, hash=False)

    def reference_text(self) -> str:
        """The Python of the reference."""
        return self.reference.read_text(encoding="utf-8") if self.text is None else self.text

    @property
    def is_variant(self) -> bool:
        """Whether the reference is the fifteen parts' with named edits in it."""
        return self.name.startswith(VARIANT)

    @property
    def mark(self) -> str:
        """The comment by which a learner's file says that it belongs to this set, or nothing."""
        return "" if self.text or self.name == GPT2.name else f"# gpt2-small lesson: {self.name}\n"

    def find_mistake(self, mistake_id: str) -> "Mistake":
        """The known mistake of an id. Raises UserError with the nearest."""
        known = {mistake.id: mistake for part in self.parts for mistake in self.mistakes(part)}
        if mistake_id in known:
            return known[mistake_id]
        raise UserError(f"there is no mistake {mistake_id!r}; {did_you_mean(mistake_id, known)}")

    def find_part(self, name: str) -> str:
        """The part that a name means, whatever its case. Raises UserError with the nearest."""
        by_lower = {_plain(part): part for part in self.parts}
        asked = _plain(name)
        if asked in by_lower:
            return by_lower[asked]
        hint = did_you_mean(name, self.parts, otherwise=f"the parts are {', '.join(self.parts)}")
        raise UserError(f"there is no part {name!r}; {hint}")

    def in_learning_order(self, names: Iterable[str]) -> list[str]:
        """These parts, each once, in learning order. Raises UserError for an unknown name."""
        wanted = {self.find_part(name) for name in names}
        return [part for part in self.parts if part in wanted]


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _claims(part: str) -> tuple["Claim", ...]:
    from gpt2_small.checker.claims import claims_of

    return claims_of(part)


def _mistakes(part: str) -> tuple["Mistake", ...]:
    from gpt2_small.checker.mistakes.mistake import catalogue

    return catalogue(part)


def _guides() -> Mapping[str, "Guide"]:
    from gpt2_small.checker.learner.hints import GUIDES

    return GUIDES


GPT2 = ExerciseSet(
    name="gpt2",
    reference=binding.reference_path(),
    parts=PARTS,
    claims=_claims,
    mistakes=_mistakes,
    guides=_guides,
)


def of_source(source: bytes) -> ExerciseSet:
    """The set that a file belongs to. Raises UserError for a lesson that is not installed."""
    marked = _MARK.search(source)
    return find(marked[1].decode(errors="replace")) if marked else GPT2


def of_file(path: Path) -> ExerciseSet:
    """The set that a file on disk belongs to. Raises UserError when it cannot be read."""
    return of_source(binding.read(path.expanduser()))


def of_file_or_default(path: Path) -> ExerciseSet:
    """The set that a file belongs to; the fifteen parts where that cannot be said."""
    try:
        return of_file(path)
    except UserError:
        return GPT2


def find(name: str) -> ExerciseSet:
    """The set of a name. Raises UserError with the nearest lesson."""
    if name.startswith(VARIANT):
        from gpt2_small.checker.variants import variant_set

        return variant_set(tuple(name.removeprefix(VARIANT).split(",")))
    return GPT2 if name == GPT2.name else find_lesson(name)


def find_lesson(name: str) -> ExerciseSet:
    """The set of a lesson. Raises UserError with the nearest."""
    folders = lesson_folders()
    if name in folders:
        return _of_lesson(folders[name])
    known = f"the lessons are {', '.join(folders)}" if folders else "no lessons are installed"
    hint = did_you_mean(name, folders, otherwise=known)
    raise UserError(f"there is no lesson {name!r}; {hint}")


def lesson_folders() -> dict[str, Path]:
    """The folders of the lessons that have exercises, by the lesson's name, in their order."""
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


def exercise_mistake(
    guides: Mapping[str, "Guide"],
    part: str,
    name: str,
    old: str,
    new: str,
    sentence: str,
    hint: str,
    **more: Any,
) -> "Mistake":
    """An edit of an exercise's reference, with one hint of its own before the part's.

    more: further fields of Mistake.
    """
    from gpt2_small.checker.mistakes.mistake import Mistake

    return Mistake(
        id=f"{part.replace('_', '-')}-{name}",
        component=part,
        old=old,
        new=new,
        sentence=sentence,
        hints=(hint, guides[part].hints[1], guides[part].hints[2]),
        **more,
    )
