"""Estimate the memory of a process that trains, by kind.

The parts that do not grow with the batch are plain: float32 weights, gradients as large, two
moments of AdamW. The rest follows the code. What a block keeps for its backward pass is what its
operations save (`gpt2_small/model/twin.py` and `gpt2_small/kernels/`). The loss
(`chunked_loss.py`) holds logits for a chunk of positions, and its finished gradients until the
backward pass takes them.
"""

from bisect import bisect_left
from dataclasses import dataclass, fields

from gpt2_small.kernels.chunked_loss import chunk_size
from gpt2_small.kernels.products import ROWS_TO_CAST_AGAIN
from gpt2_small.model_protocol import Config
from gpt2_small.planning.flops import parameter_count

FLOAT32_BYTES = 4
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
TOKEN_BYTES = 8
# AdamW keeps the mean of the gradients and of their squares.
MOMENTS = 2


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of one process at the moment of a step when it holds most.

    weights, gradients, optimiser: float32, whatever the type of the products.
    buckets: DistributedDataParallel's own copy of the gradients.
    copies: the matrices side by side and in the products' type, kept for the backward pass.
    activations: what the layers keep for the backward pass.
    loss: logits of a chunk, the unembedding's gradient, and what else exists for a moment.
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
class Setting:
    """How the twin is trained, as far as memory depends on it.

    dtype: of the products: `bfloat16` is autocast, `float32` is none.
    on_cpu: which of the twin's two paths runs.
    is_distributed: whether the gradients are averaged with other processes.
    is_twin: whether the twin is trained; a file's own model holds its patterns and logits.
    """

    dtype: str
    on_cpu: bool
    is_distributed: bool
    is_twin: bool = True


def activation_bytes(config: Config, setting: Setting) -> int:
    """Bytes per position that are kept from the forward to the backward pass."""
    low, d_model = DTYPE_BYTES[setting.dtype], config.d_model
    # Its input, its mean and its scale; the result is kept by the product that reads it.
    norm = FLOAT32_BYTES * (d_model + 2)
    # On a CPU attention is computed in float32, and z is cast for the product that reads it.
    exact, cast = (FLOAT32_BYTES, low % FLOAT32_BYTES) if setting.on_cpu else (low, 0)
    attention = d_model * (low + 4 * exact + cast) + FLOAT32_BYTES * config.n_heads
    mlp = d_model * low + 2 * config.d_mlp * low
    block = 2 * norm + attention + mlp
    total = config.n_layers * block + norm + _dropout_bytes(config, setting) + TOKEN_BYTES
    return total if setting.is_twin else total + _plain_bytes(config)


def _plain_bytes(config: Config) -> int:
    """Bytes that a plainly written model keeps more than the twin, as an upper estimate.

    Scores, masked scores and pattern; logits, their log-probabilities and gradient; and each norm's
    and the GELU's intermediate results.
    """
    patterns = 3 * config.n_layers * config.n_heads * config.n_ctx
    steps = config.n_layers * (8 * config.d_model + 6 * config.d_mlp)
    return FLOAT32_BYTES * (patterns + steps + 4 * config.d_vocab)


def _dropout_bytes(config: Config, setting: Setting) -> int:
    """On a GPU a mask of bytes; on a CPU noise in the type of what it multiplies.

    There attention with dropout is made of single steps, and keeps its pattern: before and after
    dropout, and the noise; but not its z, of which only a cast is left.
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


def copied_bytes(config: Config, setting: Setting, positions: int) -> int:
    """The blocks' matrices, as their products read them: W_Q, W_K and W_V in one, all in low.

    On a CPU none is kept in float32, nor in any type where there are many positions.
    """
    low = DTYPE_BYTES[setting.dtype]
    is_cast = low < FLOAT32_BYTES
    if setting.on_cpu and (not is_cast or positions >= ROWS_TO_CAST_AGAIN):
        return 0
    in_a_block = 3 * config.d_model**2
    if is_cast:
        in_a_block += config.d_model**2 + 2 * config.d_model * config.d_mlp
    return config.n_layers * in_a_block * low


def loss_bytes(config: Config, setting: Setting, positions: int) -> int:
    """The loss's gradients, and the largest of what exists for a moment around them."""
    low, unembedding = DTYPE_BYTES[setting.dtype], config.d_vocab * config.d_model
    kept = FLOAT32_BYTES * (unembedding + positions * config.d_model)
    cast = low if low < FLOAT32_BYTES else 0
    chunk = chunk_size(positions, config.d_vocab, on_cpu=setting.on_cpu)
    # The softmax in float32 and its gradient in the products' type; on a GPU their logits too.
    logits = chunk * config.d_vocab * (FLOAT32_BYTES + (1 if setting.on_cpu else 2) * cast)
    if chunk < positions:
        logits += chunk * config.d_vocab * FLOAT32_BYTES  # of the chunk before
    # The backward pass of the loss, and then of the last block's MLP.
    scaled = kept
    mlp = positions * (3 * config.d_mlp * low + 2 * config.d_model * FLOAT32_BYTES)
    return kept + max(logits + unembedding * cast, scaled, mlp)


def fixed_bytes(config: Config) -> int:
    """Weights, gradients and moments: what one process holds whatever the batch."""
    return (2 + MOMENTS) * FLOAT32_BYTES * parameter_count(config)


def memory_of(config: Config, setting: Setting, micro_batch: int) -> Memory:
    """The memory of a process that trains on micro-batches of this many windows of n_ctx tokens.

    With gradient accumulation, whose gradients are there throughout; in a step of one micro-batch
    they come when the activations go.
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


def largest_micro_batch(config: Config, setting: Setting, room: float) -> int:
    """How many windows of n_ctx tokens fit into so many bytes; 0 when not even one does."""

    def fits(micro_batch: int) -> bool:
        return memory_of(config, setting, micro_batch).total <= room

    too_many = 1
    while fits(too_many):
        too_many *= 2
    return bisect_left(range(1, too_many), True, key=lambda size: not fits(size))
