"""Programs that a test injects into a training process before it runs."""

from pathlib import Path


def stay(step: int, gate: Path, rank: int = 0) -> str:
    """One process stays before a step, counted from 1, until there is a file of this name."""
    return f"""
import time
from pathlib import Path
from gpt2_small.training.loop import Training

whole = Training._micro_batches

def staying(training, step):
    here = (step, training.processes.rank) == ({step - 1}, {rank})
    while here and not Path({str(gate)!r}).exists():
        time.sleep(0.002)
    return whole(training, step)

Training._micro_batches = staying
"""


def spoil(step: int, rank: int, loss: str) -> str:
    """One process's loss of a step, counted from 1, is what a program makes of `loss`.

    Every process notes the updates of its weights in a file beside its run. The processes do not
    mind that torchrun ends them when one has ended, so that each comes to its own end.
    """
    return f"""
import signal, sys, torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
from gpt2_small.training.loop import Training
from gpt2_small.training.step.objective import Objective

signal.signal(signal.SIGTERM, signal.SIG_IGN)
whole_batches, whole_loss = Training._micro_batches, Objective.loss

def batches(training, step):
    training.spoilt = (step, training.processes.rank) == ({step - 1}, {rank})
    Training.now = training
    return whole_batches(training, step)

def spoiling(objective, module, batch):
    loss = whole_loss(objective, module, batch)
    if torch.is_grad_enabled() and Training.now.spoilt:
        {loss}
    return loss

def note(optimizer, *_):
    out = sys.argv[sys.argv.index("--out") + 1]
    with open(out + f".updates-{{Training.now.processes.rank}}", "a") as file:
        file.write("update\\n")

Training._micro_batches, Objective.loss = batches, spoiling
register_optimizer_step_pre_hook(note)
"""


# Every process writes down what it trains on, by step and rank.
NOTE_BATCHES = """
import json, sys
from gpt2_small.training.loop import Training

whole = Training._micro_batches

def noting(training, step):
    batches = whole(training, step)
    out = sys.argv[sys.argv.index("--out") + 1]
    rank = training.processes.rank
    with open(out + f".batches-{rank}", "a") as file:
        tokens = [window for batch in batches for window in batch.tolist()]
        file.write(json.dumps({"step": step, "rank": rank, "tokens": tokens}) + "\\n")
    return batches

Training._micro_batches = noting
"""


# Whatever would turn an object into bytes to send or keep it, or bytes into an object, fails.
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
