"""Estimate the memory of a training process, by kind.

Independent of the batch are the float32 weights, gradients of the same size, and AdamW's two
moments. The rest follows the code: the tensors that a block's operations save for the backward pass
(`gpt2_small/model/twin.py` and `gpt2_small/kernels/`), and those of the loss (`chunked_loss.py`):
the logits of a chunk of positions, and its gradients until the backward pass.
"""

from bisect import bisect_left
from dataclasses import dataclass, fields

from gpt2_small.kernels.chunked_loss import chunk_size
from gpt2_small.kernels.matmul import ROWS_TO_CAST_AGAIN
from gpt2_small.model_protocol import Config
from gpt2_small.planning.flops import parameter_count

FLOAT32_BYTES = 4
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
TOKEN_BYTES = 8
# AdamW's moving averages of the gradients and of their squares.
MOMENTS = 2


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The peak memory of one process during a step, in bytes.

    weights, gradients, optimiser: in float32.
    buckets: DistributedDataParallel's copy of the gradients.
    copies: fused and cast matrices, saved for the backward pass.
    activations: tensors saved by the layers for the backward pass.
    loss: a chunk's logits, the unembedding's gradient, and temporary tensors.
    """

    weights: int
    gradients: int
    optimiser: int
    buckets: int
    copies: int
    activations: int
    loss: int

    @property
    def total(self) -> int:
        return sum(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, kw_only=True)
class MemorySetting:
    """The settings of a training that affect memory.

    dtype: of the products; autocast's, or `float32`.
    on_cpu: whether the kernels' CPU versions run.
    is_distributed: whether gradients are averaged over processes.
    is_twin: whether the twin is trained; other models store their patterns and logits.
    """

    dtype: str
    on_cpu: bool
    is_distributed: bool
    is_twin: bool = True


def activation_bytes(config: Config, setting: MemorySetting) -> int:
    """The bytes per position that are saved from the forward to the backward pass."""
    low, d_model = DTYPE_BYTES[setting.dtype], config.d_model
    # A norm saves its input, mean and scale; its output is saved by the next product.
    norm = FLOAT32_BYTES * (d_model + 2)
    # On a CPU attention is computed in float32, and z is cast for the next product.
    exact, cast = (FLOAT32_BYTES, low % FLOAT32_BYTES) if setting.on_cpu else (low, 0)
    attention = d_model * (low + 4 * exact + cast) + FLOAT32_BYTES * config.n_heads
    mlp = d_model * low + 2 * config.d_mlp * low
    block = 2 * norm + attention + mlp
    total = config.n_layers * block + norm + _dropout_bytes(config, setting) + TOKEN_BYTES
    return total if setting.is_twin else total + _plain_bytes(config)


def _plain_bytes(config: Config) -> int:
    """The additional bytes per position of a plain model, as an upper estimate.

    Scores, masked scores and pattern; logits, their log-probabilities and gradient; and the
    intermediate results of norms and GELUs.
    """
    patterns = 3 * config.n_layers * config.n_heads * config.n_ctx
    steps = config.n_layers * (8 * config.d_model + 6 * config.d_mlp)
    return FLOAT32_BYTES * (patterns + steps + 4 * config.d_vocab)


def _dropout_bytes(config: Config, setting: MemorySetting) -> int:
    """The bytes of dropout: a byte mask on a GPU, noise in the inputs' type on a CPU.

    On a CPU attention with dropout is not fused: it saves the pattern before and after dropout and
    the noise, but of z only a cast.
    """
    if not config.dropout:
        return 0
    if not setting.on_cpu:
        return (1 + 2 * config.n_layers) * config.d_model
    low = DTYPE_BYTES[setting.dtype]
    patterns = FLOAT32_BYTES * (3 * config.n_ctx - 1) * config.n_heads
    noise = 2 * config.d_model * low
    z = config.d_model * FLOAT32_BYTES if low < FLOAT32_BYTES else 0
    return config.n_layers * (patterns + noise - z) + FLOAT32_BYTES * config.d_model


def copied_bytes(config: Config, setting: MemorySetting, positions: int) -> int:
    """The bytes of the blocks' fused and cast matrices.

    On a CPU none is saved in float32, nor in any type with many positions.
    """
    low = DTYPE_BYTES[setting.dtype]
    is_cast = low < FLOAT32_BYTES
    if setting.on_cpu and (not is_cast or positions >= ROWS_TO_CAST_AGAIN):
        return 0
    in_a_block = 3 * config.d_model**2
    if is_cast:
        in_a_block += config.d_model**2 + 2 * config.d_model * config.d_mlp
    return config.n_layers * in_a_block * low


def loss_bytes(config: Config, setting: MemorySetting, positions: int) -> int:
    """The bytes of the loss's gradients, and of the largest temporary tensors beside them."""
    low, unembedding = DTYPE_BYTES[setting.dtype], config.d_vocab * config.d_model
    gradients = FLOAT32_BYTES * (unembedding + positions * config.d_model)
    cast = low if low < FLOAT32_BYTES else 0
    chunk = chunk_size(positions, config.d_vocab, on_cpu=setting.on_cpu)
    # The softmax in float32 and its gradient in the products' type; on a GPU their logits too.
    logits = chunk * config.d_vocab * (FLOAT32_BYTES + (1 if setting.on_cpu else 2) * cast)
    if chunk < positions:
        logits += chunk * config.d_vocab * FLOAT32_BYTES  # of the previous chunk
    # The backward pass of the loss, and then of the last block's MLP.
    scaled = gradients
    mlp = positions * (3 * config.d_mlp * low + 2 * config.d_model * FLOAT32_BYTES)
    return gradients + max(logits + unembedding * cast, scaled, mlp)


def fixed_bytes(config: Config) -> int:
    """The bytes of weights, gradients and moments, which do not depend on the batch."""
    return (2 + MOMENTS) * FLOAT32_BYTES * parameter_count(config)


def memory_of(config: Config, setting: MemorySetting, micro_batch: int) -> Memory:
    """The memory of a process that trains on micro-batches of so many windows of n_ctx tokens.

    It assumes gradient accumulation, with gradients throughout the step; in a step of one
    micro-batch they are allocated as the activations are freed.
    """
    positions = micro_batch * config.n_ctx
    parameters = FLOAT32_BYTES * parameter_count(config)
    return Memory(
        weights=parameters,
        gradients=parameters,
        optimiser=MOMENTS * parameters,
        buckets=parameters if setting.is_distributed else 0,
        copies=copied_bytes(config, setting, positions),
        activations=positions * activation_bytes(config, setting),
        loss=loss_bytes(config, setting, positions),
    )


def largest_micro_batch(config: Config, setting: MemorySetting, memory: float) -> int:
    """The number of windows of n_ctx tokens that fit in so many bytes, possibly 0."""

    def fits(micro_batch: int) -> bool:
        return memory_of(config, setting, micro_batch).total <= memory

    too_many = 1
    while fits(too_many):
        too_many *= 2
    return bisect_left(range(1, too_many), True, key=lambda size: not fits(size))
