"""Test multiple choice during training: in the log, on the screen and in the plot."""

import json
from io import StringIO
from pathlib import Path

import pytest
import torch
from evaluation_oracles import as_json, questions
from forked import the_forks
from matplotlib.figure import Figure
from rich.console import Console
from small_runs import ALONE, SMALL, flags, logged, play, train
from torch import nn

from gpt2_small.errors import UserError
from gpt2_small.evaluation.choices import answer, read_questions
from gpt2_small.runs.folder import load_run
from gpt2_small.training import choice_scores
from gpt2_small.training.choice_scores import HELLASWAG_FILE
from gpt2_small.training.display import overview, plot
from gpt2_small.training.recipes.settings import parsed
from gpt2_small.training.session import open_run

NAMES = {"choices_acc", "choices_acc_norm", "choices_bits_per_byte"}
MODEL = dict(tokenizer="byte", n_ctx=128, evaluate_every=4)


@pytest.fixture(scope="module")
def choices(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("choices") / "questions.jsonl"
    path.write_text(
        "".join(json.dumps(as_json(each)) + "\n" for each in questions(7)), encoding="utf-8"
    )
    return path


@pytest.fixture(scope="module")
def answered(solution, choices, tmp_path_factory) -> Path:
    """Train a run that answers the questions at steps 4, 8 and 12."""
    run = tmp_path_factory.mktemp("answered") / "run"
    train(solution, run, choices=str(choices), **MODEL)
    return run


def scores(run: Path) -> dict[int, dict[str, float]]:
    """Return the choices' scores in the log, by step."""
    return {
        record["step"]: {name: record[name] for name in NAMES}
        for record in logged(run)
        if NAMES & set(record)
    }


def test_every_evaluation_answers_the_questions(answered):
    assert list(scores(answered)) == [4, 8, 12]


def test_the_last_scores_are_those_of_the_saved_model(solution, answered, choices):
    loaded = load_run(answered)
    result = answer(
        loaded.model, loaded.run.load_tokenizer(), read_questions(choices), "completion"
    )
    assert scores(answered)[12] == {
        "choices_acc": result.acc,
        "choices_acc_norm": result.acc_norm,
        "choices_bits_per_byte": pytest.approx(result.bits_per_byte, rel=1e-9),
    }


def test_answering_the_questions_does_not_change_the_training(solution, answered, tmp_path):
    train(solution, tmp_path / "run", **MODEL)
    without = [
        {name: value for name, value in record.items() if name not in NAMES}
        for record in logged(answered)
    ]
    assert without == logged(tmp_path / "run")


def test_questions_are_answered_at_the_given_interval_and_at_the_end(solution, choices, tmp_path):
    train(solution, tmp_path / "run", choices=str(choices), choices_every=5, **MODEL)
    assert list(scores(tmp_path / "run")) == [5, 10, 12]


def test_a_compiled_run_answers_with_the_uncompiled_model(
    solution, answered, choices, tmp_path, monkeypatch
):
    compiled, models = [], []
    monkeypatch.setattr(
        torch, "compile", lambda module: compiled.append(nn.Sequential(module)) or compiled[-1]
    )
    monkeypatch.setattr(
        choice_scores,
        "answer",
        lambda model, *rest, **how: models.append(model) or answer(model, *rest, **how),
    )
    train(solution, tmp_path / "run", choices=str(choices), compile=True, **MODEL)
    assert compiled
    assert [type(model) for model in models] == [solution.Transformer] * 3
    assert scores(tmp_path / "run") == scores(answered)


def test_a_resumed_run_continues_to_answer(solution, answered, choices, tmp_path):
    run = tmp_path / "run"
    train(solution, run, choices=str(choices), last=6, **MODEL)
    train(solution, run, resume=True)
    assert scores(run) == scores(answered)


def test_a_resumed_run_can_stop_answering(solution, choices, tmp_path):
    run = tmp_path / "run"
    train(solution, run, choices=str(choices), last=6, **MODEL)
    train(solution, run, resume=True, choices=None)
    assert list(scores(run)) == [4]


def test_the_stories_need_no_file(solution, tmp_path):
    train(solution, tmp_path / "run", choices="stories", choices_limit=3, **MODEL)
    assert set(scores(tmp_path / "run")) == {4, 8, 12}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["choices=no.jsonl"], "there is no file no.jsonl"),
        (["choices=hellaswag"], "choices is hellaswag, and there is no"),
        (["choices=stories", "choices_every=0"], "--set choices_every is 0"),
        (["choices=stories", "choices_limit=0"], "--set choices_limit is 0"),
        (["choices=stories", "choices_limit=some"], "choices_limit=some: give a whole number"),
        (
            ["choices=stories", "choices_limit=3", "n_ctx=1"],
            "cannot be scored with n_ctx = 1",
        ),
    ],
)
def test_unusable_questions_are_refused_before_the_run_begins(
    solution, tmp_path, monkeypatch, settings, sentence
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as refused:
        train(solution, tmp_path / "run", **{**MODEL, **parsed(settings)})
    assert sentence in str(refused.value)
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize("place", ["shards", "hellaswag"])
def test_hellaswag_is_found_beside_the_data(solution, choices, tmp_path, place):
    for name in ("shards", "hellaswag"):
        (tmp_path / name).mkdir()
    data = play(tmp_path / "shards")
    (tmp_path / place / HELLASWAG_FILE).write_bytes(choices.read_bytes())
    changes = {**MODEL, "data": str(data), "choices": "hellaswag"}
    with open_run(solution, tmp_path / "run", SMALL, changes, ALONE) as run:
        assert run.settings.recipe.choices == str(tmp_path / place / HELLASWAG_FILE)
        assert len(run.questions) == 7


def test_the_screen_and_the_plot_show_the_scores(solution, choices, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plot, "Figure", lambda **how: drawn.append(Figure(**how)) or drawn[-1])
    screen = Console(file=StringIO(), width=200)
    changes = {**MODEL, "data": str(play(tmp_path)), "choices": str(choices)}
    with open_run(solution, tmp_path / "run", SMALL, changes, ALONE) as run:
        overview.print_plan(run, screen, "A run")
        overview.show_training(run, screen, sample_every=100)
        overview.draw(run, {})
    printed = screen.file.getvalue()
    assert "7 questions of" in printed
    assert printed.count(", choices acc ") == 3
    _, below = drawn[0].axes
    curve = [100 * each["choices_acc"] for each in scores(tmp_path / "run").values()]
    assert list(below.lines[0].get_ydata()) == curve
    assert below.lines[-1].get_ydata()[0] == 25


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_two_processes_get_the_scores_of_one(answered, choices, tmp_path):
    """With 7 questions a share counted twice, or not at all, changes the accuracies."""
    how = flags(SMALL, choices=str(choices), **MODEL)
    data = play(tmp_path)
    begin = ["train", "--preset", "characters", "--data", data, "--out", tmp_path / "two"]
    fork = the_forks().run(*begin, *how, "--device", "cpu", processes=2)
    assert fork.code == 0, fork.err
    one, two = scores(answered), scores(tmp_path / "two")
    assert list(one) == list(two)
    for step, expected in one.items():
        assert two[step] == pytest.approx(expected, rel=1e-4)
