"""Everything that a run needs to go on as if it had never stopped, as tensors."""

import json
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.files import read_json
from gpt2_small.model.building import fill
from gpt2_small.runs.folder import WEIGHTS, Checkpoint
from gpt2_small.training.loop import Training

OPTIMIZER = "optimizer.safetensors"
RANDOM = "random.safetensors"
POSITION = "position.json"
POSITION_FORMAT = "gpt2-small-position/1"

# What AdamW keeps of a parameter that ever had a gradient.
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class State:
    """A training's state after a step; its tensors are copies.

    optimizer: by the parameter's name, a slash, and the name of what AdamW keeps of it.
    random: of torch's generators, a row for each process.
    """

    step: int
    tokens: int
    val_loss: float | None
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    random: dict[str, Tensor]

    def files(self) -> dict[str, dict[str, Tensor] | bytes]:
        """What a checkpoint holds besides the weights, by file name."""
        position = {
            "format": POSITION_FORMAT,
            "step": self.step,
            "tokens": self.tokens,
            "val_loss": self.val_loss,
        }
        return {
            OPTIMIZER: self.optimizer,
            RANDOM: self.random,
            POSITION: (json.dumps(position) + "\n").encode(),
        }


def capture(training: Training, val_loss: float | None = None) -> State:
    """A copy, in main memory, of where a training stands. All processes take part.

    The weights and the optimiser are copied by the main process alone.
    """
    random = {name: training.processes.gather(row) for name, row in _generators(training).items()}
    is_main = training.processes.is_main
    return State(
        training.step,
        training.tokens,
        val_loss,
        {name: _copy(value) for name, value in training.model.named_parameters() if is_main},
        {name: _copy(value) for name, value in optimizer_tensors(training).items() if is_main},
        random,
    )


def optimizer_tensors(training: Training) -> dict[str, Tensor]:
    """What AdamW keeps of every parameter that ever had a gradient, by `parameter/name`."""
    return {
        f"{name}/{kept}": value
        for name, parameter in training.model.named_parameters()
        for kept, value in training.optimizer.state.get(parameter, {}).items()
    }


def restore(training: Training, checkpoint: Checkpoint | None) -> None:
    """Bring a new training to a checkpoint that the main process has. All processes take part.

    Random states of processes that there were not then are drawn anew from the seed.

    Raises UserError for a checkpoint that is damaged or belongs to another model.
    """
    processes = training.processes
    saved: dict[str, dict[str, Tensor]] = {OPTIMIZER: {}, RANDOM: {}}

    def read() -> bytes:
        assert checkpoint is not None
        fill(training.model, checkpoint.tensors(WEIGHTS), source=str(checkpoint.folder / WEIGHTS))
        for name in saved:
            saved[name] = checkpoint.tensors(name)
        source = str(checkpoint.folder / OPTIMIZER)
        return json.dumps(
            {
                **read_position(checkpoint),
                "optimised": _optimised(training, saved[OPTIMIZER], source),
                "processes": {name: list(rows.shape) for name, rows in saved[RANDOM].items()},
            }
        ).encode()

    position = json.loads(processes.on_main(read))
    training.step, training.tokens = position["step"], position["tokens"]
    processes.share(training.model.parameters())
    for name, parameter in training.model.named_parameters():
        if name not in position["optimised"]:
            continue
        for kept, tensor in zip(MOMENTS, _empty_moments(parameter), strict=True):
            if processes.is_main:
                tensor.copy_(saved[OPTIMIZER][f"{name}/{kept}"])
            processes.share([tensor])
            training.optimizer.state[parameter][kept] = tensor
    _restore_generators(training, position["processes"], saved[RANDOM])


def read_position(checkpoint: Checkpoint) -> dict[str, Any]:
    """The step, the tokens and the held-out loss of a checkpoint. Raises UserError when damaged."""
    return read_json(checkpoint.file(POSITION), POSITION_FORMAT)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


def _empty_moments(parameter: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.zeros((), device=parameter.device),
        torch.zeros_like(parameter, requires_grad=False),
        torch.zeros_like(parameter, requires_grad=False),
    )


def _optimised(training: Training, optimizer: dict[str, Tensor], source: str) -> list[str]:
    """The parameters of which something is kept; it must be all that AdamW keeps of them."""
    kept = {name.rpartition("/")[0] for name in optimizer}
    names = [name for name, _ in training.model.named_parameters() if name in kept]
    expected = {f"{name}/{moment}" for name in names for moment in MOMENTS}
    wrong = sorted(expected ^ set(optimizer))
    if wrong:
        raise UserError(f"{source} belongs to another model: {', '.join(wrong[:4])} do not match")
    return names


def _generators(training: Training) -> dict[str, Tensor]:
    """The states of torch's own generators in this process."""
    states = {"cpu": torch.get_rng_state()}
    if training.processes.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(training.processes.device)
    return states


def _restore_generators(
    training: Training, shapes: dict[str, list[int]], saved: dict[str, Tensor]
) -> None:
    rank, device = training.processes.rank, training.processes.device
    reseed(training.recipe.seed, training.step, rank)
    for name, shape in shapes.items():
        rows = saved.get(name, torch.zeros(shape, dtype=torch.uint8))
        training.processes.share([rows])
        if rank >= len(rows):
            continue
        if name == "cpu":
            torch.set_rng_state(rows[rank].clone())
        elif device.type == "cuda":
            torch.cuda.set_rng_state(rows[rank].clone(), device)


def reseed(seed: int, step: int, rank: int) -> None:
    """Set torch's own generators to a state of this seed, step and process alone."""
    sequence = torch.Generator().manual_seed(seed)
    for number in (step, rank):
        drawn = torch.randint(2**31, (), generator=sequence).item()
        sequence.manual_seed(int(drawn) + number)
    torch.manual_seed(int(torch.randint(2**31, (), generator=sequence)))
