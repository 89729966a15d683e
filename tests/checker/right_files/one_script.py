"""One short script: fused products, views, transposes, no taps, a loss by flattening."""

import math

import torch
import torch.nn as nn
from torch.nn import functional as F


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))
        self.eps = config.layer_norm_eps

    def forward(self, input):
        return F.layer_norm(input, self.w.shape, self.w, self.b, self.eps)


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        assert config.d_model % config.n_heads == 0
        H, C, D = config.n_heads, config.d_model, config.d_head
        for name in "QKV":
            setattr(self, f"W_{name}", nn.Parameter(torch.empty(H, C, D)))
            setattr(self, f"b_{name}", nn.Parameter(torch.zeros(H, D)))
            nn.init.normal_(getattr(self, f"W_{name}"), std=config.init_std)
        self.W_O = nn.Parameter(torch.empty(H, D, C))
        nn.init.normal_(self.W_O, std=config.init_std / math.sqrt(2 * config.n_layers))
        self.b_O = nn.Parameter(torch.zeros(C))
        self.n_head, self.n_embd = H, C
        self.attn_dropout = nn.Dropout(config.dropout)
        self.resid_dropout = nn.Dropout(config.dropout)
        mask = torch.tril(torch.ones(config.n_ctx, config.n_ctx))
        self.register_buffer("bias", mask[None, None], persistent=False)

    def forward(self, x):
        B, T, C = x.size()
        fused = torch.cat([self.W_Q, self.W_K, self.W_V])  # (3H, C, D)
        fused = fused.permute(1, 0, 2).reshape(C, 3 * C)
        bias = torch.cat([self.b_Q, self.b_K, self.b_V]).flatten()
        q, k, v = (x @ fused + bias).split(self.n_embd, dim=2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
        att = self.attn_dropout(F.softmax(att, dim=-1))
        y = (att @ v).transpose(1, 2).contiguous().view(B, T, C)
        return self.resid_dropout(y @ self.W_O.reshape(C, C) + self.b_O)


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_in = nn.Parameter(torch.randn(config.d_model, config.d_mlp) * config.init_std)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_out = nn.Parameter(torch.randn(config.d_mlp, config.d_model) * std)
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.gelu = nn.GELU(approximate="tanh")
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        x = x @ self.W_in + self.b_in
        x = self.gelu(x)
        x = x @ self.W_out + self.b_out
        return self.dropout(x)


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1 = LayerNorm(config)
        self.attn = MultiHeadAttention(config)
        self.ln2 = LayerNorm(config)
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        x = x + self.mlp(self.ln2(x))
        return x


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed = Embedding(config)
        self.pos_embed = PositionalEmbedding(config)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([TransformerBlock(config) for _ in range(config.n_layers)])
        self.ln_final = LayerNorm(config)
        self.unembed = None if config.tied_embeddings else Unembedding(config)

    def forward(self, idx):
        if idx.shape[1] > self.config.n_ctx:
            raise ValueError(f"{idx.shape[1]} tokens, at most {self.config.n_ctx}")
        x = self.drop(self.embed(idx) + self.pos_embed(idx))
        for block in self.blocks:
            x = block(x)
        x = self.ln_final(x)
        return x @ self.embed.W_E.T if self.unembed is None else self.unembed(x)


def next_token_loss(logits, tokens):
    if tokens.shape[1] - logits.shape[1] not in (0, 1) or tokens[:, 1:].numel() == 0:
        raise ValueError(f"{tuple(tokens.shape)} tokens for {tuple(logits.shape)} logits")
    targets = tokens[:, 1:].contiguous()
    logits = logits[:, : targets.size(1)].contiguous()
    return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError(f"temperature {temperature}, top_k {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p {top_p}")
    if temperature == 0:
        return torch.argmax(logits, dim=-1)
    logits = logits / temperature
    if top_k is not None:
        v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
        logits = torch.where(logits < v[:, [-1]], -float("Inf"), logits)
    if top_p is not None:
        ordered, index = torch.sort(logits, descending=True)
        cumulative = ordered.softmax(dim=-1).cumsum(dim=-1)
        remove = cumulative >= top_p
        remove[..., 1:] = remove[..., :-1].clone()
        remove[..., 0] = False
        logits = logits.masked_fill(remove.scatter(1, index, remove), -float("Inf"))
    return torch.multinomial(logits.softmax(-1), num_samples=1, generator=generator).squeeze(1)


@torch.no_grad()
def generate(
    model, idx, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if idx.shape[1] == 0 or max_new_tokens < 0:
        raise ValueError(f"{idx.shape[1]} tokens and {max_new_tokens} new ones")
    mode = model.training
    model.eval()
    for _ in range(max_new_tokens):
        block_size = model.config.n_ctx
        idx_cond = idx if idx.size(1) <= block_size else idx[:, -block_size:]
        logits = model(idx_cond)[:, -1, :]
        options = dict(temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
        idx = torch.cat((idx, sample(logits, **options).unsqueeze(1)), dim=1)
    model.train(mode)
    return idx


def learning_rate(it, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    if not peak >= 0 or not 0 <= final_fraction <= 1:
        raise ValueError(f"peak {peak}, final_fraction {final_fraction}")
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError(f"{warmup_steps} of {total_steps} steps")
    min_lr = peak * final_fraction
    if it < warmup_steps:
        return peak * (it + 1) / warmup_steps
    if it >= total_steps - 1:
        return min_lr
    start = max(warmup_steps - 1, 0)
    decay_ratio = (it - start) / (total_steps - 1 - start)
    coeff = 0.5 * (1.0 + math.cos(math.pi * decay_ratio))
    return min_lr + coeff * (peak - min_lr)


def parameter_groups(model, *, weight_decay):
    params = {name: p for name, p in model.named_parameters() if p.requires_grad}
    decay = [p for n, p in params.items() if n.rpartition(".")[2].startswith("W")]
    nodecay = [p for n, p in params.items() if not n.rpartition(".")[2].startswith("W")]
    return [
        {"params": decay, "weight_decay": weight_decay},
        {"params": nodecay, "weight_decay": 0.0},
    ]
