"""Estimate a step's time on several GPUs, with the time of exchanging gradients.

Each GPU computes its share of the batch, then all average their gradients: a ring all-reduce sends
2 (n - 1) / n times the gradients' bytes through every GPU and the link of every machine (Patarasuk
and Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations").
DistributedDataParallel overlaps the exchange with the backward pass (Li et al. 2020, "PyTorch
Distributed: Experiences on Accelerating Data Parallel Training", section 3.2.3), in the last
micro-batch of a step only. The embeddings' gradients, which are computed last, are not overlapped.
Latency is ignored.
"""

from dataclasses import dataclass

from gpt2_small.model_protocol import Config
from gpt2_small.planning.flops import (
    FORWARDS_IN_A_STEP,
    embedding_parameters,
    parameter_count,
    training_flops,
)
from gpt2_small.planning.memory import FLOAT32_BYTES

# The fraction of a link's rate that a long all-reduce reaches: a conservative assumption.
LINK_SHARE = 0.8
# Below this efficiency a GPU waits longer than it computes.
WORTH_IT = 0.5


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Equal machines with equal GPUs.

    gpus: in a machine.
    rate: the expected FLOP/s of a GPU.
    link_within: bytes per second one way between the GPUs of a machine; None ignores that traffic.
    link_between: bytes per second one way between machines.
    """

    gpus: int
    rate: float
    link_within: float | None
    link_between: float


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """A step on this many GPUs, in seconds.

    compute: without the exchange.
    exchange: of the gradients, alone.
    waiting: the part of the exchange that does not overlap with the backward pass.
    """

    gpus: int
    compute: float
    exchange: float
    waiting: float

    @property
    def seconds(self) -> float:
        return self.compute + self.waiting

    @property
    def efficiency(self) -> float:
        """The fraction of the time in which the GPUs compute."""
        return self.compute / self.seconds

    @property
    def efficiency_without_overlap(self) -> float:
        """The efficiency if the exchange started after the backward pass."""
        return self.compute / (self.compute + self.exchange)


def all_reduce_bytes(config: Config, gpus: int, *, parameters: int | None = None) -> float:
    """The bytes that every GPU sends and receives in a ring all-reduce of float32 gradients."""
    count = parameter_count(config) if parameters is None else parameters
    return 2 * (gpus - 1) / gpus * FLOAT32_BYTES * count


def slowest_link(cluster: Cluster, gpus: int) -> float | None:
    """The bytes per second of the slowest link of a ring of so many GPUs; None if unknown."""
    links = [cluster.link_within if min(gpus, cluster.gpus) > 1 else None]
    if gpus > cluster.gpus:
        links.append(cluster.link_between)
    known = [link for link in links if link is not None]
    return LINK_SHARE * min(known) if known else None


def step_time(
    config: Config, cluster: Cluster, *, gpus: int, sequences: int, micro_steps: int
) -> StepTime:
    """The time of a step over so many sequences, in so many micro-batches on every GPU."""
    compute = training_flops(config) * config.n_ctx * sequences / (gpus * cluster.rate)
    link = slowest_link(cluster, gpus)
    if link is None:
        return StepTime(gpus=gpus, compute=compute, exchange=0.0, waiting=0.0)
    exchange = all_reduce_bytes(config, gpus) / link
    last = all_reduce_bytes(config, gpus, parameters=embedding_parameters(config)) / link
    backward = compute / micro_steps * (FORWARDS_IN_A_STEP - 1) / FORWARDS_IN_A_STEP
    waiting = max(exchange - last - backward, 0.0) + last
    return StepTime(gpus=gpus, compute=compute, exchange=exchange, waiting=waiting)
