"""Build variants of GPT-2: the reference with named edits, as a text and as an exercise set.

An edit is a mistake of the catalogue, made on purpose, or one of EDITS. The edited reference is the
expectation; TransformerLens's and torch's results are too if they agree with it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import combinations
from types import ModuleType

from gpt2_small.checker.claims import Claim, Observe
from gpt2_small.checker.claims.judging.runner import look, reference, summarised
from gpt2_small.checker.claims.modules.parameter_shapes import axes_of
from gpt2_small.checker.claims.observing.observation import TAP, Observation, entry_distance
from gpt2_small.checker.exercise_set import GPT2, VARIANT, ExerciseSet
from gpt2_small.checker.mistakes.edited_reference import Edit, EditDoesNotFit, edited_text
from gpt2_small.checker.mistakes.mistake import Mistake, catalogue
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.variants.edits import EDITS, VariantEdit, other_models
from gpt2_small.errors import UserError, did_you_mean


@cache
def edits() -> dict[str, VariantEdit | Mistake]:
    """All edits for variants by id."""
    return {mistake.id: mistake for mistake in catalogue()} | {edit.id: edit for edit in EDITS}


def find_edit(edit_id: str) -> VariantEdit | Mistake:
    """The edit with an id. Raises UserError with the nearest."""
    known = edits()
    if edit_id in known:
        return known[edit_id]
    alone = ", ".join(edit.id for edit in EDITS)
    hint = did_you_mean(
        edit_id, known, otherwise=f"there are {alone}, and the mistakes of docs/mistakes.md"
    )
    raise UserError(f"there is no edit {edit_id!r}; {hint}")


@cache
def variant_text(ids: tuple[str, ...]) -> str:
    """The reference's text with these edits.

    Raises UserError for an unknown id and for conflicting edits.
    """
    chosen = [find_edit(edit_id) for edit_id in dict.fromkeys(ids)]
    for pair in combinations(chosen, 2):
        if _joined(pair) is None:
            raise UserError(
                f"{pair[0].id} and {pair[1].id} change the same lines of the reference; "
                "leave one of them out"
            )
    text = _joined(chosen)
    if text is None:
        raise UserError(f"{', '.join(ids)} cannot be made together; leave one of them out")
    return text


def _joined(chosen: Sequence[Edit]) -> str | None:
    """The text with all of these edits; None if they conflict."""
    try:
        text = edited_text(*chosen)
        compile(text, "<variant>", "exec")
    except (EditDoesNotFit, SyntaxError):
        return None
    return text


@cache
def variant_set(ids: tuple[str, ...]) -> ExerciseSet:
    """The fifteen parts with the edited reference.

    Raises UserError as `variant_text` does, and if the edited reference cannot be run.
    """
    ids = tuple(dict.fromkeys(ids))
    exercises = ExerciseSet(
        name=VARIANT + ",".join(ids),
        reference=GPT2.reference,
        parts=PARTS,
        claims=partial(_claims, ids),
        mistakes=partial(_mistakes, ids),
        guides=GPT2.guides,
        text=variant_text(ids),
        axes=_axes([find_edit(edit_id) for edit_id in ids]),
        other_models=partial(_other_models, ids),
    )
    _run_once(ids, exercises)
    return exercises


def _run_once(ids: tuple[str, ...], exercises: ExerciseSet) -> None:
    from torch import ones

    try:
        model = reference(exercises)
        settings = model.TransformerConfig(
            d_model=8, n_layers=1, n_heads=2, n_ctx=4, d_vocab=5, tied_embeddings=True
        )
        model.Transformer(settings)(ones(1, 3).long())
    except Exception as error:
        raise UserError(
            f"the reference with {', '.join(ids)} cannot be run "
            f"({type(error).__name__}: {error}); such an edit makes no variant"
        ) from None


def _axes(chosen: Sequence[Edit]) -> dict[str, dict[str, tuple[str, ...]]]:
    """The parameters of parts whose parameters these edits change."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for edit in chosen:
        if isinstance(edit, VariantEdit):
            for part in (*edit.without, *edit.adds):
                axes = found.setdefault(part, axes_of(part))
                for name in edit.without.get(part, ()):
                    axes.pop(name, None)
                axes |= edit.adds.get(part, {})
    return found


def _mistakes(ids: tuple[str, ...], part: str) -> tuple[Mistake, ...]:
    """A variant's mistakes in a part: missing edits, and the mistakes that still apply."""
    chosen = [find_edit(edit_id) for edit_id in ids]
    known = [
        *(_missing(edit) for edit in chosen if edit.component == part),
        *(mistake for mistake in catalogue(part) if mistake.id not in ids),
    ]
    return tuple(mistake for mistake in known if _joined_to(ids, mistake))


def _missing(edit: VariantEdit | Mistake) -> Mistake:
    """The mistake of omitting an edit."""
    first, *rest = [(new, old) for old, new in edit.edits]
    return Mistake(
        id=f"{edit.id}-left-out",
        component=edit.component,
        old=first[0],
        new=first[1],
        also=tuple(rest),
        sentence=f"does what the reference does, without the edit {edit.id}",
        hints=("", "", ""),
    )


def _other_models(ids: tuple[str, ...], part: str) -> tuple[Mistake, ...]:
    """The edits that turn a variant's part into that of another model."""
    others = (one for one in other_models(part) if one.id not in ids)
    return tuple(one for one in others if _joined_to(ids, one))


def _joined_to(ids: tuple[str, ...], mistake: Mistake) -> bool:
    try:
        edited_text(mistake, exercises=variant_set(ids))
    except EditDoesNotFit:
        return False
    return True


@cache
def _claims(ids: tuple[str, ...], part: str) -> tuple[Claim, ...]:
    """The claims about a part with the edited reference's expectations."""
    return tuple(
        replace(
            claim,
            expect=partial(_expected, ids, claim),
            also=tuple(partial(_further, ids, claim, also) for also in claim.also),
        )
        for claim in GPT2.claims(part)
    )


@cache
def _seen(ids: tuple[str, ...], claim: Claim, seed: int) -> Observation:
    """A claim's observation of the edited reference, also if that raises."""
    sight = look(claim, reference(variant_set(ids)), seed)
    if sight.problem is None:
        return summarised(claim, sight.seen)
    return {k: v for k, v in sight.seen.items() if not k.startswith(TAP)}


def _expected(ids: tuple[str, ...], claim: Claim, _reference: ModuleType, seed: int) -> Observation:
    """The edited reference's values, and GPT-2's expected entries that agree with them."""
    seen = _seen(ids, claim, seed)
    return {**seen, **_agreed(claim.expect, seen, ids, seed)}


def _further(
    ids: tuple[str, ...], claim: Claim, also: Observe, _reference: ModuleType, seed: int
) -> Observation:
    """The entries of another expectation that agree with the edited reference."""
    return _agreed(also, _seen(ids, claim, seed), ids, seed)


def _agreed(
    expect: Observe | None, seen: Observation, ids: tuple[str, ...], seed: int
) -> Observation:
    if expect is None:
        return {}
    try:
        wanted = expect(reference(variant_set(ids)), seed)
    except Exception:  # it reads parameters that the variant lacks
        return {}
    return {k: v for k, v in wanted.items() if entry_distance(seen.get(k), v) <= 1}
