"""Capture and restore the state of a training: weights, optimiser, random states."""

import json
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.files.json_files import read_json
from gpt2_small.model.building import fill
from gpt2_small.runs.checkpoint_folders import WEIGHTS, Checkpoint
from gpt2_small.runs.log import finite
from gpt2_small.training.loop import Training
from gpt2_small.training.step_record import RunRecord

OPTIMIZER = "optimizer.safetensors"
RANDOM = "random.safetensors"
POSITION = "position.json"
POSITION_FORMAT = "gpt2-small-position/1"

# AdamW's state tensors for each updated parameter.
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class TrainingState:
    """A training's state after a step; its tensors are copies.

    record: the step's record, without its evaluation.
    is_evaluated: whether the run evaluates after the step.
    optimizer: AdamW's tensors, by `PARAMETER/TENSOR`.
    random: states of torch's generators, a row for each process.
    loss_scale: the scale of float16, and the steps since it changed.
    """

    record: RunRecord
    is_evaluated: bool
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    random: dict[str, Tensor]
    loss_scale: tuple[float, int]

    @property
    def step(self) -> int:
        return self.record.step

    def files(self) -> dict[str, dict[str, Tensor] | bytes]:
        """The files of a checkpoint besides the weights, by name."""
        position = {
            "format": POSITION_FORMAT,
            "step": self.record.step,
            "tokens": self.record.tokens,
            "record": finite(self.record.as_json()),
            "is_evaluated": self.is_evaluated,
            "loss_scale": list(self.loss_scale),
        }
        return {
            OPTIMIZER: self.optimizer,
            RANDOM: self.random,
            POSITION: (json.dumps(position) + "\n").encode(),
        }


def capture(training: Training, record: RunRecord, is_evaluated: bool) -> TrainingState:
    """Copy a training's state to main memory. All processes take part.

    The main process alone copies weights and optimiser.
    """
    random = {name: training.processes.gather(row) for name, row in _generators(training).items()}
    is_main = training.processes.is_main
    return TrainingState(
        record,
        is_evaluated,
        {name: _copy(value) for name, value in training.model.named_parameters() if is_main},
        {name: _copy(value) for name, value in optimizer_tensors(training).items() if is_main},
        random,
        (training.guard.scale, training.guard.good_steps),
    )


def optimizer_tensors(training: Training) -> dict[str, Tensor]:
    """AdamW's tensors of every updated parameter, by `PARAMETER/TENSOR`."""
    return {
        f"{name}/{moment}": value
        for name, parameter in training.model.named_parameters()
        for moment, value in training.optimizer.state.get(parameter, {}).items()
    }


def restore(training: Training, checkpoint: Checkpoint | None) -> None:
    """Restore a training from a checkpoint that the main process reads. All processes take part.

    Additional processes get random states derived from the seed.

    Raises UserError for a checkpoint that is damaged or belongs to another model.
    """
    processes = training.processes
    saved: dict[str, dict[str, Tensor]] = {OPTIMIZER: {}, RANDOM: {}}

    def read() -> dict[str, Any]:
        assert checkpoint is not None
        fill(training.model, checkpoint.tensors(WEIGHTS), source=str(checkpoint.folder / WEIGHTS))
        for name in saved:
            saved[name] = checkpoint.tensors(name)
        source = str(checkpoint.folder / OPTIMIZER)
        return {
            **read_position(checkpoint),
            "optimised": _optimised(training, saved[OPTIMIZER], source),
            "processes": {name: list(rows.shape) for name, rows in saved[RANDOM].items()},
        }

    position = processes.on_main(read)
    training.step, training.tokens = position["step"], position["tokens"]
    if "loss_scale" in position:
        training.guard.scale, training.guard.good_steps = position["loss_scale"]
    processes.share(training.model.parameters())
    for name, parameter in training.model.named_parameters():
        if name not in position["optimised"]:
            continue
        for moment, tensor in zip(MOMENTS, _empty_moments(parameter), strict=True):
            if processes.is_main:
                tensor.copy_(saved[OPTIMIZER][f"{name}/{moment}"])
            processes.share([tensor])
            training.optimizer.state[parameter][moment] = tensor
    _restore_generators(training, position["processes"], saved[RANDOM])


def read_position(checkpoint: Checkpoint) -> dict[str, Any]:
    """Read a checkpoint's step and tokens. Raises UserError when they are damaged."""
    position = read_json(checkpoint.file(POSITION), POSITION_FORMAT)
    for name in ("step", "tokens"):
        if type(position.get(name)) is not int:
            raise UserError(
                f"{checkpoint.folder / POSITION} is damaged, its {name!r} is not a number"
            )
    return position


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


def _empty_moments(parameter: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.zeros((), device=parameter.device),
        torch.zeros_like(parameter, requires_grad=False),
        torch.zeros_like(parameter, requires_grad=False),
    )


def _optimised(training: Training, optimizer: dict[str, Tensor], source: str) -> list[str]:
    """The names of the parameters with AdamW state, each of which must be complete."""
    saved = {name.rpartition("/")[0] for name in optimizer}
    names = [name for name, _ in training.model.named_parameters() if name in saved]
    expected = {f"{name}/{moment}" for name in names for moment in MOMENTS}
    wrong = sorted(expected ^ set(optimizer))
    if wrong:
        raise UserError(f"{source} belongs to another model: {', '.join(wrong[:4])} do not match")
    return names


def _generators(training: Training) -> dict[str, Tensor]:
    """The states of torch's generators in this process."""
    device = training.processes.device
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
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
        elif name == device.type == "cuda":
            torch.cuda.set_rng_state(rows[rank].clone(), device)
        elif name == device.type == "mps":
            torch.mps.set_rng_state(rows[rank].clone())


def reseed(seed: int, step: int, rank: int) -> None:
    """Seed torch's generators by seed, step and process."""
    sequence = torch.Generator().manual_seed(seed)
    for number in (step, rank):
        drawn = torch.randint(2**31, (), generator=sequence).item()
        sequence.manual_seed(int(drawn) + number)
    torch.manual_seed(int(torch.randint(2**31, (), generator=sequence)))
