"""Print a process's growth in bytes during training; test_planned_memory runs it (Linux)."""

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import HashStore

import gpt2_small
from gpt2_small import binding
from gpt2_small.model.twin import FastTransformer
from gpt2_small.training.distributed import Processes

WANTED = json.loads(os.environ["GROWTH"])
# DistributedDataParallel rebuilds its buckets after the first step, and fills them in the second.
STEPS = 3 if WANTED["processes"] > 1 else 2


def held(kind: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(kind))


def train(shape: dict[str, Any], batch: int) -> None:
    """A few steps of two micro-batches."""
    config = gpt2_small.TransformerConfig(**shape)
    model = gpt2_small.Transformer(config)
    groups = binding.bound().parameter_groups(model, weight_decay=0.1)
    optimizer = torch.optim.AdamW(groups, lr=1e-4, fused=True)
    processes = Processes(rank=0, world_size=WANTED["processes"], device=torch.device("cpu"))
    twin = processes.distribute(FastTransformer(model))

    def loss(twin: nn.Module, windows: Tensor) -> Any:
        low = WANTED["dtype"] == "bfloat16"
        with torch.autocast("cpu", torch.bfloat16) if low else nullcontext():
            return twin(windows)

    for _ in range(STEPS):
        windows = [torch.randint(config.d_vocab, (batch, config.n_ctx + 1)) for _ in range(2)]
        gpt2_small.train_step(twin, windows, optimizer, loss=loss)


torch.set_num_threads(1)
# One process that acts as one of several has the memory of each.
dist.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
# The first step allocates the libraries' own memory.
train({"d_model": 16, "n_layers": 1, "n_heads": 1, "n_ctx": 16, "d_vocab": 32}, batch=2)
before = held("VmRSS")
train(WANTED["shape"], WANTED["batch"])
print(held("VmHWM") - before)
dist.destroy_process_group()
