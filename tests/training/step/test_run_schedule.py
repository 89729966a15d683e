"""Test a run's learning rate: its shapes, its description, and rates after a resume."""

import re
from dataclasses import replace

import pytest
from small_runs import logged, train

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.training.recipes.recipe import Recipe
from gpt2_small.training.step.schedule import describe, extended, rate_at

COSINE = binding.bound().learning_rate
RECIPE = Recipe(max_steps=100, batch_size=1, learning_rate=1.0, warmup_steps=10)


def rates(recipe):
    return [rate_at(recipe, step, COSINE) for step in range(recipe.max_steps)]


def test_the_cosine_schedule_is_the_solutions():
    keywords = dict(peak=1.0, warmup_steps=10, total_steps=100, final_fraction=0.1)
    assert rates(RECIPE) == [COSINE(step, **keywords) for step in range(100)]


def test_a_constant_schedule_rises_stays_and_falls_in_a_straight_line():
    found = rates(replace(RECIPE, schedule="constant", decay_steps=20))
    assert found[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert set(found[10:80]) == {1.0}
    assert found[80:] == pytest.approx([1 - 0.9 * (step + 1) / 20 for step in range(20)])
    assert found[-1] == pytest.approx(0.1)


def test_a_constant_schedule_falls_in_its_last_fifth_by_default():
    assert rates(replace(RECIPE, schedule="constant")) == rates(
        replace(RECIPE, schedule="constant", decay_steps=20)
    )


def test_after_its_schedule_a_run_keeps_the_last_rate():
    found = rates(replace(RECIPE, schedule_steps=50))
    assert found[49:] == pytest.approx([0.1] * 51)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "rate up to 1 in 10 steps, cosine to 0.1 at step 100"),
        ({"schedule_steps": 50}, "cosine to 0.1 at step 50, constant to step 100"),
        ({"schedule_steps": 200}, "cosine to 0.1 at step 200; the run ends at step 100 with 0.58"),
        ({"schedule": "constant"}, "constant to step 80, linear to 0.1 at step 100"),
        ({"max_steps": 6}, r"rate rises to 1 in 6 steps and never falls: .* --set warmup_steps=N"),
        (
            {"schedule_steps": 6, "max_steps": 9},
            r"rate rises to 1 in 6 steps, then 0\.1 to step 9",
        ),
    ],
)
def test_the_description_of_a_schedule_is_correct(changes, said):
    assert re.search(said, describe(replace(RECIPE, **changes), COSINE))


def test_an_extended_run_keeps_its_rate_with_a_remark():
    recipe, [remark] = extended(RECIPE, replace(RECIPE, max_steps=200), False, 100, COSINE)
    assert rate_at(recipe, 100, COSINE) == pytest.approx(0.1)
    assert "keeps its length of 100 steps; --set schedule_steps=200 would change" in remark
    assert max(rates(recipe)[100:]) <= min(rates(RECIPE)[10:]) + 1e-12


def test_a_stretched_schedule_is_used_on_request_with_a_remark():
    wanted = replace(RECIPE, max_steps=200, schedule_steps=200)
    recipe, [remark] = extended(RECIPE, wanted, True, 100, COSINE)
    assert recipe == wanted
    assert remark.startswith("the schedule changes: the next step's rate is 0.")
    assert remark.endswith("instead of 0.1")


def test_extending_a_run_whose_rate_has_reached_zero_is_refused():
    stories = replace(RECIPE, final_fraction=0.0)
    with pytest.raises(UserError, match=r"the rate is 0; give --set schedule_steps=200 to stretch"):
        extended(stories, replace(stories, max_steps=200), False, 100, COSINE)


def test_an_extended_constant_schedule_falls_later_if_it_has_not_begun_to_fall():
    constant = replace(RECIPE, schedule="constant")
    recipe, remarks = extended(constant, replace(constant, max_steps=200), False, 60, COSINE)
    assert (recipe.schedule_steps, remarks) == (None, [])
    assert set(rates(recipe)[60:160]) == {1.0}
    fallen, _ = extended(constant, replace(constant, max_steps=200), False, 90, COSINE)
    assert fallen.schedule_steps == 100


# Whole runs


def test_a_resumed_run_keeps_its_number_of_steps_if_its_preset_has_changed(solution, tmp_path):
    from small_runs import ALONE, SMALL, play

    from gpt2_small.training.run_loop import train_run
    from gpt2_small.training.session import open_run

    data = str(play(tmp_path))
    train(solution, tmp_path / "run", last=4, max_steps=8, data=data)
    with open_run(solution, tmp_path / "run", SMALL, {"data": data}, ALONE, resume=True) as resumed:
        assert resumed.settings.recipe.max_steps == 8
        assert len(list(train_run(resumed))) == 4


def test_an_extended_run_never_raises_its_rate(solution, tmp_path):
    train(solution, tmp_path / "run")
    remarks = train(solution, tmp_path / "run", resume=True, max_steps=18)
    assert any("the schedule keeps its length of 12 steps" in remark for remark in remarks)
    rates = [record["learning_rate"] for record in logged(tmp_path / "run")]
    assert rates[12:] == pytest.approx([rates[11]] * 6)


def test_an_extended_run_is_resumed_again_with_the_same_rates(solution, tmp_path):
    train(solution, tmp_path / "run")
    train(solution, tmp_path / "run", resume=True, max_steps=18, last=14)
    train(solution, tmp_path / "run", resume=True)
    rates = [record["learning_rate"] for record in logged(tmp_path / "run")]
    assert len(rates) == 18
    assert rates[12:] == pytest.approx([rates[11]] * 6)
