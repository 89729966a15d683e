"""Define and check the run to plan: the model, the devices and the batch."""

import math
import os
from dataclasses import dataclass

from gpt2_small.errors import UserError, counted
from gpt2_small.model_protocol import Config
from gpt2_small.planning.device_peaks import CPU, Device
from gpt2_small.planning.memory import DTYPE_BYTES, MemorySetting

# Karpathy's PyTorch trainer of GPT-2 small, by DistributedDataParallel and torch.compile, took 45
# minutes for 19,560 steps of 524,288 tokens on eight H100 (KellerJordan/modded-nanogpt, README):
# 0.41 of their peak. nanoGPT's README has about four days for 600,000 steps of 491,520 tokens on
# eight A100: 0.29.
SHARE_OF_PEAK = 0.4
# One port of NDR InfiniBand, in Gbit/s (NVIDIA ConnectX-7 data sheet).
LINK_GBITS = 400.0
# The default number of kept checkpoints.
KEEP = 2
# The fractions reserved for the CUDA context, NCCL and fragmentation, and for a CPU's heap.
GPU_RESERVE, CPU_RESERVE = 0.1, 0.3


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A run to plan: model, devices and batch.

    config: the model's TransformerConfig.
    gpus, nodes: GPUs, or processes on a CPU, in a machine, and machines.
    dtype: of the products, `bfloat16` or `float16` (autocast), or `float32`.
    tokens: to train on; left out, Chinchilla's optimum.
    batch_tokens: in a step; left out, about half a million that can be divided equally.
    keep: the number of latest checkpoints to keep, besides the best.
    micro_batch: windows in one forward pass of a GPU; left out, as many as fit, up to 65,536
        tokens.
    share_of_peak: the expected fraction of the GPUs' peak.
    link_gbits: of a machine to the others, one way.
    peak_tflops, memory_gb: of one device, in place of its data sheet's.

    Raises UserError, with the field and its value, for an invalid value.
    """

    config: Config
    device: Device
    gpus: int = 1
    nodes: int = 1
    dtype: str = "bfloat16"
    tokens: int | None = None
    batch_tokens: int | None = None
    keep: int = KEEP
    micro_batch: int | None = None
    share_of_peak: float = SHARE_OF_PEAK
    link_gbits: float = LINK_GBITS
    peak_tflops: float | None = None
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        for name in ("gpus", "nodes", "tokens", "batch_tokens", "micro_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{_flag(name)} is {value}; give a whole number of at least 1")
        for name in ("link_gbits", "peak_tflops", "memory_gb"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UserError(f"{_flag(name)} is {value}; give a number above 0")
        if not 0 < self.share_of_peak <= 1:
            raise UserError(
                f"--share-of-peak is {self.share_of_peak}; give a number above 0 and up to 1"
            )
        if self.dtype not in DTYPE_BYTES:
            raise UserError(f"--dtype is {self.dtype!r}; give one of {', '.join(DTYPE_BYTES)}")
        self._refuse_uneven_shares()

    def _refuse_uneven_shares(self) -> None:
        batch, window = self.batch_tokens, self.config.n_ctx
        if batch is None:
            return
        share, rest = divmod(batch, window * self.processes)
        if rest:
            below, above = (window * self.processes * shares for shares in (share, share + 1))
            raise UserError(
                f"--batch-tokens is {batch}, which cannot be shared equally by "
                f"{counted(self.processes, 'process', 'es')} in windows of {window} tokens; "
                f"give {f'{below} or ' if below else ''}{above}"
            )
        if self.micro_batch and share % self.micro_batch:
            raise UserError(
                f"--micro-batch is {self.micro_batch}, which does not divide the {share} windows "
                f"that a process has in a step; give {divisor_up_to(share, self.micro_batch)}"
            )

    @property
    def processes(self) -> int:
        return self.gpus * self.nodes

    @property
    def peak(self) -> float | None:
        """The peak FLOP/s of one device in this type; None if unknown."""
        if self.peak_tflops is not None:
            return 1e12 * self.peak_tflops
        return self.device.peaks.get(self.dtype)

    @property
    def on_cpu(self) -> bool:
        return self.device.name == CPU.name

    @property
    def memory(self) -> float | None:
        """The bytes of one GPU's memory, or of the machine's for CPU training; None if unknown."""
        if self.memory_gb is not None:
            return 1e9 * self.memory_gb
        return memory_here() if self.on_cpu else self.device.memory

    @property
    def reserve(self) -> float:
        """The reserved fraction of the memory."""
        return CPU_RESERVE if self.on_cpu else GPU_RESERVE

    @property
    def usable_memory(self) -> float | None:
        """The bytes of memory available to one process; None if unknown."""
        if self.memory is None:
            return None
        return self.memory * (1 - self.reserve) / (self.gpus if self.on_cpu else 1)

    @property
    def setting(self) -> MemorySetting:
        """The settings that affect memory."""
        return MemorySetting(
            dtype=self.dtype, on_cpu=self.on_cpu, is_distributed=self.processes > 1
        )


def memory_here() -> float | None:
    """The bytes of this machine's memory; None if unknown."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return None


def _flag(name: str) -> str:
    return {"link_gbits": "--link"}.get(name, f"--{name.replace('_', '-')}")


def divisor_up_to(number: int, most: int) -> int:
    """The largest divisor of a number that is at most `most`."""
    return next(divisor for divisor in range(min(number, most), 0, -1) if number % divisor == 0)
