"""Define a correct GPT-2 whose parts call more of each other than the contract states.

It is a script too: it compiles a function, and ends with gradients switched off.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12
    d_head: int | None = None
    d_mlp: int | None = None
    n_ctx: int = 1024
    d_vocab: int = 50257
    layer_norm_eps: float = 1e-5
    init_std: float = 0.02
    dropout: float = 0.0
    tied_embeddings: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "d_head", self.d_head or self.d_model // self.n_heads)
        object.__setattr__(self, "d_mlp", self.d_mlp or 4 * self.d_model)


def matrix(*shape: int, std: float) -> nn.Parameter:
    return nn.Parameter(std * torch.randn(shape))


class Embedding(nn.Module):
    def __init__(self, config) -> None:
        super().__init__()
        self.W_E = matrix(config.d_vocab, config.d_model, std=config.init_std)

    def forward(self, tokens):
        return F.embedding(tokens, self.W_E)

    def attend(self, x):
        """The logits of the tied unembedding."""
        return x @ self.W_E.mT


class PositionalEmbedding(nn.Module):
    def __init__(self, config) -> None:
        super().__init__()
        self.W_pos = matrix(config.n_ctx, config.d_model, std=config.init_std)

    def forward(self, tokens, offset=0):
        if offset + tokens.size(1) > len(self.W_pos):
            raise ValueError("more positions than n_ctx")
        return self.W_pos[offset : offset + tokens.size(1)].expand(len(tokens), -1, -1)


class LayerNorm(nn.Module):
    def __init__(self, config) -> None:
        super().__init__()
        self.eps = config.layer_norm_eps
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x):
        return F.layer_norm(x, self.w.shape, self.w, self.b, self.eps)


class MultiHeadAttention(nn.Module):
    def __init__(self, config) -> None:
        super().__init__()
        heads, width, d_head = config.n_heads, config.d_model, config.d_head
        for name in "QKV":
            setattr(self, f"W_{name}", matrix(heads, width, d_head, std=config.init_std))
            setattr(self, f"b_{name}", nn.Parameter(torch.zeros(heads, d_head)))
        std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_O = matrix(heads, d_head, width, std=std)
        self.b_O = nn.Parameter(torch.zeros(width))
        self.p = config.dropout

    def forward(self, x, mask=None):
        if mask is None:
            mask = causal_mask(x)
        query, key, value = (
            torch.einsum("bsm,nmh->bnsh", x, getattr(self, f"W_{name}"))
            + getattr(self, f"b_{name}")[:, None]
            for name in "QKV"
        )
        scores = query @ key.mT / math.sqrt(query.size(-1)) + mask
        pattern = F.dropout(scores.softmax(-1), self.p, self.training)
        output = torch.einsum("bnsh,nhm->bsm", pattern @ value, self.W_O) + self.b_O
        return F.dropout(output, self.p, self.training)


def causal_mask(x):
    """Zeros, and minus infinity at later positions [seq seq]."""
    return torch.full((x.size(1),) * 2, -torch.inf, device=x.device, dtype=x.dtype).triu(1)


@torch.compile
def activation(x):
    return F.gelu(x, approximate="tanh")


class MLP(nn.Module):
    def __init__(self, config) -> None:
        super().__init__()
        std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_in = matrix(config.d_model, config.d_mlp, std=config.init_std)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = matrix(config.d_mlp, config.d_model, std=std)
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x):
        return self.drop(activation(x @ self.W_in + self.b_in) @ self.W_out + self.b_out)


class FeedForward(MLP):
    """A subclass under another name."""


class TransformerBlock(nn.Module):
    def __init__(self, config) -> None:
        super().__init__()
        self.ln1, self.ln2 = LayerNorm(config), LayerNorm(config)
        self.attn, self.mlp = MultiHeadAttention(config), FeedForward(config)

    def forward(self, x, mask=None):
        x = x + self.attn(self.ln1(x), mask)
        return x + self.mlp(self.ln2(x))


class Unembedding(nn.Module):
    def __init__(self, config) -> None:
        super().__init__()
        self.W_U = matrix(config.d_model, config.d_vocab, std=config.init_std)
        self.b_U = nn.Parameter(torch.zeros(config.d_vocab))

    def forward(self, x):
        return torch.tensordot(x, self.W_U, dims=1) + self.b_U


class Transformer(nn.Module):
    def __init__(self, config) -> None:
        super().__init__()
        self.config = config
        self.embed, self.pos_embed = Embedding(config), PositionalEmbedding(config)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([TransformerBlock(config) for _ in range(config.n_layers)])
        self.ln_final = LayerNorm(config)
        if not config.tied_embeddings:
            self.unembed = Unembedding(config)

    def forward(self, tokens):
        x = self.drop(self.embed(tokens) + self.pos_embed(tokens, offset=0))
        mask = causal_mask(x)
        for block in self.blocks:
            x = block(x, mask=mask)
        x = self.ln_final(x)
        return self.embed.attend(x) if self.config.tied_embeddings else self.unembed(x)

    @torch.no_grad()
    def continued(self, tokens, count, *settings):
        """The tokens, continued by some more."""
        was_training = self.training
        self.eval()
        for _ in range(count):
            logits = self(tokens[:, -self.config.n_ctx :])[:, -1]
            tokens = torch.cat([tokens, sample(logits, *settings)[:, None]], dim=1)
        self.train(was_training)
        return tokens


def next_token_loss(logits, tokens):
    seq, targets = logits.size(1), tokens[:, 1:]
    if tokens.size(1) not in (seq, seq + 1) or not targets.numel():
        raise ValueError("as many tokens as logits, or one more, and at least one target")
    return F.cross_entropy(logits[:, : targets.size(1)].transpose(1, 2), targets)


def sample(logits, temperature=1.0, top_k=None, top_p=None, generator=None):
    """Also with arguments by position, as `Transformer.continued` calls it."""
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError("temperature of at least 0, top_k of at least 1")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError("top_p above 0 and up to 1")
    if temperature == 0:
        return logits.argmax(-1)
    values, ids = (logits / temperature).sort(-1, descending=True)
    shares = values[:, :top_k].softmax(-1)
    if top_p is not None:
        shares = shares * (shares.cumsum(-1) - shares < top_p)
    return ids.gather(-1, torch.multinomial(shares, 1, generator=generator))[:, 0]


def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if tokens.size(1) == 0 or max_new_tokens < 0:
        raise ValueError("an empty prompt, or a negative number of tokens")
    return model.continued(tokens, max_new_tokens, temperature, top_k, top_p, generator)


def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    if not 0 <= peak < math.inf or not 0 <= final_fraction <= 1:
        raise ValueError("a rate of at least 0, a fraction from 0 to 1")
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError("the warm-up is a part of at least one step")
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    done = min(1.0, (step + 1 - warmup_steps) / max(1, total_steps - warmup_steps))
    return peak * (1 - (1 - final_fraction) * math.sin(math.pi / 2 * done) ** 2)


def parameter_groups(model, *, weight_decay):
    vectors = [p for name, p in model.named_parameters() if name.split(".")[-1][0] in "wb"]
    identities = set(map(id, vectors))
    matrices = [p for p in model.parameters() if id(p) not in identities]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


@dataclass
class StepResult:
    loss: float
    grad_norm: float
    tokens: int
    clipped: bool


@dataclass
class TrainRecord:
    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int
    clipped: bool


def train_step(model, batches, optimizer, *, max_grad_norm=1.0):
    if not batches or max_grad_norm <= 0:
        raise ValueError("at least one micro-batch, and a norm above 0")
    tokens, total = sum(batch[:, 1:].numel() for batch in batches), 0.0
    optimizer.zero_grad()
    for batch in batches:
        loss = next_token_loss(model(batch[:, :-1]), batch) * batch[:, 1:].numel() / tokens
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item()
    if not math.isfinite(total + norm):
        raise FloatingPointError(f"the loss is {total}, the norm {norm}")
    optimizer.step()
    return StepResult(total, norm, tokens, norm > max_grad_norm)


def train(model, steps, optimizer, *, schedule, max_grad_norm=1.0):
    seen = 0
    for number, batches in enumerate(steps, start=1):
        rate = schedule(number - 1)
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        result = train_step(model, batches, optimizer, max_grad_norm=max_grad_norm)
        seen += result.tokens
        yield TrainRecord(number, result.loss, result.grad_norm, rate, seen, clipped=result.clipped)


torch.set_grad_enabled(False)
