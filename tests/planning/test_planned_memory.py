"""Test the planner's memory against autograd's and a training process's."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from gpu_path import the_way_of_a_gpu
from processes import ROOT, printed_by

import gpt2_small
from gpt2_small import preset
from gpt2_small.kernels import attention
from gpt2_small.model import twin as fast
from gpt2_small.model.twin import FastTransformer
from gpt2_small.planning.memory import (
    MemorySetting,
    activation_bytes,
    copied_bytes,
    largest_micro_batch,
    memory_of,
)
from gpt2_small.training.distributed import Processes

# Relative tolerance: the formula counts all tensors but a window's last token, and b_U.
COUNTED = 0.002
# Relative tolerance of a plan.
PROMISED = 0.1

SHAPES = {
    "tied": dict(d_model=64, n_layers=3, n_heads=4, n_ctx=48, d_vocab=300),
    "untied": dict(d_model=96, n_layers=2, n_heads=3, n_ctx=32, d_vocab=500, tied_embeddings=False),
    "thin": dict(d_model=64, n_layers=2, n_heads=8, d_mlp=80, n_ctx=64, d_vocab=100),
    "wide": dict(d_model=64, n_layers=2, n_heads=4, d_mlp=1040, n_ctx=32, d_vocab=100),
    "long": dict(d_model=64, n_layers=2, n_heads=4, n_ctx=260, d_vocab=100),
}
MEDIUM = dict(d_model=512, n_layers=8, n_heads=8, n_ctx=512, d_vocab=8000)
DTYPES = ("float32", "bfloat16")
BATCH = 5
# Freeing DDP would free gloo's process group; it holds the GIL while it waits for a thread that may
# wait for the GIL.
NEVER_FREED: list[torch.nn.Module] = []


def setting(dtype="bfloat16", on_cpu=True, is_distributed=False):
    return MemorySetting(dtype=dtype, on_cpu=on_cpu, is_distributed=is_distributed)


def autocast(dtype):
    return torch.autocast("cpu", torch.bfloat16) if dtype == "bfloat16" else nullcontext()


def kept_bytes(config, dtype, *, wrap=lambda twin: twin):
    """Return the bytes that autograd saves in the twin's forward pass, without parameters."""
    model = gpt2_small.Transformer(config).train()
    run = wrap(FastTransformer(model, positions_per_chunk=8192))
    parameters = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = tensor, storage.nbytes()
        return tensor

    batch = torch.randint(config.d_vocab, (BATCH, config.n_ctx + 1))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast(dtype):
        run(batch)
    return sum(size for _, size in kept.values())


def planned_bytes(config, where):
    """Return the same by the formulas: activations, copies, and the loss's gradients."""
    positions = BATCH * config.n_ctx
    gradients = 4 * config.d_model * (config.d_vocab + positions)
    copies = copied_bytes(config, where, positions)
    return positions * activation_bytes(config, where) + copies + gradients


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_autograd_saves_the_planned_bytes_on_a_cpu(shape, dtype):
    config = gpt2_small.TransformerConfig(**SHAPES[shape])
    planned = planned_bytes(config, setting(dtype))
    assert kept_bytes(config, dtype) == pytest.approx(planned, rel=COUNTED)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_autograd_saves_the_planned_bytes_on_the_gpu_path(shape, dtype, monkeypatch):
    config = gpt2_small.TransformerConfig(**SHAPES[shape])
    planned = planned_bytes(config, setting(dtype, on_cpu=False))
    with the_way_of_a_gpu(monkeypatch):
        assert kept_bytes(config, dtype) == pytest.approx(planned, rel=COUNTED)


@pytest.mark.parametrize("dtype", DTYPES)
def test_with_dropout_autograd_saves_the_noise_and_on_a_cpu_the_pattern(dtype):
    config = gpt2_small.TransformerConfig(**SHAPES["tied"], dropout=0.1)
    planned = planned_bytes(config, setting(dtype))
    assert kept_bytes(config, dtype) == pytest.approx(planned, rel=COUNTED)


def test_one_more_saved_activation_is_detected(monkeypatch):
    config, original = gpt2_small.TransformerConfig(**SHAPES["tied"]), fast.mlp
    monkeypatch.setattr(fast, "mlp", lambda part, residual: original(part, residual.exp().log()))
    planned = planned_bytes(config, setting("float32"))
    assert kept_bytes(config, "float32") != pytest.approx(planned, rel=COUNTED)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_compiled_twin_saves_the_planned_bytes(dtype, monkeypatch):
    from torch._inductor.compile_fx import compile_fx

    def split_only(graph, inputs):
        return compile_fx(graph, inputs, inner_compile=lambda part, _, **__: part)

    def compiled(twin):
        return torch.compile(twin, backend=split_only)

    monkeypatch.setattr(attention, "attends_in_full", lambda device: False)
    config = gpt2_small.TransformerConfig(**SHAPES["tied"])
    planned = planned_bytes(config, setting(dtype, on_cpu=False))
    assert kept_bytes(config, dtype, wrap=compiled) == pytest.approx(planned, rel=PROMISED)


def test_weights_gradients_and_moments_take_the_planned_memory():
    config = gpt2_small.TransformerConfig(**SHAPES["untied"])
    model = gpt2_small.Transformer(config)
    optimizer = torch.optim.AdamW(model.parameters())
    FastTransformer(model)(torch.randint(config.d_vocab, (2, 9))).backward()
    optimizer.step()
    planned = memory_of(config, setting(), micro_batch=1)

    def total(tensors):
        return sum(tensor.nbytes for tensor in tensors if tensor.dim())

    assert planned.weights == total(model.parameters())
    assert planned.gradients == total(weight.grad for weight in model.parameters())
    moments = (tensor for state in optimizer.state.values() for tensor in state.values())
    assert planned.optimiser == total(moments)


def test_distributed_data_parallel_has_buckets_beside_the_gradients():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        processes = Processes(rank=0, world_size=2, device=torch.device("cpu"))
        wrapped = processes.distribute(torch.nn.Embedding(2, 2))
        NEVER_FREED.append(wrapped)
    finally:
        dist.destroy_process_group()
    config = gpt2_small.TransformerConfig(**SHAPES["tied"])
    shared = memory_of(config, setting(is_distributed=True), micro_batch=1)
    assert shared.buckets == (0 if wrapped.gradient_as_bucket_view else shared.gradients)
    assert memory_of(config, setting(), micro_batch=1).buckets == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads how far a process grew from /proc")
@pytest.mark.parametrize(
    ("shape", "batch", "dtype", "processes"),
    [
        (MEDIUM, 4, "float32", 1),
        (MEDIUM, 4, "bfloat16", 1),
        (MEDIUM, 4, "bfloat16", 2),
        ({}, 1, "bfloat16", 1),
    ],
    ids=["float32", "bfloat16", "bfloat16 of two processes", "GPT-2 small"],
)
def test_a_training_process_grows_by_the_planned_memory(shape, batch, dtype, processes, tmp_path):
    where = setting(dtype, is_distributed=processes > 1)
    planned = memory_of(gpt2_small.TransformerConfig(**shape), where, batch).total
    wanted = {"shape": shape, "batch": batch, "dtype": dtype, "processes": processes}
    grown = printed_by(
        Path(__file__).with_name("training_memory.py").read_text(),
        cwd=tmp_path,
        fresh=True,
        PYTHONPATH=str(ROOT),
        GROWTH=json.dumps(wanted),
        # Otherwise malloc keeps freed memory between allocations in use.
        MALLOC_MMAP_THRESHOLD_="65536",
    )
    assert int(grown) == pytest.approx(planned, rel=PROMISED)


@pytest.mark.parametrize("on_cpu", [True, False])
def test_the_largest_micro_batch_fits_and_one_window_more_does_not(on_cpu):
    config, where = preset("gpt2"), setting(on_cpu=on_cpu)
    size = largest_micro_batch(config, where, memory=20e9)
    assert size > 1
    assert memory_of(config, where, size).total <= 20e9 < memory_of(config, where, size + 1).total


def test_without_memory_for_the_weights_no_micro_batch_fits():
    assert largest_micro_batch(preset("gpt2-xl"), setting(), memory=16e9) == 0


def test_the_references_two_gradients_of_a_tied_weight_are_added_in_place():
    """Out of place this needs another tensor in every step, 154 MB for GPT-2 small."""
    model = gpt2_small.Transformer(gpt2_small.TransformerConfig(**SHAPES["tied"]))
    shape = list(model.embed.W_E.shape)
    with torch.profiler.profile(record_shapes=True) as profile:
        tokens = torch.randint(shape[0], (2, 9))
        gpt2_small.next_token_loss(model(tokens), tokens).backward()
    sums = {event.name for event in profile.events() if event.input_shapes[:2] == [shape, shape]}
    assert sums == {"aten::add_"}
