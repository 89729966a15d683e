"""Test capturing, saving and restoring the state of a training."""

import json
from types import SimpleNamespace

import pytest
import torch
from small_runs import train
from small_trainings import after, checkpoint_of, record

from gpt2_small.errors import UserError
from gpt2_small.runs import read_log, read_run
from gpt2_small.training.checkpointing import training_state
from gpt2_small.training.checkpointing.training_state import (
    capture,
    optimizer_tensors,
    reseed,
    restore,
)
from gpt2_small.training.distributed import Processes


def equal(some, others):
    return some.keys() == others.keys() and all(
        torch.equal(value, others[name]) for name, value in some.items()
    )


def test_a_restored_training_has_every_weight_moment_and_random_state(new_training, tmp_path):
    training = after(new_training(), 3)
    checkpoint = checkpoint_of(training, tmp_path / "run")
    random = torch.get_rng_state()
    again = new_training()
    restore(again, checkpoint)
    assert (again.step, again.tokens) == (3, 3 * 4 * 16)
    assert equal(dict(again.model.named_parameters()), dict(training.model.named_parameters()))
    assert equal(optimizer_tensors(again), optimizer_tensors(training))
    assert torch.equal(torch.get_rng_state(), random)


def test_the_random_state_of_a_mac_is_restored_with_that_of_the_cpu(
    new_training, tmp_path, monkeypatch
):
    mps, restored = torch.tensor([1, 2, 3], dtype=torch.uint8), []
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: mps)
    monkeypatch.setattr(torch.mps, "set_rng_state", restored.append)
    training = new_training()
    random = torch.get_rng_state()
    on_a_mac = SimpleNamespace(
        processes=Processes(0, 1, torch.device("mps")), recipe=training.recipe, step=0
    )
    states = {name: state[None] for name, state in training_state._generators(on_a_mac).items()}
    shapes = {name: list(state.shape) for name, state in states.items()}
    training_state._restore_generators(on_a_mac, shapes, states)
    assert torch.equal(restored[0], mps)
    assert torch.equal(torch.get_rng_state(), random)
    training_state._restore_generators(training, shapes, states)
    assert len(restored) == 1


def test_later_steps_do_not_change_a_captured_state(new_training):
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


def test_a_run_with_a_parameter_without_gradients_resumes(new_training, tmp_path):
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


def test_random_numbers_differ_between_processes_and_are_reproducible():
    def drawn(seed, step, rank):
        reseed(seed, step, rank)
        return torch.rand(()).item()

    places = [(seed, step, rank) for seed in (0, 1) for step in (0, 1, 2) for rank in (0, 1, 2)]
    numbers = [drawn(*place) for place in places]
    assert len(set(numbers)) == len(places)
    assert [drawn(*place) for place in places] == numbers


def test_a_checkpoint_has_its_step_tokens_and_loss(solution, tmp_path):
    train(solution, tmp_path / "run")
    checkpoint = read_run(tmp_path / "run").latest_checkpoint()
    position = json.loads((checkpoint.folder / "position.json").read_text())
    last = read_log(tmp_path / "run")[-1]
    assert (position["step"], position["tokens"]) == (12, last["tokens"])
    assert position["record"] == {name: last[name] for name in last if name != "val_loss"}
