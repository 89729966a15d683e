"""Test a run's config.json: its contents, and the refusal of damage."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from small_gpt2s import our_gpt2, saved_run
from small_runs import flip, play, steps_kept, train

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.runs import load_model, read_run
from gpt2_small.runs.config import content_hash
from gpt2_small.training.recipes import settings as settings_module
from gpt2_small.training.recipes.recipe import Recipe
from gpt2_small.training.recipes.resuming import decide


@pytest.fixture(scope="module")
def trained(solution, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(solution, folder, last=3)
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """Train a run that stops after three steps."""
    import shutil

    return Path(shutil.copytree(trained, tmp_path / "run"))


def edited(folder, edit, is_hashed=True):
    """Change a run's config.json, with an updated hash or, as in the first format, without one."""
    path = folder / "config.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    edit(content)
    if is_hashed:
        content["sha256"] = content_hash(content)
    path.write_text(json.dumps(content))


def test_every_flipped_bit_is_detected(solution, run):
    path = run / "config.json"
    before, meaning = path.read_bytes(), json.loads(path.read_bytes())
    accepted = []
    for place in range(0, len(before), 3):
        flip(path, place, place % 8)
        try:
            decide(solution, run, None, {}, True)
        except UserError:
            pass
        else:
            accepted.append(json.loads(path.read_bytes()))
        path.write_bytes(before)
    assert [content for content in accepted if content != meaning] == []


@pytest.mark.parametrize("is_hashed", [True, False], ids=["hashed", "of the first version"])
@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (
            lambda c: c["run"].update(bacth_size=3),
            r"unknown setting 'bacth_size'; did you mean bat",
        ),
        (lambda c: c["run"].pop("beta2"), "has no setting 'beta2'"),
        (lambda c: c["run"].pop("data"), "has no setting 'data'"),
        (lambda c: c["model"].pop("n_heads"), "'n_heads' is missing"),
        (lambda c: c["model"].update(n_head=2), r"unknown field 'n_head'; did you mean n_heads\?"),
        (
            lambda c: c.update(tokeniser="char"),
            r"unknown field 'tokeniser'; did you mean tokenizer",
        ),
        (lambda c: c["run"].update(max_steps="12"), "--max-steps is '12'; give a whole number"),
        (lambda c: c["run"].update(learning_rate=None), "--learning-rate is None; give a number"),
        (lambda c: c["run"].update(recompute=1), "--set recompute is 1; give true or false"),
        (lambda c: c["run"].update(data=[1]), r"data is \[1\]; it must be a name"),
        (lambda c: c["model"].update(d_model="16"), "d_model"),
        (lambda c: c["model"].update(n_layers=[1]), "n_layers"),
        (lambda c: c.update(run=[]), "'run' is of a wrong type"),
    ],
)
def test_a_wrong_key_or_type_is_refused_by_name(solution, run, edit, sentence, is_hashed):
    edited(run, edit, is_hashed)
    with pytest.raises(UserError, match=sentence):
        decide(solution, run, None, {}, True)


def test_a_run_of_the_first_format_is_resumed(solution, run):
    def as_first(content):
        for name in ("id", "environment"):
            del content[name]
        for name in settings_module.ADDED_FIELDS:
            del content["run"][name]
        del content["run"]["solution"]

    edited(run, as_first, is_hashed=False)
    (run / "last_checkpoint.json").unlink()
    (run / "solution.py").unlink()
    train(solution, run, resume=True)
    assert steps_kept(run)[-1] == 12
    assert read_run(run).settings["schedule"] == "cosine"


def test_config_json_has_every_setting_and_every_field_of_the_model(solution, run):
    content = json.loads((run / "config.json").read_text())
    assert {field.name for field in fields(Recipe)} <= content["run"].keys()
    assert content["model"].keys() == {f.name for f in fields(solution.TransformerConfig)}
    assert content["environment"]["torch"] == torch.__version__
    assert content["environment"]["threads"] == torch.get_num_threads()


def test_resuming_with_another_torch_version_or_thread_count_prints_a_remark(solution, run):
    edited(run, lambda content: content["environment"].update(torch="2.0.1", threads=99))
    remarks = train(solution, run, resume=True)
    [remark] = [remark for remark in remarks if "rounded differently" in remark]
    assert f"torch {torch.__version__} instead of 2.0.1" in remark
    assert "threads 1 instead of 99" in remark
    assert read_run(run).config.environment["torch"] == torch.__version__


def test_a_run_keeps_the_text_of_its_solution(solution, run):
    assert (run / "solution.py").read_bytes() == binding.source(solution)


@pytest.fixture
def learners_run(tmp_path):
    """Train a run with a learner's file."""
    file = tmp_path / "my_gpt2.py"
    file.write_text(binding.reference_path().read_text() + "# mine\n")
    train(binding.load(file), tmp_path / "learners", last=3)
    return tmp_path / "learners"


def test_a_run_of_another_file_is_refused_with_the_path_of_its_stored_file(learners_run):
    with pytest.raises(UserError, match=r"my_gpt2\.py .* --solution \S*learners/solution\.py"):
        load_model(learners_run)


def test_a_learners_run_is_not_resumed_with_the_reference(solution, learners_run):
    with pytest.raises(UserError, match=r"was trained with .*my_gpt2\.py"):
        train(solution, learners_run, resume=True)


def test_a_resumed_fine_tune_does_not_need_its_initial_weights(solution, tmp_path):
    play(tmp_path)
    train(solution, tmp_path / "base", last=3)
    base = str(tmp_path / "base")
    train(solution, tmp_path / "tuned", init_from=base, last=3)
    (tmp_path / "base").rename(tmp_path / "moved")
    train(solution, tmp_path / "tuned", resume=True)
    assert steps_kept(tmp_path / "tuned")[-1] == 12


def test_a_tokenizer_file_that_is_a_link_stays_a_link_to_an_unchanged_file(solution, run, tmp_path):
    (run / "tokenizer.json").rename(tmp_path / "shared.json")
    (run / "tokenizer.json").symlink_to(tmp_path / "shared.json")
    before = (tmp_path / "shared.json").stat().st_mtime_ns
    train(solution, run, resume=True)
    assert (run / "tokenizer.json").is_symlink()
    assert (tmp_path / "shared.json").stat().st_mtime_ns == before


def test_a_model_is_read_from_the_next_checkpoint_if_training_discards_the_one_being_read(
    tmp_path, monkeypatch
):
    from gpt2_small.runs.checkpoint_folders import Checkpoint, save_checkpoint
    from gpt2_small.training.checkpointing.checkpoints import discard

    run = saved_run(tmp_path / "run", our_gpt2(), step=1)
    original = Checkpoint.tensors

    def replaced_meanwhile(checkpoint, name):
        if checkpoint.step == 1:
            save_checkpoint(run.folder, 2, our_gpt2())
            discard(checkpoint.folder)
        return original(checkpoint, name)

    monkeypatch.setattr(Checkpoint, "tensors", replaced_meanwhile)
    assert load_model(run.folder).config == our_gpt2().config
