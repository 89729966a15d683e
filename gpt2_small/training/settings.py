"""What decides a run, as one value: a preset, changed by flags."""

import difflib
import json
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.training.recipe import Recipe

# With these a run can go on that was started with others.
MAY_CHANGE = (
    "max_steps",
    "evaluate_every",
    "checkpoint_every",
    "keep",
    "micro_batch_size",
    "compile",
    "recompute",
)
OWN_FIELDS = {"data": str, "tokenizer": str, "init_from": str}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A run's data, model and recipe.

    data: what `training.data.open_data` opens; left out, the user must say.
    tokenizer: for a text; left out, what suits the data.
    init_from: a run, a folder or a name whose weights are the first; left out, they are drawn.
    model: fields of the TransformerConfig that are not its defaults.
    """

    data: str | None = None
    tokenizer: str | None = None
    init_from: str | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe

    def as_json(self) -> dict[str, Any]:
        """The settings as a run's config.json holds them, but for the model."""
        return {name: getattr(self, name) for name in OWN_FIELDS} | asdict(self.recipe)


def settings_of_run(model: Mapping[str, Any], run: Mapping[str, Any], source: str) -> Settings:
    """The settings that a run was started with, from its config.json.

    Raises UserError when they are not those of a run that can go on.
    """
    known = {each.name for each in fields(Recipe)}
    try:
        recipe = Recipe(**{name: value for name, value in run.items() if name in known})
    except TypeError as error:
        raise UserError(f"{source} does not say how the run trains ({error})") from error
    own = {name: run.get(name) for name in OWN_FIELDS}
    return Settings(model=model, recipe=recipe, **own)


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings with fields changed by name: their own, the recipe's, or the model's.

    Weights from elsewhere bring the shape of their model along.

    Raises UserError for a field that there is not, with the nearest, and for a value that cannot
    be.
    """
    model_fields = {each.name for each in fields(binding.bound().TransformerConfig)}
    recipe_fields = {each.name for each in fields(Recipe)}
    for name in changes:
        if name not in model_fields | recipe_fields | set(OWN_FIELDS):
            raise UserError(
                f"there is no field {name!r}{_near(name, sorted(model_fields | recipe_fields))}"
            )
    if changes.get("init_from"):
        kept = {name: settings.model[name] for name in ("dropout",) if name in settings.model}
        settings = replace(settings, model=kept)
    own = {name: value for name, value in changes.items() if name in OWN_FIELDS}
    of_model = {name: value for name, value in changes.items() if name in model_fields}
    of_recipe = {name: value for name, value in changes.items() if name in recipe_fields}
    return replace(
        settings,
        **own,
        model={**settings.model, **of_model},
        recipe=replace(settings.recipe, **of_recipe),
    )


def parsed(assignments: Iterable[str]) -> dict[str, Any]:
    """Fields from `NAME=VALUE`, each as its field's type.

    Raises UserError for what is no assignment, an unknown field, or a value of another type.
    """
    types_of = {
        **typing.get_type_hints(binding.bound().TransformerConfig),
        **typing.get_type_hints(Recipe),
        **OWN_FIELDS,
    }
    found = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment} is no assignment; write --set NAME=VALUE")
        if name not in types_of:
            raise UserError(f"there is no field {name!r}{_near(name, sorted(types_of))}")
        found[name] = _value(name, text, types_of[name])
    return found


def _value(name: str, text: str, hint: Any) -> Any:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if types.NoneType in kinds and text.lower() == "none":
        return None
    if bool in kinds:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise UserError(f"--set {name}={text}: give true or false")
    for kind in (int, float, str):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    expected = " or ".join("a whole number" if kind is int else "a number" for kind in kinds[:1])
    raise UserError(f"--set {name}={text}: give {expected}")


def _near(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; the fields are {', '.join(names)}"


def check_same_run(started: Settings, wanted: Settings, folder: str) -> None:
    """Raises UserError when a run cannot go on with these settings, with both values."""
    before = {**started.as_json(), **started.model}
    now = {**wanted.as_json(), **wanted.model}
    for name, value in now.items():
        if name not in MAY_CHANGE and before.get(name) != value:
            raise UserError(
                f"{folder} was started with {name} = {before.get(name)}, not {value}; leave "
                f"--{name.replace('_', '-')} out to go on, or give another folder"
            )


def to_bytes(settings: Settings) -> bytes:
    """Settings as JSON, for another process."""
    return json.dumps([settings.as_json(), dict(settings.model)]).encode()


def from_bytes(content: bytes) -> Settings:
    """What `to_bytes` wrote."""
    run, model = json.loads(content)
    return settings_of_run(model, run, "the first process")
