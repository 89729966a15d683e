"""Define a correct GPT-2 of torch's fused operations, without taps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn as nn
import torch.nn.functional as F


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
    compile_me: bool = False

    def __post_init__(self):
        if self.d_head is None:
            object.__setattr__(self, "d_head", self.d_model // self.n_heads)
        if self.d_mlp is None:
            object.__setattr__(self, "d_mlp", 4 * self.d_model)

    def smaller(self, **changes):
        return replace(self, **changes)


def weight(std, *shape):
    return nn.Parameter(std * torch.randn(*shape))


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w, self.b = (
            nn.Parameter(torch.ones(config.d_model)),
            nn.Parameter(torch.zeros(config.d_model)),
        )
        self.eps = config.layer_norm_eps

    def forward(self, x):
        return F.layer_norm(x, self.w.shape, self.w, self.b, self.eps)

    def extra_repr(self):
        return f"eps={self.eps}"


class Embedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_E = weight(config.init_std, config.d_vocab, config.d_model)

    def forward(self, tokens):
        return F.embedding(tokens, self.W_E)


class PositionalEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_pos = weight(config.init_std, config.n_ctx, config.d_model)
        self.register_buffer("positions", torch.arange(config.n_ctx), persistent=False)

    def forward(self, tokens):
        if tokens.shape[1] > self.W_pos.shape[0]:
            raise ValueError(f"{tokens.shape[1]} tokens, at most {self.W_pos.shape[0]}")
        return F.embedding(self.positions[: tokens.size(1)], self.W_pos).expand(len(tokens), -1, -1)


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        h, d, e = config.n_heads, config.d_model, config.d_head
        self.W_Q, self.W_K, self.W_V = (weight(config.init_std, h, d, e) for _ in range(3))
        self.b_Q, self.b_K, self.b_V = (nn.Parameter(torch.zeros(h, e)) for _ in range(3))
        self.W_O = weight(config.init_std / math.sqrt(2 * config.n_layers), h, e, d)
        self.b_O = nn.Parameter(torch.zeros(d))
        self.drop = nn.Dropout(config.dropout)

    def fused(self):
        W = torch.stack([self.W_Q, self.W_K, self.W_V])
        return W.permute(0, 1, 3, 2).flatten(0, 2), torch.stack(
            [self.b_Q, self.b_K, self.b_V]
        ).flatten()

    def forward(self, x):
        b, s, d = x.shape
        h, e = self.b_Q.shape
        q, k, v = F.linear(x, *self.fused()).view(b, s, 3, h, e).permute(2, 0, 3, 1, 4)
        p = self.drop.p if self.training else 0.0
        z = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        out = z.transpose(1, 2).reshape(b, s, h * e) @ self.W_O.reshape(h * e, d)
        return self.drop(out + self.b_O)


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_in = weight(config.init_std, config.d_model, config.d_mlp)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = weight(
            config.init_std / math.sqrt(2 * config.n_layers), config.d_mlp, config.d_model
        )
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.act = nn.GELU("tanh")
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x):
        hidden = torch.addmm(self.b_in, x.reshape(-1, x.size(-1)), self.W_in)
        out = torch.addmm(self.b_out, self.act(hidden), self.W_out)
        return self.drop(out).view_as(x)


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1, self.ln2 = LayerNorm(config), LayerNorm(config)
        self.attn, self.mlp = MultiHeadAttention(config), MLP(config)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        out = self.mlp(self.ln2(x))
        out += x
        return out


class Unembedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_U = weight(config.init_std, config.d_model, config.d_vocab)
        self.b_U = nn.Parameter(torch.zeros(config.d_vocab))

    def forward(self, x):
        return F.linear(x, self.W_U.T, self.b_U)


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed, self.pos_embed = Embedding(config), PositionalEmbedding(config)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([TransformerBlock(config) for _ in range(config.n_layers)])
        self.ln_final = LayerNorm(config)
        if not config.tied_embeddings:
            self.unembed = Unembedding(config)

    def count(self):
        return sum(p.numel() for p in self.parameters())

    def forward(self, tokens):
        if tokens.shape[1] > self.config.n_ctx:
            raise ValueError(f"{tokens.shape[1]} tokens, at most {self.config.n_ctx}")
        x = self.drop(self.embed(tokens) + self.pos_embed(tokens))
        for block in self.blocks:
            x = block(x)
        x = self.ln_final(x)
        return F.linear(x, self.embed.W_E) if self.config.tied_embeddings else self.unembed(x)


def next_token_loss(logits, tokens):
    if tokens.shape[1] - logits.shape[1] not in (0, 1) or tokens[:, 1:].numel() == 0:
        raise ValueError(f"{tuple(tokens.shape)} tokens for {tuple(logits.shape)} logits")
    n = tokens.size(1) - 1
    log_probs = logits[:, :n].log_softmax(-1)
    return -log_probs.gather(-1, tokens[:, 1:, None]).mean()


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """Sample with Gumbel noise and cuts on the unsorted logits."""
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError(f"temperature {temperature}, top_k {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p {top_p}")
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits / temperature
    if top_k is not None:
        kth = logits.topk(min(top_k, logits.size(-1))).values[:, -1:]
        logits = logits.where(logits >= kth, float("-inf"))
    if top_p is not None:
        probs, order = logits.softmax(-1).sort(descending=True)
        keep = (probs.cumsum(-1) - probs < top_p).gather(-1, order.argsort(-1))
        logits = logits.where(keep, float("-inf"))
    noise = torch.empty_like(logits).exponential_(generator=generator)
    return (logits.softmax(-1) / noise).argmax(-1)


@torch.inference_mode()
def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if tokens.shape[1] == 0 or max_new_tokens < 0:
        raise ValueError(f"{tokens.shape[1]} tokens and {max_new_tokens} new ones")
    mode = model.training
    model.eval()
    out = torch.cat([tokens, tokens.new_zeros(len(tokens), max_new_tokens)], dim=1)
    for i in range(tokens.size(1), out.size(1)):
        window = out[:, max(0, i - model.config.n_ctx) : i]
        out[:, i] = sample(
            model(window)[:, -1],
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            generator=generator,
        )
    model.train(mode)
    return out.clone()


def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    if not peak >= 0 or not 0 <= final_fraction <= 1:
        raise ValueError(f"peak {peak}, final_fraction {final_fraction}")
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError(f"{warmup_steps} of {total_steps} steps")
    if step < warmup_steps:
        return peak / warmup_steps * (step + 1)
    done = min(1.0, (step - warmup_steps + 1) / max(1, total_steps - warmup_steps))
    low = peak * final_fraction
    return low + (peak - low) * math.cos(0.5 * math.pi * done) ** 2


def parameter_groups(model, *, weight_decay):
    decays = {n for n, _ in model.named_parameters() if "W_" in n}
    named = list(model.named_parameters())
    return [
        dict(params=[p for n, p in named if n not in decays], weight_decay=0.0),
        dict(params=[p for n, p in named if n in decays], weight_decay=weight_decay),
    ]


@dataclass
class StepResult:
    loss: float
    grad_norm: float
    tokens: int


@dataclass
class TrainRecord(StepResult):
    step: int = 0
    learning_rate: float = 0.0


def train_step(model, batches, optimizer, *, max_grad_norm=1.0):
    if not batches or not max_grad_norm > 0:
        raise ValueError(f"{len(batches)} micro-batches, max_grad_norm {max_grad_norm}")
    optimizer.zero_grad(set_to_none=True)
    total = sum(b[:, 1:].numel() for b in batches)
    loss = 0.0
    for i, batch in enumerate(batches):
        if hasattr(model, "require_backward_grad_sync"):
            model.require_backward_grad_sync = i == len(batches) - 1
        part = next_token_loss(model(batch[:, :-1]), batch) * batch[:, 1:].numel() / total
        part.backward()
        loss += part.item()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise FloatingPointError(f"loss {loss}, gradient {float(norm)}")
    optimizer.step()
    return StepResult(loss, float(norm), total)


def train(model, steps, optimizer, *, schedule, max_grad_norm=1.0):
    seen = 0
    for i, batches in enumerate(steps):
        lr = schedule(i)
        for group in optimizer.param_groups:
            group.update(lr=lr)
        result = train_step(model.train(), batches, optimizer, max_grad_norm=max_grad_norm)
        seen += result.tokens
        yield TrainRecord(result.loss, result.grad_norm, seen, i + 1, lr)
