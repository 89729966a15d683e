"""Combine a preset and flags into a run's settings, and check those of a resumed run."""

import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from gpt2_small import binding
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.training.recipes.recipe import Recipe, flag_of

# The fields that a resumed run may change.
MAY_CHANGE = (
    "max_steps",
    "schedule_steps",
    "evaluate_every",
    "checkpoint_every",
    "keep",
    "choices",
    "choices_every",
    "choices_limit",
    "micro_batch_size",
    "compile",
    "recompute",
)
OWN_FIELDS = {"data": str, "tokenizer": str, "init_from": str, "column": str}
# Further keys of a run's settings in its config.json.
DATA_HASH = "data_sha256"
FURTHER_KEYS = (DATA_HASH, binding.FILE_KEY, binding.SHA256_KEY)
# Fields that runs of the first version lack; their defaults apply.
ADDED_FIELDS = (
    "schedule",
    "schedule_steps",
    "decay_steps",
    "skip_spikes",
    "order",
    "column",
    "epochs",
    "choices",
    "choices_every",
    "choices_limit",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A run's data, model and recipe.

    data: the source for `training_data.open_data`; left out, the user must give one.
    tokenizer: for a text; left out, chosen by the data.
    column: of rows, the column of text; left out, detected.
    init_from: a run, a folder or a model's name for the initial weights; left out, random weights.
    model: fields of the TransformerConfig that differ from its defaults.
    """

    data: str | None = None
    tokenizer: str | None = None
    init_from: str | None = None
    column: str | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe

    def as_json(self) -> dict[str, Any]:
        """The settings without the model, as in a run's config.json."""
        return {name: getattr(self, name) for name in OWN_FIELDS} | asdict(self.recipe)


def settings_of_run(model: Mapping[str, Any], run: Mapping[str, Any], source: str) -> Settings:
    """Read the settings that a run was started with from its config.json.

    Raises UserError, with the field, for settings of a run that cannot be resumed.
    """
    recipe_fields = [each.name for each in fields(Recipe)]
    known = {*recipe_fields, *OWN_FIELDS, *FURTHER_KEYS}
    for name in run:
        if name not in known:
            raise UserError(
                f"{source} has the unknown setting {name!r}{_near(name, sorted(known))}"
            )
    for name in (*recipe_fields, *OWN_FIELDS):
        if name not in run and name not in ADDED_FIELDS:
            raise UserError(f"{source} has no setting {name!r}; the run cannot be resumed")
    for name in OWN_FIELDS:
        if not isinstance(run.get(name), str | None):
            raise UserError(f"{source}: {name} is {run[name]!r}; it must be a name")
    try:
        recipe = Recipe(**{name: value for name, value in run.items() if name in recipe_fields})
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    return Settings(model=model, recipe=recipe, **{name: run.get(name) for name in OWN_FIELDS})


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Change fields of settings, of their recipe or of their model, by name.

    With init_from the model's shape is that of its weights.

    Raises UserError for an unknown field, with the nearest, and for an invalid value.
    """
    model_fields = {each.name for each in fields(binding.config_class())}
    recipe_fields = {each.name for each in fields(Recipe)}
    for name in changes:
        if name not in model_fields | recipe_fields | set(OWN_FIELDS):
            raise UserError(
                f"there is no field {name!r}{_near(name, sorted(model_fields | recipe_fields))}"
            )
    if changes.get("init_from"):
        model = settings.model if needs_weights(settings) else _only(settings.model, "dropout")
        settings = replace(settings, model=model)
    own = {name: value for name, value in changes.items() if name in OWN_FIELDS}
    of_model = {name: value for name, value in changes.items() if name in model_fields}
    of_recipe = {name: value for name, value in changes.items() if name in recipe_fields}
    return replace(
        settings,
        **own,
        model={**settings.model, **of_model},
        recipe=replace(settings.recipe, **of_recipe),
    )


def needs_weights(settings: Settings) -> bool:
    """Whether the model's shape is that of its initial weights."""
    return settings.model.keys() <= {"dropout", "n_ctx"}


def _only(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: fields[name]} if name in fields else {}


def parsed(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse fields from `NAME=VALUE`, each as its field's type.

    Raises UserError for text without `=`, an unknown field, or a value of another type.
    """
    types_of = {
        **_types_of_the_model(),
        **typing.get_type_hints(Recipe),
        **OWN_FIELDS,
    }
    found = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment} has no value; write --set NAME=VALUE")
        if name not in types_of:
            raise UserError(f"there is no field {name!r}{_near(name, sorted(types_of))}")
        found[name] = _value(name, text, types_of[name])
    return found


def _types_of_the_model() -> dict[str, Any]:
    """The types of the fields of the bound solution's TransformerConfig."""
    config_class = binding.config_class()
    try:
        return typing.get_type_hints(config_class)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        file = binding.solution_path(binding.bound())
        raise UserError(
            f"{file}: an annotation of TransformerConfig is no type ({error}); write int, float "
            "or bool there"
        ) from error


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
    return "; " + did_you_mean(name, names, otherwise=f"the fields are {', '.join(names)}")


def check_same_run(
    started: Settings, wanted: Settings, changes: Mapping[str, Any], folder: str
) -> None:
    """Raises UserError, with both values, for a setting that a resumed run may not change.

    changes: the fields that the user gave; the others are the preset's.
    """
    before = {**started.as_json(), **started.model}
    now = {**wanted.as_json(), **wanted.model}
    for name, value in now.items():
        if name not in MAY_CHANGE and before.get(name) != value:
            flag = flag_of(name) if name in changes else "--preset"
            raise UserError(
                f"{folder} was started with {name} = {before.get(name)}, not {value}; leave "
                f"{flag} out to resume it, or give another folder"
            )


def resumed(
    started: Settings, preset: Settings | None, changes: Mapping[str, Any], folder: str
) -> Settings:
    """The settings of a resumed run: those it was started with, and the requested changes.

    A preset must agree with them, but changes none of the fields that may change: a forgotten
    --max-steps does not restore the preset's.

    Raises UserError, with both values, for a field that may not change.
    """
    wanted = changed(replace(started, model={}) if preset is None else preset, changes)
    wanted = replace(
        wanted,
        data=wanted.data or started.data,
        tokenizer=wanted.tokenizer or started.tokenizer,
        init_from=wanted.init_from or started.init_from,
        column=wanted.column or started.column,
    )
    if wanted.recipe.epochs is not None and "warmup_steps" not in changes:
        # Their warm-up follows from max_steps, which a resumed run keeps.
        recipe = replace(wanted.recipe, warmup_steps=started.recipe.warmup_steps)
        wanted = replace(wanted, recipe=recipe)
    # The path of the data may change; its content may not, which its hash shows.
    check_same_run(replace(started, data=wanted.data), wanted, changes, folder)
    asked = {name: value for name, value in changes.items() if name in MAY_CHANGE}
    return replace(
        started, data=wanted.data, recipe=replace(started.recipe, **asked), model=started.model
    )


def as_json(settings: Settings) -> dict[str, Any]:
    """Convert settings to JSON values, for another process."""
    return {"run": settings.as_json(), "model": dict(settings.model)}


def from_json(content: Mapping[str, Any]) -> Settings:
    """Restore the values of `as_json`."""
    return settings_of_run(content["model"], content["run"], "the first process")
