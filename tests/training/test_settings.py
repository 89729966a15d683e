"""Test settings of a run: presets, flags that override their fields, and refusals."""

import inspect
from dataclasses import asdict, replace

import pytest

from gpt2_small.commands.training.train import train
from gpt2_small.errors import UserError
from gpt2_small.model.presets import preset
from gpt2_small.training.recipes.recipe import Recipe, flag_of, in_steps
from gpt2_small.training.recipes.settings import (
    Settings,
    as_json,
    changed,
    check_same_run,
    from_json,
    parsed,
    resumed,
    settings_of_run,
)
from gpt2_small.training.recipes.training_presets import PRESETS, training_preset

RECIPE = Recipe(max_steps=6, batch_size=12, learning_rate=1e-3)
SETTINGS = Settings(data="plays.txt", model={"n_ctx": 8}, recipe=RECIPE)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_a_valid_model_and_batch(solution, name):
    settings = training_preset(name)
    solution.TransformerConfig(**settings.model)
    assert settings.recipe.micro_batches(world_size=1) >= 1


def test_the_preset_gpt2_has_nanogpts_batch_of_491520_tokens():
    settings = training_preset("gpt2")
    assert settings.recipe.batch_size * settings.model["n_ctx"] == 5 * 8 * 12 * 1024


def test_the_preset_gpt2_fineweb_has_build_nanogpts_batch_of_half_a_million_tokens():
    settings = training_preset("gpt2-fineweb")
    assert settings.recipe.batch_size * settings.model["n_ctx"] == 2**19
    assert settings.recipe.max_steps * 2**19 == pytest.approx(10e9, rel=1e-4)


def test_the_large_presets_train_gpt2_with_a_padded_vocabulary():
    for name in ("gpt2", "gpt2-fineweb"):
        model = training_preset(name).model
        assert replace(preset("gpt2"), d_vocab=50304) == preset("gpt2", **model)


def test_an_unknown_preset_gets_a_suggestion():
    with pytest.raises(UserError, match="'shakespear-cpu'; did you mean shakespeare-cpu"):
        training_preset("shakespear-cpu")


def test_changes_are_applied_to_the_named_fields():
    settings = changed(SETTINGS, {"data": "stories", "max_steps": 9, "dropout": 0.1})
    assert (settings.data, settings.recipe.max_steps) == ("stories", 9)
    assert settings.model == {"n_ctx": 8, "dropout": 0.1}
    assert settings.recipe == replace(RECIPE, max_steps=9)


def test_initial_weights_determine_the_models_shape():
    shaped = replace(SETTINGS, model={"n_ctx": 8, "d_model": 32, "dropout": 0.2})
    assert changed(shaped, {"init_from": "gpt2"}).model == {"dropout": 0.2}


def test_values_are_parsed_as_their_fields_types():
    given = [
        "max_steps=7",
        "learning_rate=1e-3",
        "compile=false",
        "dtype=bfloat16",
        "evaluation_tokens=none",
        "dropout=0.5",
        "n_layers=2",
    ]
    assert parsed(given) == {
        "max_steps": 7,
        "learning_rate": 1e-3,
        "compile": False,
        "dtype": "bfloat16",
        "evaluation_tokens": None,
        "dropout": 0.5,
        "n_layers": 2,
    }


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("beta_2=0.9", "there is no field 'beta_2'; did you mean beta2"),
        ("n_layer=2", "there is no field 'n_layer'; did you mean n_layers"),
        ("max_steps", "--set max_steps has no value; write --set NAME=VALUE"),
        ("max_steps=many", "--set max_steps=many: give a whole number"),
        ("learning_rate=fast", "--set learning_rate=fast: give a number"),
        ("compile=maybe", "--set compile=maybe: give true or false"),
    ],
)
def test_an_impossible_assignment_is_refused(assignment, sentence):
    with pytest.raises(UserError, match=sentence):
        parsed([assignment])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"beta1": 1.0}, "--set beta1 is 1.0; give a number in \\[0, 1\\)"),
        ({"final_fraction": 1.5}, "--set final_fraction is 1.5; give a number from 0 to 1"),
        ({"dtype": "float8"}, "--dtype is 'float8'; choose float32, bfloat16 or float16"),
        ({"micro_batch_size": 0}, "--micro-batch-size is 0; give a whole number of at least 1"),
        ({"max_grad_norm": 0.0}, "--set max_grad_norm is 0, which disables training"),
        ({"learning_rate": -1.0}, "--learning-rate is -1.0; give a number of at least 0"),
    ],
)
def test_an_impossible_recipe_is_refused(change, sentence):
    with pytest.raises(UserError, match=sentence):
        replace(RECIPE, **change)


def test_a_batch_is_divided_into_equal_micro_batches():
    recipe = replace(RECIPE, micro_batch_size=2)
    assert [recipe.micro_batches(processes) for processes in (1, 2, 3, 6)] == [6, 3, 2, 1]


def test_a_batch_that_cannot_be_divided_equally_is_refused():
    with pytest.raises(UserError, match="--micro-batch-size is 5, which does not divide the 12"):
        replace(RECIPE, micro_batch_size=5).micro_batches(world_size=1)


def test_settings_are_restored_from_json_and_from_a_run():
    assert from_json(as_json(SETTINGS)) == SETTINGS
    assert settings_of_run(SETTINGS.model, SETTINGS.as_json(), "config.json") == SETTINGS


def test_a_run_without_a_recipe_cannot_be_resumed():
    run = asdict(RECIPE)
    del run["batch_size"]
    with pytest.raises(UserError, match=r"config.json has no setting 'batch_size'"):
        settings_of_run({}, run, "config.json")


def test_a_resumed_run_may_have_more_steps_but_not_another_rate():
    more_steps, another_rate = {"max_steps": 100, "keep": 5}, {"learning_rate": 0.01}
    check_same_run(SETTINGS, changed(SETTINGS, more_steps), more_steps, "runs/a")
    with pytest.raises(
        UserError, match=r"runs/a was started with learning_rate = 0.001, not 0.01; leave "
    ):
        check_same_run(SETTINGS, changed(SETTINGS, another_rate), another_rate, "runs/a")


def test_a_run_is_not_resumed_with_another_shape():
    with pytest.raises(UserError, match="started with n_ctx = 8, not 16"):
        check_same_run(SETTINGS, changed(SETTINGS, {"n_ctx": 16}), {"n_ctx": 16}, "runs/a")


def test_a_setting_that_only_the_preset_changes_is_answered_with_the_flag_preset():
    with pytest.raises(UserError, match="batch_size = 12, not 16; leave --preset out to resume it"):
        check_same_run(SETTINGS, changed(SETTINGS, {"batch_size": 16}), {}, "runs/a")


def test_a_run_in_epochs_with_given_steps_resumes_without_repeating_the_flag():
    epochs = replace(RECIPE, epochs=2)
    preset = replace(SETTINGS, recipe=in_steps(epochs, 600))
    started = replace(SETTINGS, recipe=in_steps(epochs, 600, max_steps=1000))
    assert started.recipe.warmup_steps != preset.recipe.warmup_steps
    assert resumed(started, preset, {}, "runs/a").recipe == started.recipe


def test_a_field_is_named_by_the_flag_that_train_has_for_it():
    flags = {name.replace("_", "-") for name in inspect.signature(train).parameters}
    for name in asdict(RECIPE):
        has_a_flag = name.replace("_", "-") in flags
        assert flag_of(name) == (f"--{name.replace('_', '-')}" if has_a_flag else f"--set {name}")
