"""Exchange values, tensors and failures between the processes of a training."""

import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gpt2_small.devices import find_device
from gpt2_small.errors import MachineError, UserError
from gpt2_small.training.distributed.process_group import (
    join,
    losses_as_sentences,
    this_machine,
)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Processes:
    """The process group, seen from one process.

    rank: this process's number, from 0.
    world_size: the number of processes.
    device: this process's device.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that prints, draws and saves."""
        return self.rank == 0

    def distribute(self, model: nn.Module) -> nn.Module:
        """Wrap a model so that gradients are averaged over the processes, if there are several."""
        if self.world_size == 1:
            return model
        if self.device.type == "cuda":
            return DistributedDataParallel(model, device_ids=[self.device])
        parallel = DistributedDataParallel(model)
        _make_first_pass(parallel)
        return parallel

    def sum(self, *values: float) -> list[float]:
        """Each value, summed over the processes."""
        if self.world_size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Broadcast the main process's values of these tensors, in place."""
        if self.world_size > 1:
            for tensor in tensors:
                values = tensor.detach().to(self.device, copy=True).contiguous()
                dist.broadcast(values, src=0)
                tensor.detach().copy_(values)

    def gather(self, row: Tensor) -> Tensor:
        """The rows of all processes, in order of rank; all have the same length."""
        if self.world_size == 1:
            return row[None]
        rows = [torch.empty_like(row, device=self.device) for _ in range(self.world_size)]
        dist.all_gather(rows, row.to(self.device))
        return torch.stack(rows).to(row.device)

    def on_main(self, action: Callable[[], Any]) -> Any:
        """Run an action in the main process, and return its JSON value in every process.

        Raises UserError in every process when the action does, with its message on the main one.
        """
        value, error = None, None
        if self.is_main:
            try:
                value = action()
            except UserError as mistake:
                error = mistake
        if self.world_size == 1:
            if error:
                raise error
            return value
        if any(self.sum(float(error is not None))):
            raise error or UserError("the first process cannot continue")
        content = json.dumps(value).encode() if self.is_main else b""
        length = torch.tensor(len(content))
        self.share([length])
        buffer = torch.zeros(int(length), dtype=torch.uint8)
        if self.is_main:
            buffer[:] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        self.share([buffer])
        return json.loads(buffer.numpy().tobytes())

    def gather_json(self, value: Any) -> list[Any]:
        """The JSON values of all processes, in order of rank."""
        return [json.loads(content) for content in self.gather_bytes(json.dumps(value).encode())]

    def gather_bytes(self, content: bytes) -> list[bytes]:
        """The bytes of all processes, in order of rank."""
        lengths = self.gather(torch.tensor([len(content)]))[:, 0].tolist()
        row = torch.zeros(max(1, *lengths), dtype=torch.uint8)
        row[: len(content)] = torch.tensor(list(content), dtype=torch.uint8)
        rows = self.gather(row)
        return [
            filled[:length].numpy().tobytes() for filled, length in zip(rows, lengths, strict=True)
        ]

    def together(self, action: Callable[[], Result]) -> Result:
        """Run an action in every process, and return this process's result.

        Raises UserError in every process when the action does in one, with the message of the first
        such process.
        """
        failure = b""
        try:
            result = action()
        except UserError as mistake:
            prefix = "" if self.is_main else f"process {self.rank}, on {socket.gethostname()}: "
            failure = f"{prefix}{mistake}".encode()
        for first in filter(None, self.gather_bytes(failure)):
            raise UserError(first.decode())
        return result


def _make_first_pass(parallel: DistributedDataParallel) -> None:
    """Make a throw-away backward pass, so that DistributedDataParallel builds its buckets.

    Its first pass uses buckets in the order of the parameters, later passes in the order in which
    gradients are ready, and the buckets determine the order of summation over three or more
    processes. Without this pass a resumed run would round differently from an uninterrupted one.
    """
    with torch.random.fork_rng(devices=[]):
        parallel.train()(torch.zeros(1, 2, dtype=torch.long)).sum().backward()
    parallel.zero_grad()


@contextmanager
def joined_processes(device: str | None = None) -> Iterator[Processes]:
    """Join the processes that torchrun started, if it did, and leave them at the end.

    device: as for `find_device`; under torchrun, `cuda` means the GPU of the process's local rank.

    Raises MachineError for an unavailable device, and ProcessLost when another process does not
    join or is lost.
    """
    if not dist.is_torchelastic_launched():
        yield Processes(rank=0, world_size=1, device=find_device(device))
        return
    chosen = _own_device(device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    join("nccl" if chosen.type == "cuda" else "gloo")
    try:
        with losses_as_sentences():
            yield Processes(dist.get_rank(), dist.get_world_size(), chosen)
    finally:
        dist.destroy_process_group()


def _own_device(device: str | None) -> torch.device:
    """The device of one of several processes; processes of a machine use different GPUs.

    Raises MachineError for a device that these processes cannot use.
    """
    try:
        chosen = find_device(device)
    except UserError as error:
        raise MachineError(f"{this_machine()}{error}") from error
    if chosen.type == "mps" and int(os.environ["WORLD_SIZE"]) > 1:
        raise MachineError(
            f"{this_machine()}several processes cannot train on mps; give --device cpu, or leave "
            "torchrun out"
        )
    if chosen.type != "cuda":
        return chosen
    processes, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if chosen.index is not None and processes > 1:
        raise MachineError(
            f"{this_machine()}--device is {chosen}, but each of the {processes} processes here "
            "needs its own GPU; give --device cuda"
        )
    if processes > gpus:
        raise MachineError(
            f"{this_machine()}torchrun started {processes} processes here, but there are {gpus} "
            f"GPUs; give --nproc-per-node {gpus}, or --device cpu"
        )
    index = int(os.environ["LOCAL_RANK"]) if chosen.index is None else chosen.index
    return torch.device("cuda", index)
