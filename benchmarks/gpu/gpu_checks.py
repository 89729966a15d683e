"""Check parity, decoding and resume on one GPU."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from benchmark_sizes import Bench
from measuring import show
from peer_models import SHAPES, reference
from safetensors.torch import load_file
from torch import Tensor

import gpt2_small
from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.model.cached_decoder import CachedDecoder
from gpt2_small.model.packed_weights import PackedTransformer
from gpt2_small.model.twin import FastTransformer
from gpt2_small.runs import read_log
from gpt2_small.training.distributed import Processes
from gpt2_small.training.recipes.training_presets import training_preset
from gpt2_small.training.run_loop import train_run
from gpt2_small.training.session import open_run

# The twin's error against float64 may be this multiple of solution.py's in the same dtype; errors
# below the floor count as equal.
PARITY_FACTOR, PARITY_FLOOR = 3.0, 1e-6
# Difference between a CUDA graph and the plain step, relative to the largest logit: kernels for
# other cache sizes sum in another order.
GRAPH_TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}
# Relative difference of the loss after a killed and resumed run: attention's backward pass on a GPU
# sums in no fixed order.
RESUME_TOLERANCE = 0.02

# Training runs in another process, which can be killed.
PROGRAM = Path(__file__).with_name("on_gpu.py")


def parity(bench: Bench) -> dict[str, Any]:
    """Compare loss and gradients of solution.py and its twin, compiled and not, with float64."""
    model = reference(SHAPES["tiny"]).to(bench.device)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    config = model.config
    batch = torch.randint(config.d_vocab, (4, config.n_ctx + 1), device=bench.device)
    truth = gradients(model.double(), partial(plain_loss, model), batch, None)
    model.float()
    twin = FastTransformer(model)
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "solution.py": partial(plain_loss, model),
        "twin": twin,
        "twin, compiled": torch.compile(twin, backend="aot_eager" if bench.is_tiny else "inductor"),
    }
    rows, holds = [], True
    for name in ("float32", "bfloat16"):
        errors = {
            way: distance(gradients(model, loss, batch, getattr(torch, name)), truth)
            for way, loss in ways.items()
        }
        allowed = max(PARITY_FLOOR, PARITY_FACTOR * errors["solution.py"])
        holds &= all(error <= allowed for error in errors.values())
        rows.append({"type": name, **{way: f"{error:.1e}" for way, error in errors.items()}})
    show("Relative error of loss and gradients against float64", rows)
    return {"holds": holds, "table": rows}


def plain_loss(model: Any, batch: Tensor) -> Tensor:
    loss: Tensor = gpt2_small.next_token_loss(model(batch[:, :-1]), batch)
    return loss


def gradients(
    model: Any, loss: Callable[[Tensor], Tensor], batch: Tensor, dtype: torch.dtype | None
) -> list[Tensor]:
    """Return the loss and every gradient, in float64."""
    model.zero_grad(set_to_none=True)
    is_low = dtype not in (None, torch.float32)
    with torch.autocast(batch.device.type, dtype or torch.float32, enabled=is_low):
        value = loss(batch)
    value.backward()
    return [value.detach().double(), *(p.grad.double() for p in model.parameters())]


def distance(found: list[Tensor], truth: list[Tensor]) -> float:
    """Return the largest L2 distance of any tensor, relative to its norm.

    A tensor whose norm is below a hundredth of the largest is divided by that: the gradient of b_K
    is 0 up to rounding.
    """
    least = 0.01 * max(tensor.norm() for tensor in truth)
    return max(
        float((a - b).norm() / torch.maximum(b.norm(), least))
        for a, b in zip(found, truth, strict=True)
    )


def decoding(bench: Bench) -> dict[str, Any]:
    """Compare a decoder's steps (graphs on CUDA) with solution.py on the whole row."""
    sizes, holds = bench.sizes, True
    rows: list[dict[str, Any]] = []
    model = reference(SHAPES["tiny"]).to(bench.device).eval()
    prompt = min(sizes.prompt, model.config.n_ctx // 4)
    prompts = torch.randint(model.config.d_vocab, (2, prompt), device=bench.device)
    steps = min(sizes.new_tokens, model.config.n_ctx - prompt)
    for name, tolerance in GRAPH_TOLERANCE.items():
        decoder = CachedDecoder(PackedTransformer(model, dtype=getattr(torch, name)))
        logits, tokens, differences = decoder.prefill(prompts), prompts, []
        for _ in range(steps):
            with torch.no_grad():
                expected = model(tokens)[:, -1]
            differences.append((logits - expected).abs().max() / expected.abs().max())
            new = expected.argmax(dim=-1)
            tokens = torch.cat([tokens, new[:, None]], dim=1)
            logits = decoder.step(new)
        apart = torch.stack(differences).max().item()
        holds &= apart <= tolerance
        row = {"type": name, "steps": steps, "apart": f"{apart:.1e}", "allowed": f"{tolerance:.0e}"}
        rows.append(row)
    show("Decoder's logits against solution.py, of the largest", rows)
    return {"holds": holds, "table": rows}


def resume(bench: Bench) -> dict[str, Any]:
    """Compare a run that is killed and resumed with one that is not."""
    whole, parts = bench.scratch / "whole", bench.scratch / "parts"
    train_in_a_process(bench, whole)
    killed_at = train_in_a_process(bench, parts, kill=True)
    train_in_a_process(bench, parts)
    steps = bench.sizes.resume_steps
    weights = [
        load_file(run / f"checkpoints/step-{steps}/model.safetensors") for run in (whole, parts)
    ]
    apart = max((weights[0][name] - weights[1][name]).abs().max().item() for name in weights[0])
    logs = [read_log(run) for run in (whole, parts)]
    losses = [log[-1]["val_loss"] for log in logs]
    has_all = all([record["step"] for record in log] == list(range(1, steps + 1)) for log in logs)
    row = {
        "killed at step": killed_at,
        "same bits": apart == 0.0,
        "weights apart": f"{apart:.1e}",
        "loss": f"{losses[0]:.4f}",
        "resumed": f"{losses[1]:.4f}",
    }
    show("A run that is killed and resumed", [row])
    holds = has_all and abs(losses[0] - losses[1]) <= RESUME_TOLERANCE
    return {"holds": holds and 0 < killed_at < steps, "table": [row]}


def train_in_a_process(bench: Bench, run: Path, *, kill: bool = False) -> int:
    """Train a small run in a process, optionally kill it half-way, and return its last step."""
    command = [sys.executable, str(PROGRAM), "--train", str(run), "--device", bench.device]
    command += ["--steps", str(bench.sizes.resume_steps)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    step = 0
    for line in process.stdout:
        step = int(line)
        if kill and step > bench.sizes.resume_steps // 2:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    if not kill and process.returncode:
        raise UserError(f"a training process ended with exit code {process.returncode}")
    return step


def train_small(arguments: argparse.Namespace) -> None:
    """Train in this process, and print each step after it is logged."""
    changes = {
        "data": str(binding.reference_path()),
        "max_steps": arguments.steps,
        "evaluate_every": arguments.steps,
        "checkpoint_every": 5,
        "warmup_steps": 5,
        "dtype": "bfloat16" if arguments.device == "cuda" else "float32",
        "compile": False,
        **dict(d_model=64, n_layers=2, n_heads=4, n_ctx=32, dropout=0.1),
    }
    processes = Processes(0, 1, torch.device(arguments.device))
    preset = training_preset("characters")
    with open_run(binding.bound(), arguments.train, preset, changes, processes, resume=True) as run:
        for record in train_run(run):
            print(record.step, flush=True)
