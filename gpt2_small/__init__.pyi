"""The public names for type checkers and editors, generated from solution.py."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gpt2_small.binding import bind as bind
from gpt2_small.binding import load as load
from gpt2_small.checker.learner.notebook_check import check as check
from gpt2_small.errors import UserError as UserError
from gpt2_small.model.hooks import hooks as hooks
from gpt2_small.model.hooks import run_with_cache as run_with_cache
from gpt2_small.model.presets import preset as preset
from gpt2_small.weights import load_pretrained as load_pretrained

__version__: str
__all__ = [
    "MLP",
    "Embedding",
    "LayerNorm",
    "MultiHeadAttention",
    "PositionalEmbedding",
    "StepResult",
    "TrainRecord",
    "Transformer",
    "TransformerBlock",
    "TransformerConfig",
    "Unembedding",
    "UserError",
    "bind",
    "check",
    "generate",
    "hooks",
    "learning_rate",
    "load",
    "load_pretrained",
    "next_token_loss",
    "parameter_groups",
    "preset",
    "run_with_cache",
    "sample",
    "train",
    "train_step",
]

@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The shape of a GPT-2; the defaults are those of GPT-2 small (GPT-2, table 2).

    d_model: width of the residual stream.
    n_layers: number of blocks.
    n_heads: attention heads in a block.
    d_head: width of one head; left out, `d_model / n_heads`.
    d_mlp: width of the MLP's hidden layer; left out, four times `d_model`.
    n_ctx: the longest sequence, in tokens.
    d_vocab: number of different tokens.
    layer_norm_eps: added to the variance before its square root.
    init_std: standard deviation of freshly drawn weights.
    dropout: probability of zeroing an element in training.
    tied_embeddings: whether the unembedding is the transposed token embedding.

    Raises ValueError, with the value and the way out, for a shape that cannot be built.
    """

    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12
    d_head: int = ...
    d_mlp: int = ...
    n_ctx: int = 1024
    d_vocab: int = 50257
    layer_norm_eps: float = 1e-05
    init_std: float = 0.02
    dropout: float = 0.0
    tied_embeddings: bool = True

class LayerNorm(nn.Module):
    """Centre and scale every position to mean 0 and variance 1, then apply a learned gain and bias.

    The variance is the mean squared deviation over d_model, and layer_norm_eps is added to it
    before the square root (Ba et al. 2016, "Layer Normalization", section 3).

    Taps: hook_scale [batch seq 1], the divisor; hook_normalized [batch seq d_model], before gain
    and bias.
    """

    eps: float
    w: nn.Parameter
    b: nn.Parameter
    hook_scale: nn.Identity
    hook_normalized: nn.Identity

    def __init__(self, config: TransformerConfig) -> None: ...
    def forward(
        self, residual: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_model"]: ...

class Embedding(nn.Module):
    """Look up the vector of every token: row t of W_E for token t (GPT-1, section 3.1)."""

    W_E: nn.Parameter

    def __init__(self, config: TransformerConfig) -> None: ...
    def forward(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_model"]: ...

class PositionalEmbedding(nn.Module):
    """Give every position its learned vector: row p of W_pos for position p.

    The tokens give only the shape; every row of the batch gets the same vectors. Positions count
    from 0 (GPT-1, section 3.1).

    Raises ValueError when there are more than n_ctx positions.
    """

    n_ctx: int
    W_pos: nn.Parameter

    def __init__(self, config: TransformerConfig) -> None: ...
    def forward(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_model"]: ...

class MultiHeadAttention(nn.Module):
    """Let every position gather what it needs from itself and the positions before it.

    Each head compares a position's query with the keys of the positions up to and including its
    own, by dot products divided by sqrt(d_head); a softmax over those keys gives the pattern, and
    the pattern-weighted sum of the values, projected by W_O, is added up over heads, with b_O
    (Vaswani et al. 2017, sections 3.2.1 to 3.2.3). In training, dropout acts on the pattern and on
    the output (GPT-1, section 4.1).

    Taps: hook_q, hook_k, hook_v and hook_z [batch seq head d_head]; hook_attn_scores (masked) and
    hook_pattern (before dropout) [batch head seq seq].
    """

    W_Q: nn.Parameter
    W_K: nn.Parameter
    W_V: nn.Parameter
    W_O: nn.Parameter
    b_Q: nn.Parameter
    b_K: nn.Parameter
    b_V: nn.Parameter
    b_O: nn.Parameter
    d_head: int
    pattern_dropout: nn.Dropout
    output_dropout: nn.Dropout
    hook_q: nn.Identity
    hook_k: nn.Identity
    hook_v: nn.Identity
    hook_attn_scores: nn.Identity
    hook_pattern: nn.Identity
    hook_z: nn.Identity

    def __init__(self, config: TransformerConfig) -> None: ...
    def forward(
        self, residual: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_model"]: ...

class MLP(nn.Module):
    """Transform every position by itself: a linear map to d_mlp, `gelu_tanh`, a linear map back.

    (Vaswani et al. 2017, section 3.3, with the activation of GPT-1, section 4.1.) In training,
    dropout acts on the output.

    Taps: hook_pre and hook_post [batch seq d_mlp], before and after the activation.
    """

    W_in: nn.Parameter
    b_in: nn.Parameter
    W_out: nn.Parameter
    b_out: nn.Parameter
    output_dropout: nn.Dropout
    hook_pre: nn.Identity
    hook_post: nn.Identity

    def __init__(self, config: TransformerConfig) -> None: ...
    def forward(
        self, residual: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_model"]: ...

class TransformerBlock(nn.Module):
    """Add attention to the residual stream, then the MLP, each reading it through its own norm.

    The norms stand before the two parts, not after the sums (GPT-2, section 2.3).

    Taps, all [batch seq d_model]: hook_resid_pre, hook_attn_out, hook_resid_mid, hook_mlp_out,
    hook_resid_post.
    """

    ln1: LayerNorm
    attn: MultiHeadAttention
    ln2: LayerNorm
    mlp: MLP
    hook_resid_pre: nn.Identity
    hook_attn_out: nn.Identity
    hook_resid_mid: nn.Identity
    hook_mlp_out: nn.Identity
    hook_resid_post: nn.Identity

    def __init__(self, config: TransformerConfig) -> None: ...
    def forward(
        self, residual: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_model"]: ...

class Unembedding(nn.Module):
    """Turn every position's vector into logits, one for each token (GPT-1, section 3.1).

    This is the untied unembedding, with a bias; a tied Transformer uses its token embedding.
    """

    W_U: nn.Parameter
    b_U: nn.Parameter

    def __init__(self, config: TransformerConfig) -> None: ...
    def forward(
        self, residual: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_vocab"]: ...

class Transformer(nn.Module):
    """GPT-2: token and position embeddings, the blocks, a final norm, the unembedding.

    The logits at a position score the token that comes next. With tied_embeddings the unembedding
    is the transposed W_E, without bias, and `unembed` is None (Press and Wolf 2017, "Using the
    Output Embedding to Improve Language Models", section 3). In training, dropout acts on the sum
    of the embeddings (GPT-1, section 4.1).

    Taps: hook_embed and hook_pos_embed [batch seq d_model].

    Raises ValueError when there are more than n_ctx positions.
    """

    config: TransformerConfig
    embed: Embedding
    pos_embed: PositionalEmbedding
    embed_dropout: nn.Dropout
    blocks: nn.ModuleList
    ln_final: LayerNorm
    unembed: Unembedding | None
    hook_embed: nn.Identity
    hook_pos_embed: nn.Identity

    def __init__(self, config: TransformerConfig) -> None: ...
    def forward(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_vocab"]: ...

def next_token_loss(
    logits: Float[Tensor, "batch seq d_vocab"], tokens: Int[Tensor, "batch seq_tokens"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy, in nats, of every token given the ones before it (GPT-1, section 3.1).

    The logits at position p are scored against token p + 1. `tokens` is either what the model read
    [batch seq], and then the last logits have no target, or one longer [batch seq+1], and then
    every position has one.

    Raises ValueError for any other length, or when there is no target at all.
    """

def sample(
    logits: Float[Tensor, "batch d_vocab"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "batch"]:
    """Draw one token for every row of logits.

    temperature: divides the logits; 0 takes the most likely token (greedy).
    top_k: keep only the k most likely tokens (GPT-2, section 3.6); above d_vocab it keeps all.
    top_p: of those, keep the smallest set of most likely tokens whose probabilities, renormalised,
        add up to at least p, the one that crosses p included (Holtzman et al. 2020, "The Curious
        Case of Neural Text Degeneration", section 3.1).
    generator: where the randomness comes from; torch's global one when left out.

    Raises ValueError for a negative temperature, a top_k below 1 or a top_p outside (0, 1].
    """

@torch.no_grad()
def generate(
    model: nn.Module,
    tokens: Int[Tensor, "batch seq"],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "batch seq_new"]:
    """Continue every row of tokens by max_new_tokens, each drawn by `sample` from the last logits.

    The model reads the last n_ctx tokens in evaluation mode; it is left in the mode it was in.
    Returns the prompt and the new tokens [batch seq+max_new_tokens].

    Raises ValueError for an empty prompt or a negative max_new_tokens.
    """

def learning_rate(
    step: int, *, peak: float, warmup_steps: int, total_steps: int, final_fraction: float = 0.1
) -> float:
    """The learning rate of a step, counted from 0: a linear warm-up, then half a cosine.

    It rises linearly to `peak` at step warmup_steps - 1, falls along a cosine to
    final_fraction * peak at step total_steps - 1, and stays there (Loshchilov and Hutter 2017,
    "SGDR", section 3, with the warm-up and the final tenth of Brown et al. 2020, "Language Models
    are Few-Shot Learners", appendix B).

    Raises ValueError for a rate, a fraction or numbers of steps that make no schedule. A warm-up of
    all steps makes one, whose last rate is the peak.
    """

def parameter_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """The model's parameters in two groups for an optimiser: matrices decay, vectors do not.

    Matrices are the parameters whose names begin with W; gains and biases are vectors, also those
    that are stored one row a head (Brown et al. 2020, appendix B; Loshchilov and Hutter 2019,
    "Decoupled Weight Decay Regularization", section 2).
    """

def batch_loss(model: nn.Module, batch: Int[Tensor, "batch seq_plus_1"]) -> Float[Tensor, ""]:
    """The model's mean next-token loss, in nats, on windows that are one longer than it reads."""

@dataclass(frozen=True)
class StepResult:
    """What one training step did.

    loss: mean over the targets of all micro-batches, in nats, before the update.
    grad_norm: global norm of the gradient before clipping.
    tokens: number of targets.
    """

    loss: float
    grad_norm: float
    tokens: int

@dataclass(frozen=True)
class TrainRecord:
    """One line of a training log.

    step: counted from 1.
    loss, grad_norm: as in StepResult.
    learning_rate: the rate that the step used.
    tokens: number of targets so far, this step's included.
    """

    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int

def train_step(
    model: nn.Module,
    batches: Sequence[Int[Tensor, "_ _"]],
    optimizer: torch.optim.Optimizer,
    *,
    max_grad_norm: float = 1.0,
    loss: Callable[[nn.Module, Tensor], Tensor] = batch_loss,
) -> StepResult:
    """Update the model once, on the mean loss over all targets of the micro-batches [batch seq+1].

    Gradients are accumulated over the micro-batches, each weighted by its share of the targets,
    then clipped to a global norm of at most max_grad_norm (Pascanu et al. 2013, "On the Difficulty
    of Training Recurrent Neural Networks", section 3.2). A distributed model exchanges gradients
    once, with the last micro-batch. `loss` gives the mean loss of a micro-batch.

    Raises ValueError without a micro-batch or for a norm that is not above 0, and
    FloatingPointError, before the update, when the loss or the gradient is not finite.
    """

def train(
    model: nn.Module,
    steps: Iterable[Sequence[Int[Tensor, "_ _"]]],
    optimizer: torch.optim.Optimizer,
    *,
    schedule: Callable[[int], float],
    max_grad_norm: float = 1.0,
    loss: Callable[[nn.Module, Tensor], Tensor] = batch_loss,
) -> Iterator[TrainRecord]:
    """Train on every list of micro-batches in turn, and yield a record after each step.

    Every step is made in training mode. `schedule` gives the learning rate of a step, counted from
    0. What happens between two steps (printing, evaluating, saving, stopping) is the caller's.
    """
