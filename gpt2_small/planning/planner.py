"""Plan a training run: its cost, its memory, and its scaling over GPUs."""

from functools import cached_property

from gpt2_small.planning import flops
from gpt2_small.planning.disk import Disk, disk_of
from gpt2_small.planning.gpu_scaling import WORTH_IT, Cluster, StepTime, all_reduce_bytes, step_time
from gpt2_small.planning.memory import Memory, largest_micro_batch, memory_of
from gpt2_small.planning.planned_run import PlannedRun, divisor_up_to

# GPT-3 small's batch (Brown et al. 2020, table 2.1), as a power of two.
BATCH_TOKENS = 2**19
# 64 windows of 1,024, the micro-batch of Karpathy's trainers; more do not raise the throughput.
MICRO_BATCH_TOKENS = 2**16
# The largest number of devices considered.
MOST_DEVICES = 2**16


class Plan:
    """The plan of a run."""

    def __init__(self, run: PlannedRun) -> None:
        self.run = run
        config = run.config
        self.parameters = flops.parameter_count(config)
        self.optimal_tokens = flops.optimal_tokens(config)
        self.tokens = run.tokens or self.optimal_tokens
        unit = config.n_ctx * run.processes * (run.micro_batch or 1)
        self.batch_tokens = run.batch_tokens or max(1, BATCH_TOKENS // unit) * unit
        self.sequences = self.batch_tokens // config.n_ctx
        self.steps = -(-self.tokens // self.batch_tokens)

    @cached_property
    def largest_micro_batch(self) -> int | None:
        """The number of windows that fit in a device's memory, possibly 0; None if unknown."""
        run, memory = self.run, self.run.usable_memory
        return None if memory is None else largest_micro_batch(run.config, run.setting, memory)

    def micro_batch_on(self, processes: int) -> int:
        """The micro-batch, in windows, when so many processes divide a step equally."""
        wanted = self.run.micro_batch
        if wanted is None:
            enough = MICRO_BATCH_TOKENS // self.run.config.n_ctx
            wanted = min(self.largest_micro_batch or 1, enough)
        return divisor_up_to(self.sequences // processes, max(1, wanted))

    @property
    def micro_batch(self) -> int:
        return self.micro_batch_on(self.run.processes)

    @property
    def micro_steps(self) -> int:
        return self.sequences // self.run.processes // self.micro_batch

    @cached_property
    def memory(self) -> Memory:
        """The memory of one process."""
        return memory_of(self.run.config, self.run.setting, self.micro_batch)

    @property
    def disk(self) -> Disk:
        """The disk space for checkpoints."""
        return disk_of(self.run.config, self.run.keep)

    @property
    def fits(self) -> bool:
        """Whether the run fits in memory; True if the memory is unknown."""
        memory = self.run.usable_memory
        return memory is None or self.memory.total <= memory

    @property
    def exchanged_bytes(self) -> float:
        """The bytes that every process sends in a step."""
        return all_reduce_bytes(self.run.config, self.run.processes)

    def step_on(self, processes: int) -> StepTime | None:
        """The same step on another number of devices; None where the peak is unknown."""
        run = self.run
        if run.peak is None:
            return None
        cluster = Cluster(
            gpus=run.gpus,
            rate=run.peak * run.share_of_peak,
            link_within=run.device.link_rate,
            link_between=run.link_gbits * 1e9 / 8,
        )
        micro_steps = self.sequences // processes // self.micro_batch_on(processes)
        return step_time(
            run.config, cluster, gpus=processes, sequences=self.sequences, micro_steps=micro_steps
        )

    @cached_property
    def step(self) -> StepTime | None:
        """A step of the run; None where the peak is unknown."""
        return self.step_on(self.run.processes)

    @cached_property
    def scaling(self) -> list[StepTime]:
        """The step on every number of devices that divides the batch, up to one window each.

        Up to one machine that is any number of its devices, beyond it whole machines.
        """
        numbers = [
            number
            for number in range(1, min(self.sequences, MOST_DEVICES) + 1)
            if self.sequences % number == 0
            and (number <= self.run.gpus or number % self.run.gpus == 0)
        ]
        return [step for number in numbers if (step := self.step_on(number)) is not None]

    @property
    def pays_up_to(self) -> int | None:
        """The most devices that compute longer than they wait; None without a peak."""
        worth_it = [step.gpus for step in self.scaling if step.efficiency >= WORTH_IT]
        return max(worth_it, default=None)
