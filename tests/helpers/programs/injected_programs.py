"""Define programs that tests run in a training process before it trains."""

from pathlib import Path


def block_before_step(step: int, gate: Path, rank: int = 0) -> str:
    """Return a program that blocks one process before a step (from 1) until the file exists."""
    return f"""
import time
from pathlib import Path
from gpt2_small.training.loop import Training

original = Training._micro_batches

def blocked_batches(training, step):
    here = (step, training.processes.rank) == ({step - 1}, {rank})
    while here and not Path({str(gate)!r}).exists():
        time.sleep(0.002)
    return original(training, step)

Training._micro_batches = blocked_batches
"""


def replace_loss(step: int, rank: int, loss: str) -> str:
    """Replace one process's loss in a step, counted from 1, by code that changes `loss`.

    Every process logs its updates of the weights in a file beside its run. The processes ignore
    torchrun's SIGTERM after another has ended, so that each exits by itself.
    """
    return f"""
import signal, sys, torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
from gpt2_small.training.loop import Training
from gpt2_small.training.step.objective import Objective

signal.signal(signal.SIGTERM, signal.SIG_IGN)
original_batches, original_loss = Training._micro_batches, Objective.loss

def batches(training, step):
    training.spoilt = (step, training.processes.rank) == ({step - 1}, {rank})
    Training.now = training
    return original_batches(training, step)

def replaced_loss(objective, module, batch):
    loss = original_loss(objective, module, batch)
    if torch.is_grad_enabled() and Training.now.spoilt:
        {loss}
    return loss

def note(optimizer, *_):
    out = sys.argv[sys.argv.index("--out") + 1]
    with open(out + f".updates-{{Training.now.processes.rank}}", "a") as file:
        file.write("update\\n")

Training._micro_batches, Objective.loss = batches, replaced_loss
register_optimizer_step_pre_hook(note)
"""


# Every process logs its batches by step and rank.
NOTE_BATCHES = """
import json, sys
from gpt2_small.training.loop import Training

original = Training._micro_batches

def noted_batches(training, step):
    batches = original(training, step)
    out = sys.argv[sys.argv.index("--out") + 1]
    rank = training.processes.rank
    with open(out + f".batches-{rank}", "a") as file:
        tokens = [window for batch in batches for window in batch.tolist()]
        file.write(json.dumps({"step": step, "rank": rank, "tokens": tokens}) + "\\n")
    return batches

Training._micro_batches = noted_batches
"""


# Every use of pickle raises.
PICKLE_NOTHING = """
import pickle, torch
from torch.distributed import distributed_c10d

def refuse(*_, **__):
    raise AssertionError("something was pickled")

for name in ("load", "loads", "dump", "dumps", "Pickler", "Unpickler"):
    setattr(pickle, name, refuse)
torch.load = torch.save = refuse
distributed_c10d._object_to_tensor = distributed_c10d._tensor_to_object = refuse
distributed_c10d._pickler = distributed_c10d._unpickler = refuse
"""
