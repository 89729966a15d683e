"""What a checkpoint holds, and which checkpoints stay on the disk."""

import json
import os
import resource
import time

import pytest
import torch
from small_runs import ALONE, SMALL, files_under, flip, play, steps_kept, train

from gpt2_small.errors import UserError
from gpt2_small.runs import read_log, read_run
from gpt2_small.runs.checkpoint_folders import find_checkpoints
from gpt2_small.training import checkpoints as keeping
from gpt2_small.training import recorder as kept
from gpt2_small.training.checkpoints import (
    CheckpointWriter,
    check_whole,
    discard,
    last_whole_checkpoint,
)
from gpt2_small.training.loop import Training
from gpt2_small.training.run_record import RunRecord
from gpt2_small.training.state import capture, optimizer_tensors, reseed, restore
from gpt2_small.training.training_data import open_data


@pytest.fixture
def new_training(solution, tmp_path):
    """Gives trainings that begin alike, by default with the parts of the reference."""
    data = open_data(str(play(tmp_path)), None, SMALL.model["n_ctx"])

    def make(solution=solution, **changes):
        torch.manual_seed(0)
        fields = {**SMALL.model, "d_vocab": data.tokenizer.vocab_size, "dropout": 0.1, **changes}
        model = solution.Transformer(solution.TransformerConfig(**fields))
        return Training(solution, model, data, SMALL.recipe, ALONE)

    return make


def after(training, steps):
    for _ in range(steps):
        training.advance()
    return training


def record(training, **changes):
    """The record of the training's last step."""
    fields = dict(loss=2.0, learning_rate=0.1, grad_norm=1.0, tokens_per_second=1.0)
    return RunRecord(**{**fields, "step": training.step, "tokens": training.tokens, **changes})


def checkpoint_of(training, folder):
    writer = CheckpointWriter(folder, keep=1, val_losses={})
    folder.mkdir(exist_ok=True)
    writer.save(capture(training, record(training), False))
    writer.wait()
    assert writer.failures == []
    return find_checkpoints(folder)[-1]


def equal(some, others):
    return some.keys() == others.keys() and all(
        torch.equal(value, others[name]) for name, value in some.items()
    )


# A state


def test_a_restored_training_has_every_weight_moment_and_random_state_of_the_saved(
    new_training, tmp_path
):
    training = after(new_training(), 3)
    checkpoint = checkpoint_of(training, tmp_path / "run")
    random = torch.get_rng_state()
    again = new_training()
    restore(again, checkpoint)
    assert (again.step, again.tokens) == (3, 3 * 4 * 16)
    assert equal(dict(again.model.named_parameters()), dict(training.model.named_parameters()))
    assert equal(optimizer_tensors(again), optimizer_tensors(training))
    assert torch.equal(torch.get_rng_state(), random)


def test_a_state_is_a_copy_that_later_steps_leave_alone(new_training):
    training = after(new_training(), 2)
    state = capture(training, record(training), False)
    weights = {name: value.clone() for name, value in state.weights.items()}
    moments = {name: value.clone() for name, value in state.optimizer.items()}
    assert equal(state.weights, dict(training.model.named_parameters()))
    after(training, 1)
    assert not equal(weights, dict(training.model.named_parameters()))
    assert equal(state.weights, weights)
    assert equal(state.optimizer, moments)


def test_the_optimisers_tensors_are_named_after_their_parameters(new_training):
    training = after(new_training(), 1)
    names = {name for name, _ in training.model.named_parameters()}
    moments = optimizer_tensors(training)
    assert set(moments) == {f"{n}/{m}" for n in names for m in ("step", "exp_avg", "exp_avg_sq")}
    assert moments["embed.W_E/exp_avg"].shape == training.model.embed.W_E.shape


def test_a_parameter_that_never_had_a_gradient_does_not_keep_a_run_from_going_on(
    new_training, tmp_path
):
    def with_an_idle_parameter():
        training = new_training()
        training.model.idle = torch.nn.Parameter(torch.ones(3))
        training.optimizer.add_param_group({"params": [training.model.idle]})
        return training

    training = after(with_an_idle_parameter(), 2)
    again = with_an_idle_parameter()
    restore(again, checkpoint_of(training, tmp_path / "run"))
    assert equal(optimizer_tensors(again), optimizer_tensors(training))
    assert "idle" in capture(again, record(again), False).weights
    assert not any(name.startswith("idle") for name in optimizer_tensors(again))


def test_a_checkpoint_of_another_model_is_refused_by_name(new_training, tmp_path):
    checkpoint = checkpoint_of(after(new_training(), 1), tmp_path / "run")
    with pytest.raises(UserError, match=r"step-1/model\.safetensors does not fit the model; .*W_E"):
        restore(new_training(d_model=32), checkpoint)


def test_an_optimiser_that_lacks_a_moment_is_refused_by_name(new_training, tmp_path):
    training = after(new_training(), 1)
    del training.optimizer.state[training.model.embed.W_E]["exp_avg"]
    checkpoint = checkpoint_of(training, tmp_path / "run")
    with pytest.raises(UserError, match=r"optimizer\.safetensors .*: embed\.W_E/exp_avg do not"):
        restore(new_training(), checkpoint)


def test_processes_draw_different_numbers_and_the_same_again():
    def drawn(seed, step, rank):
        reseed(seed, step, rank)
        return torch.rand(()).item()

    places = [(seed, step, rank) for seed in (0, 1) for step in (0, 1, 2) for rank in (0, 1, 2)]
    numbers = [drawn(*place) for place in places]
    assert len(set(numbers)) == len(places)
    assert [drawn(*place) for place in places] == numbers


# Which stay


def keep_losses(training, folder, losses, keep):
    """Save a checkpoint with each of these held-out losses, after steps 1, 2 and so on."""
    val_losses = {}
    writer = CheckpointWriter(folder, keep, val_losses)
    folder.mkdir(exist_ok=True)
    for step, loss in enumerate(losses, start=1):
        writer.save(capture(training, record(training, step=step), loss is not None))
        writer.wait()
        if loss is not None:
            val_losses[step] = loss
    writer.prune()
    assert writer.failures == []
    return [checkpoint.step for checkpoint in find_checkpoints(folder)]


@pytest.mark.parametrize(
    ("losses", "keep", "left"),
    [
        ([None] * 5, 2, [4, 5]),
        ([None] * 5, 1, [5]),
        ([3.0, 1.0, 2.0, 2.5, 2.2], 2, [2, 4, 5]),
        ([3.0, 2.0, 1.0], 1, [3]),
        ([1.0, 1.0, 1.0, 1.0], 1, [1, 4]),
        ([None, 2.0, None, None], 1, [2, 4]),
        ([float("nan"), 2.0, 3.0, float("inf")], 1, [2, 4]),
    ],
)
def test_the_last_few_and_the_best_are_kept(new_training, tmp_path, losses, keep, left):
    assert keep_losses(after(new_training(), 1), tmp_path / "run", losses, keep) == left


def test_a_run_keeps_the_checkpoint_of_its_best_evaluation(solution, tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "evaluate", lambda training, *_: 1.0 + abs(training.step - 4))
    train(solution, tmp_path / "run", max_steps=8, evaluate_every=2, checkpoint_every=2, keep=1)
    assert steps_kept(tmp_path / "run") == [4, 8]


def test_a_checkpoint_that_is_discarded_is_never_seen_half(new_training, tmp_path, monkeypatch):
    checkpoint = checkpoint_of(after(new_training(), 1), tmp_path / "run")

    class Cut(Exception):
        pass

    def cut(folder, **_):
        if os.path.exists(folder):
            raise Cut

    monkeypatch.setattr(keeping.shutil, "rmtree", cut)
    with pytest.raises(Cut):
        discard(checkpoint.folder)
    assert find_checkpoints(tmp_path / "run") == ()


def test_a_checkpoint_counts_as_whole_only_when_every_bit_that_matters_is_there(
    new_training, tmp_path
):
    checkpoint = checkpoint_of(after(new_training(), 1), tmp_path / "run")
    manifest = checkpoint.folder / "manifest.json"
    before = manifest.read_bytes()
    meaning = json.loads(before)
    for place in range(len(before)):
        flip(manifest, place)
        try:
            check_whole(checkpoint)
        except UserError:
            pass
        else:
            assert json.loads(manifest.read_bytes()) == meaning, place
        manifest.write_bytes(before)
    check_whole(checkpoint)


def test_damaged_checkpoints_are_only_set_aside_when_there_is_a_whole_one(new_training, tmp_path):
    training = new_training()
    for _ in range(2):
        checkpoint = checkpoint_of(after(training, 1), tmp_path / "run")
    flip(checkpoint.folder / "position.json", 3)
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged"):
        last_whole_checkpoint(tmp_path / "run")
    assert [each.step for each in find_checkpoints(tmp_path / "run")] == [2]


# A disk that does not do what it should


def test_a_save_that_fails_stops_the_run_and_harms_no_earlier_one(solution, tmp_path, monkeypatch):
    run = tmp_path / "run"
    train(solution, run, last=4)
    before = files_under(run / "checkpoints")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UserError, match=r"cannot write .*step-6 \(File too large\); nothing"):
            train(solution, run, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_under(run / "checkpoints") == before
    assert len(read_log(run)) < 12


def test_a_save_that_fails_for_no_known_reason_stops_the_run_too(solution, tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr(keeping, "save_checkpoint", broken)
    with pytest.raises(ZeroDivisionError):
        train(solution, tmp_path / "run")
    assert len(read_log(tmp_path / "run")) < 12


def test_a_log_that_fails_for_a_moment_gets_no_checkpoint_that_it_lacks_steps_of(
    solution, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    whole = kept.append_log

    def full_at_step_4(folder, record):
        if record["step"] == 4:
            with (run / "log.jsonl").open("a") as file:
                file.write('{"step": 4, "lo')
            raise UserError("cannot write log.jsonl (No space left on device); free some space")
        whole(folder, record)

    monkeypatch.setattr(kept, "append_log", full_at_step_4)
    with pytest.raises(UserError, match="No space left"):
        train(solution, run)
    assert steps_kept(run) == [3]
    monkeypatch.undo()
    train(solution, run, resume=True)
    assert [record["step"] for record in read_log(run)] == list(range(1, 13))


def test_a_step_does_not_wait_for_its_checkpoint(new_training, tmp_path, monkeypatch):
    begun = []

    def slow(*_):
        begun.append(True)
        while len(begun) < 2:
            time.sleep(0.001)

    monkeypatch.setattr(keeping, "save_checkpoint", slow)
    (tmp_path / "run").mkdir()
    writer = CheckpointWriter(tmp_path / "run", keep=1, val_losses={})
    training = after(new_training(), 1)
    writer.save(capture(training, record(training), False))
    begun.append(True)  # reached only because save came back
    writer.wait()
    assert len(begun) == 2


def test_a_run_without_a_folder_to_write_to_is_one_sentence(solution, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/run"):
        train(solution, tmp_path / "file" / "run", data=str(play(tmp_path)))


def test_what_was_kept_names_its_step_tokens_and_loss(solution, tmp_path):
    train(solution, tmp_path / "run")
    checkpoint = read_run(tmp_path / "run").latest_checkpoint()
    position = json.loads((checkpoint.folder / "position.json").read_text())
    last = read_log(tmp_path / "run")[-1]
    assert (position["step"], position["tokens"]) == (12, last["tokens"])
    assert position["record"] == {name: last[name] for name in last if name != "val_loss"}
