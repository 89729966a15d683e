"""Define an exercise set: parts to write, with their claims, mistakes and hints.

The fifteen parts of `solution.py` are one set; every lesson is another. A learner's file says in a
comment which set it belongs to, so that no command has to be told.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpt2_small import binding
from gpt2_small.checker.parts import PARTS
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.notebooks import LESSON_MARK

if TYPE_CHECKING:
    from gpt2_small.checker.claims import Claim
    from gpt2_small.checker.learner.hints import Guide
    from gpt2_small.checker.mistakes.mistake import Mistake

# Begins the names of sets whose reference is the fifteen parts' with named edits.
VARIANT = "gpt2 with "


@dataclass(frozen=True)
class ExerciseSet:
    """Parts to write, with their reference, claims, mistakes and hints.

    name: "gpt2" for the fifteen parts, else the lesson's.
    reference: the file with the complete parts.
    parts: names of classes and functions of the reference, in learning order.
    claims: the claims about a part, gates first.
    mistakes: the known mistakes in a part, each an edit of the reference.
    guides: steps and hints by part.
    text: the reference's text, if it differs from the file's.
    axes: the axes of parameters that differ from GPT-2's, by part and name.
    other_models: edits that turn a part into that of another model, and are wrong here.
    """

    name: str
    reference: Path
    parts: tuple[str, ...]
    claims: Callable[[str], tuple["Claim", ...]]
    mistakes: Callable[[str], tuple["Mistake", ...]]
    guides: Callable[[], Mapping[str, "Guide"]]
    text: str | None = None
    axes: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict, hash=False)
    other_models: Callable[[str], tuple["Mistake", ...]] = lambda _part: ()

    def reference_text(self) -> str:
        """The reference's source."""
        return self.reference.read_text(encoding="utf-8") if self.text is None else self.text

    @property
    def is_variant(self) -> bool:
        """Whether the reference is the fifteen parts' with named edits."""
        return self.name.startswith(VARIANT)

    @property
    def mark(self) -> str:
        """The comment that marks a learner's file of this set; empty for GPT-2."""
        return "" if self.text or self.name == GPT2.name else f"{LESSON_MARK}{self.name}\n"

    def what_can_be_named(self, part: str) -> tuple["Mistake", ...]:
        """The known mistakes in a part, and the edits of other models."""
        return (*self.other_models(part), *self.mistakes(part))

    def find_mistake(self, mistake_id: str) -> "Mistake":
        """The known mistake with an id. Raises UserError with the nearest."""
        known = {one.id: one for part in self.parts for one in self.what_can_be_named(part)}
        if mistake_id in known:
            return known[mistake_id]
        raise UserError(f"there is no mistake {mistake_id!r}; {did_you_mean(mistake_id, known)}")

    def find_part(self, name: str) -> str:
        """The part with a name, ignoring case. Raises UserError with the nearest.

        The initials of a part and a word of its name count as near: MHA, loss.
        """
        by_lower = {_plain(part): part for part in self.parts}
        asked = _plain(name)
        if asked in by_lower:
            return by_lower[asked]
        near = [part for part in self.parts if asked and asked in (_initials(part), *_words(part))]
        otherwise = f"the parts are {', '.join(self.parts)}"
        hint = did_you_mean(name, self.parts, otherwise=otherwise)
        raise UserError(
            f"there is no part {name!r}; " + (f"did you mean {near[0]}?" if near else hint)
        )

    def in_learning_order(self, names: Iterable[str]) -> list[str]:
        """These parts, or one, each once, in learning order. Raises UserError for another name."""
        names = [names] if isinstance(names, str) else names
        wanted = {self.find_part(name) for name in names}
        return [part for part in self.parts if part in wanted]


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _words(part: str) -> list[str]:
    """The words of a part's name, in small letters."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", part)]


def _initials(part: str) -> str:
    return "".join(word[0] for word in _words(part))


def _claims(part: str) -> tuple["Claim", ...]:
    from gpt2_small.checker.claims import claims_of

    return claims_of(part)


def _mistakes(part: str) -> tuple["Mistake", ...]:
    from gpt2_small.checker.mistakes.mistake import catalogue

    return catalogue(part)


def _other_models(part: str) -> tuple["Mistake", ...]:
    from gpt2_small.checker.variants.edits import other_models

    return other_models(part)


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
    other_models=_other_models,
)


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
