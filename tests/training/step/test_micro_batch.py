"""Test the choice of the micro-batch, and the error for too little memory."""

from dataclasses import replace

import pytest
import torch
from small_runs import ALONE, play, train

import gpt2_small
from gpt2_small.errors import UserError
from gpt2_small.planning.memory import MemorySetting, fixed_bytes, memory_of
from gpt2_small.training.distributed import Processes
from gpt2_small.training.loop import Training
from gpt2_small.training.recipes.training_presets import training_preset
from gpt2_small.training.step import micro_batch_size as fitting
from gpt2_small.training.step.micro_batch_size import check_possible, fitted, largest_fit

FINEWEB = training_preset("gpt2-fineweb")
GPT2 = gpt2_small.TransformerConfig(**FINEWEB.model)
GPU = Processes(rank=0, world_size=1, device=torch.device("cuda"))


@pytest.fixture
def memory(monkeypatch):
    """Return a function that sets the device's memory in GB."""

    def set_memory(gigabytes):
        monkeypatch.setattr(fitting, "memory_of_device", lambda device: 1e9 * gigabytes)

    return set_memory


@pytest.mark.parametrize(("gigabytes", "windows"), [(24, 32), (80, 64), (16, 16)])
def test_the_default_micro_batch_fits_the_gpu_and_does_not_change_the_batch(
    memory, gigabytes, windows
):
    memory(gigabytes)
    recipe, remarks = fitted(FINEWEB.recipe, GPT2, GPU, is_twin=True)
    assert (recipe.micro_batch_size, recipe.batch_size, remarks) == (windows, 512, ())
    memory_limit = fitting.usable_memory(GPU.device)
    setting = dict(dtype="bfloat16", on_cpu=False, is_distributed=False)
    assert memory_of(GPT2, MemorySetting(**setting), windows).total <= memory_limit


def test_a_given_micro_batch_is_used_with_a_remark_if_it_may_not_fit(memory):
    memory(24)
    asked = replace(FINEWEB.recipe, micro_batch_size=64)
    recipe, [remark] = fitted(asked, GPT2, GPU, is_twin=True)
    assert recipe.micro_batch_size == 64
    assert "--micro-batch-size is 64, but by the planner's estimate " in remark
    assert remark.endswith("give 32")


def test_without_the_twin_a_micro_batch_has_fewer_windows(memory):
    memory(24)
    twin, file = (
        largest_fit(FINEWEB.recipe, GPT2, GPU, fitting.usable_memory(GPU.device), is_twin=is_twin)
        for is_twin in (True, False)
    )
    assert file < twin / 2


def test_a_small_run_on_a_cpu_takes_its_share_at_once(solution, tmp_path):
    train(solution, tmp_path / "run", last=1)
    recipe, _ = fitted(training_preset("shakespeare-cpu").recipe, GPT2, ALONE, is_twin=True)
    assert training_preset("shakespeare").recipe.batch_size * 256 <= 2**14
    assert recipe.micro_batch_size is not None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"d_model": 10**9, "n_heads": 1}, "the model's weights, gradients and optimiser take"),
        ({"n_layers": 10**9}, "the model's weights, gradients and optimiser take"),
        ({"batch_size": 10**12}, "--batch-size is 1000000000000, whose tokens take"),
    ],
)
def test_a_model_or_a_batch_that_can_never_fit_is_refused_before_it_is_built(
    solution, tmp_path, changes, sentence
):
    with pytest.raises(UserError, match=sentence):
        train(solution, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_the_fixed_memory_is_at_most_that_of_the_plan():
    setting = MemorySetting(dtype="float32", on_cpu=True, is_distributed=False)
    assert fixed_bytes(GPT2) < memory_of(GPT2, setting, 1).total
    check_possible(GPT2, replace(FINEWEB.recipe, batch_size=8), ALONE)


def out_of_memory(device):
    if device == "cuda":
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    try:
        torch.empty(2**58)
    except RuntimeError as error:
        return error
    raise AssertionError("there was memory")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("size", [4, 1])
def test_too_little_memory_in_a_step_is_reported_in_one_sentence_with_the_way_out(
    solution, tmp_path, monkeypatch, device, size
):
    error = out_of_memory(device)

    def exhausted(*_):
        raise error

    monkeypatch.setattr(Training, "_micro_batches", exhausted)
    way = "give --micro-batch-size 2" if size == 4 else "give --set recompute=true"
    with pytest.raises(UserError, match=f"is out of memory with {size} windows in .*; {way}"):
        train(solution, tmp_path / "run", micro_batch_size=size, data=str(play(tmp_path)))


def test_another_error_of_torch_is_not_reworded(solution, tmp_path, monkeypatch):
    def mistaken(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Training, "_micro_batches", mistaken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(solution, tmp_path / "run", data=str(play(tmp_path)))
