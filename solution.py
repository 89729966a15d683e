"""GPT-2 in eight parts, with the loss, sampling and training around them.

The model is the one of Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"
(below: GPT-2), which builds on Radford et al. 2018, "Improving Language Understanding by Generative
Pre-Training" (GPT-1), and Vaswani et al. 2017, "Attention Is All You Need". Parameters and inner
activations carry TransformerLens's names.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, reduce, repeat
from jaxtyping import Float, Int
from torch import Tensor, nn


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
    d_head: int = None  # type: ignore[assignment]
    d_mlp: int = None  # type: ignore[assignment]
    n_ctx: int = 1024
    d_vocab: int = 50257
    layer_norm_eps: float = 1e-5
    init_std: float = 0.02
    dropout: float = 0.0
    tied_embeddings: bool = True

    def __post_init__(self) -> None:
        for name in ("d_model", "n_layers", "n_heads", "n_ctx", "d_vocab", "d_head", "d_mlp"):
            value = getattr(self, name)
            if value is None and name == "d_head":
                value = max(1, self.d_model // self.n_heads)
            elif value is None and name == "d_mlp":
                value = 4 * self.d_model
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} is {value!r}; give a whole number of at least 1")
            object.__setattr__(self, name, value)
        if self.n_heads * self.d_head != self.d_model:
            raise ValueError(
                f"n_heads * d_head is {self.n_heads} * {self.d_head} = "
                f"{self.n_heads * self.d_head}, but d_model is {self.d_model}; "
                "choose n_heads so that it divides d_model, and leave d_head out"
            )
        for name in ("layer_norm_eps", "init_std"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number above 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; give a probability from 0 to below 1")


def normal_parameter(*shape: int, std: float) -> nn.Parameter:
    """A parameter of this shape, drawn from a normal distribution of mean 0."""
    return nn.Parameter(nn.init.normal_(torch.empty(shape), std=std))


def residual_std(config: TransformerConfig) -> float:
    """Standard deviation of the projections that write into the residual stream.

    Each block adds two terms to the stream, so it is scaled down by 1/sqrt(2 * n_layers), which
    keeps the stream's variance from growing with depth (GPT-2, section 2.3).
    """
    return config.init_std / math.sqrt(2 * config.n_layers)


class LayerNorm(nn.Module):
    """Centre and scale every position to mean 0 and variance 1, then apply a learned gain and bias.

    The variance is the mean squared deviation over d_model, and layer_norm_eps is added to it
    before the square root (Ba et al. 2016, "Layer Normalization", section 3).

    Taps: hook_scale [batch seq 1], the divisor; hook_normalized [batch seq d_model], before gain
    and bias.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.eps = config.layer_norm_eps
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))
        self.hook_scale = nn.Identity()
        self.hook_normalized = nn.Identity()

    def forward(
        self, residual: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_model"]:
        centered = residual - reduce(residual, "batch seq d_model -> batch seq 1", "mean")
        variance = reduce(centered.square(), "batch seq d_model -> batch seq 1", "mean")
        scale = self.hook_scale((variance + self.eps).sqrt())
        normalized = self.hook_normalized(centered / scale)
        return normalized * self.w + self.b


class Embedding(nn.Module):
    """Look up the vector of every token: row t of W_E for token t (GPT-1, section 3.1)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.W_E = normal_parameter(config.d_vocab, config.d_model, std=config.init_std)

    def forward(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_model"]:
        return self.W_E[tokens]


class PositionalEmbedding(nn.Module):
    """Give every position its learned vector: row p of W_pos for position p.

    The tokens give only the shape; every row of the batch gets the same vectors. Positions count
    from 0 (GPT-1, section 3.1).

    Raises ValueError when there are more than n_ctx positions.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.n_ctx = config.n_ctx
        self.W_pos = normal_parameter(config.n_ctx, config.d_model, std=config.init_std)

    def forward(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_model"]:
        batch, seq = tokens.shape
        if seq > self.n_ctx:
            raise ValueError(f"{seq} tokens do not fit n_ctx = {self.n_ctx}; keep the last n_ctx")
        return repeat(self.W_pos[:seq], "seq d_model -> batch seq d_model", batch=batch)


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

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        heads, d_model, d_head = config.n_heads, config.d_model, config.d_head
        self.W_Q = normal_parameter(heads, d_model, d_head, std=config.init_std)
        self.W_K = normal_parameter(heads, d_model, d_head, std=config.init_std)
        self.W_V = normal_parameter(heads, d_model, d_head, std=config.init_std)
        self.W_O = normal_parameter(heads, d_head, d_model, std=residual_std(config))
        self.b_Q = nn.Parameter(torch.zeros(heads, d_head))
        self.b_K = nn.Parameter(torch.zeros(heads, d_head))
        self.b_V = nn.Parameter(torch.zeros(heads, d_head))
        self.b_O = nn.Parameter(torch.zeros(d_model))
        self.d_head = d_head
        self.pattern_dropout = nn.Dropout(config.dropout)
        self.output_dropout = nn.Dropout(config.dropout)
        self.hook_q = nn.Identity()
        self.hook_k = nn.Identity()
        self.hook_v = nn.Identity()
        self.hook_attn_scores = nn.Identity()
        self.hook_pattern = nn.Identity()
        self.hook_z = nn.Identity()

    def forward(
        self, residual: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_model"]:
        project = "batch seq d_model, head d_model d_head -> batch seq head d_head"
        query = self.hook_q(einsum(residual, self.W_Q, project) + self.b_Q)
        key = self.hook_k(einsum(residual, self.W_K, project) + self.b_K)
        value = self.hook_v(einsum(residual, self.W_V, project) + self.b_V)

        similarity = einsum(
            query / math.sqrt(self.d_head),
            key,
            "batch seq_q head d_head, batch seq_k head d_head -> batch head seq_q seq_k",
        )
        seq = residual.shape[1]
        mask = similarity.new_full((seq, seq), -math.inf).triu(diagonal=1)
        scores = similarity + mask
        pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=-1))

        z = einsum(
            self.pattern_dropout(pattern),
            value,
            "batch head seq_q seq_k, batch seq_k head d_head -> batch seq_q head d_head",
        )
        output = einsum(
            self.hook_z(z),
            self.W_O,
            "batch seq head d_head, head d_head d_model -> batch seq d_model",
        )
        return self.output_dropout(output + self.b_O)


def gelu_tanh(pre: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """GPT-2's activation, 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), element by element.

    The tanh approximation, not the exact GELU (Hendrycks and Gimpel 2016, "Gaussian Error Linear
    Units", section 2).
    """
    return F.gelu(pre, approximate="tanh")


class MLP(nn.Module):
    """Transform every position by itself: a linear map to d_mlp, `gelu_tanh`, a linear map back.

    (Vaswani et al. 2017, section 3.3, with the activation of GPT-1, section 4.1.) In training,
    dropout acts on the output.

    Taps: hook_pre and hook_post [batch seq d_mlp], before and after the activation.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.W_in = normal_parameter(config.d_model, config.d_mlp, std=config.init_std)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = normal_parameter(config.d_mlp, config.d_model, std=residual_std(config))
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.output_dropout = nn.Dropout(config.dropout)
        self.hook_pre = nn.Identity()
        self.hook_post = nn.Identity()

    def forward(
        self, residual: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_model"]:
        pre = F.linear(residual, self.W_in.T, self.b_in)
        post = self.hook_post(gelu_tanh(self.hook_pre(pre)))
        output = F.linear(post, self.W_out.T, self.b_out)
        return self.output_dropout(output)


class TransformerBlock(nn.Module):
    """Add attention to the residual stream, then the MLP, each reading it through its own norm.

    The norms stand before the two parts, not after the sums (GPT-2, section 2.3).

    Taps, all [batch seq d_model]: hook_resid_pre, hook_attn_out, hook_resid_mid, hook_mlp_out,
    hook_resid_post.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.ln1 = LayerNorm(config)
        self.attn = MultiHeadAttention(config)
        self.ln2 = LayerNorm(config)
        self.mlp = MLP(config)
        self.hook_resid_pre = nn.Identity()
        self.hook_attn_out = nn.Identity()
        self.hook_resid_mid = nn.Identity()
        self.hook_mlp_out = nn.Identity()
        self.hook_resid_post = nn.Identity()

    def forward(
        self, residual: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_model"]:
        resid_pre = self.hook_resid_pre(residual)
        attn_out = self.hook_attn_out(self.attn(self.ln1(resid_pre)))
        resid_mid = self.hook_resid_mid(resid_pre + attn_out)
        mlp_out = self.hook_mlp_out(self.mlp(self.ln2(resid_mid)))
        return self.hook_resid_post(resid_mid + mlp_out)


class Unembedding(nn.Module):
    """Turn every position's vector into logits, one for each token (GPT-1, section 3.1).

    This is the untied unembedding, with a bias; a tied Transformer uses its token embedding.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.W_U = normal_parameter(config.d_model, config.d_vocab, std=config.init_std)
        self.b_U = nn.Parameter(torch.zeros(config.d_vocab))

    def forward(
        self, residual: Float[Tensor, "batch seq d_model"]
    ) -> Float[Tensor, "batch seq d_vocab"]:
        return (
            einsum(residual, self.W_U, "batch seq d_model, d_model d_vocab -> batch seq d_vocab")
            + self.b_U
        )


class Transformer(nn.Module):
    """GPT-2: token and position embeddings, the blocks, a final norm, the unembedding.

    The logits at a position score the token that comes next. With tied_embeddings the unembedding
    is the transposed W_E, without bias, and `unembed` is None (Press and Wolf 2017, "Using the
    Output Embedding to Improve Language Models", section 3). In training, dropout acts on the sum
    of the embeddings (GPT-1, section 4.1).

    Taps: hook_embed and hook_pos_embed [batch seq d_model].

    Raises ValueError when there are more than n_ctx positions.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = Embedding(config)
        self.pos_embed = PositionalEmbedding(config)
        self.embed_dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.n_layers))
        self.ln_final = LayerNorm(config)
        self.unembed = None if config.tied_embeddings else Unembedding(config)
        self.hook_embed = nn.Identity()
        self.hook_pos_embed = nn.Identity()

    def forward(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_vocab"]:
        # A view taken before the look-up has its gradient after it: the two are added in place.
        tied_W_U = self.embed.W_E.T
        embed = self.hook_embed(self.embed(tokens))
        pos_embed = self.hook_pos_embed(self.pos_embed(tokens))
        residual = self.embed_dropout(embed + pos_embed)
        for block in self.blocks:
            residual = block(residual)
        final = self.ln_final(residual)
        if self.unembed is not None:
            return self.unembed(final)
        return final @ tied_W_U


def next_token_loss(
    logits: Float[Tensor, "batch seq d_vocab"], tokens: Int[Tensor, "batch seq_tokens"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy, in nats, of every token given the ones before it (GPT-1, section 3.1).

    The logits at position p are scored against token p + 1. `tokens` is either what the model read
    [batch seq], and then the last logits have no target, or one longer [batch seq+1], and then
    every position has one.

    Raises ValueError for any other length, or when there is no target at all.
    """
    seq, seq_tokens = logits.shape[1], tokens.shape[1]
    if seq_tokens not in (seq, seq + 1):
        raise ValueError(
            f"logits at {seq} positions cannot be scored against {seq_tokens} tokens; "
            "pass as many tokens as positions, or one more"
        )
    targets = tokens[:, 1:]
    if targets.numel() == 0:
        raise ValueError(
            f"{len(tokens)} rows of {seq_tokens} tokens have no target; "
            "pass at least one row of at least 2 tokens"
        )
    predictions = logits if seq_tokens > seq else logits[:, :-1]
    return F.cross_entropy(
        rearrange(predictions, "batch seq d_vocab -> (batch seq) d_vocab"),
        rearrange(targets, "batch seq -> (batch seq)"),
    )


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
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; give 0 (greedy) or a number above it")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; give a whole number of at least 1, or leave it out")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; give a number above 0 and up to 1, or leave it out")
    if temperature == 0:
        return logits.argmax(dim=-1)

    float32 = torch.finfo(torch.float32)  # numbers outside its range become 0 and infinity
    temperature = min(max(temperature, float32.tiny), float32.max)
    relative = logits.float() - logits.amax(dim=-1, keepdim=True)
    descending, token_of_rank = (relative / temperature).sort(dim=-1, descending=True)
    if top_k is not None:
        descending[:, top_k:] = -math.inf
    probabilities = descending.softmax(dim=-1)
    if top_p is not None and top_p < 1:
        top_p = max(top_p, float32.tiny)
        probability_of_better_ranks = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities.masked_fill(probability_of_better_ranks >= top_p, 0.0)
    rank = torch.multinomial(probabilities, num_samples=1, generator=generator)
    return token_of_rank.gather(dim=-1, index=rank).squeeze(-1)


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
    if tokens.shape[1] == 0:
        raise ValueError("the prompt is empty; give at least one token to continue from")
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; give 0 or more")
    config: TransformerConfig = model.config  # type: ignore[assignment]
    was_training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            logits = model(tokens[:, -config.n_ctx :])
            next_token = sample(
                logits[:, -1],
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                generator=generator,
            )
            tokens = torch.cat([tokens, rearrange(next_token, "batch -> batch 1")], dim=1)
    finally:
        model.train(was_training)
    return tokens


def learning_rate(
    step: int,
    *,
    peak: float,
    warmup_steps: int,
    total_steps: int,
    final_fraction: float = 0.1,
) -> float:
    """The learning rate of a step, counted from 0: a linear warm-up, then half a cosine.

    It rises linearly to `peak` at step warmup_steps - 1, falls along a cosine to
    final_fraction * peak at step total_steps - 1, and stays there (Loshchilov and Hutter 2017,
    "SGDR", section 3, with the warm-up and the final tenth of Brown et al. 2020, "Language Models
    are Few-Shot Learners", appendix B).

    Raises ValueError for a rate, a fraction or numbers of steps that make no schedule. A warm-up of
    all steps makes one, whose last rate is the peak.
    """
    if not 0 <= peak < math.inf:
        raise ValueError(f"peak is {peak}; give a learning rate of at least 0")
    if not 0 <= final_fraction <= 1:
        raise ValueError(f"final_fraction is {final_fraction}; give a number from 0 to 1")
    if not 0 <= warmup_steps <= total_steps or total_steps < 1:
        raise ValueError(
            f"warmup_steps is {warmup_steps} and total_steps is {total_steps}; "
            "give at least 1 step in all, and no more of them to the warm-up"
        )
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    peak_step, last_step = max(warmup_steps - 1, 0), total_steps - 1
    progress = 1.0 if step >= last_step else (step - peak_step) / (last_step - peak_step)
    final = final_fraction * peak
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * progress))


def parameter_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """The model's parameters in two groups for an optimiser: matrices decay, vectors do not.

    Matrices are the parameters whose names begin with W; gains and biases are vectors, also those
    that are stored one row a head (Brown et al. 2020, appendix B; Loshchilov and Hutter 2019,
    "Decoupled Weight Decay Regularization", section 2).
    """
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_matrix = name.split(".")[-1].startswith("W")
        (matrices if is_matrix else vectors).append(parameter)
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def batch_loss(model: nn.Module, batch: Int[Tensor, "batch seq_plus_1"]) -> Float[Tensor, ""]:
    """The model's mean next-token loss, in nats, on windows that are one longer than it reads."""
    return next_token_loss(model(batch[:, :-1]), batch)


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


def synchronised(model: nn.Module, last: bool) -> AbstractContextManager[None]:
    """Let a distributed model exchange gradients on the last micro-batch only."""
    no_sync = getattr(model, "no_sync", None)
    return nullcontext() if last or no_sync is None else no_sync()


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
    if not batches:
        raise ValueError("a training step needs at least one micro-batch")
    if not max_grad_norm > 0:
        raise ValueError(f"max_grad_norm is {max_grad_norm}; give a number above 0")
    tokens = sum(batch[:, 1:].numel() for batch in batches)
    optimizer.zero_grad()
    losses = []
    for number, batch in enumerate(batches, start=1):
        with synchronised(model, last=number == len(batches)):
            weighted_loss = loss(model, batch) * (batch[:, 1:].numel() / tokens)
            weighted_loss.backward()
        losses.append(weighted_loss.detach())
    mean_loss = torch.stack(losses).sum().item()
    grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item()
    if not (math.isfinite(mean_loss) and math.isfinite(grad_norm)):
        raise FloatingPointError(
            f"the loss is {mean_loss} and the gradient's norm {grad_norm}; "
            "the weights were left as they were; try a lower learning rate"
        )
    optimizer.step()
    return StepResult(mean_loss, grad_norm, tokens)


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
    tokens = 0
    for step, batches in enumerate(steps):
        rate = schedule(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        result = train_step(model, batches, optimizer, max_grad_norm=max_grad_norm, loss=loss)
        tokens += result.tokens
        yield TrainRecord(step + 1, result.loss, result.grad_norm, rate, tokens)
