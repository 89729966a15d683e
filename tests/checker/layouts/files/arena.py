"""Define a GPT with the names, shapes and config of ARENA's transformer from scratch."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass
class Config:
    d_model: int = 768
    debug: bool = True
    layer_norm_eps: float = 1e-5
    d_vocab: int = 50257
    init_range: float = 0.02
    n_ctx: int = 1024
    d_head: int = 64
    d_mlp: int = 3072
    n_heads: int = 12
    n_layers: int = 12


def drawn(cfg, *shape):
    return nn.Parameter(cfg.init_range * torch.randn(*shape))


def zeros(*shape):
    return nn.Parameter(torch.zeros(*shape))


class LayerNorm(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.w = nn.Parameter(torch.ones(cfg.d_model))
        self.b = zeros(cfg.d_model)

    def forward(self, residual):
        centred = residual - residual.mean(dim=-1, keepdim=True)
        variance = residual.var(dim=-1, keepdim=True, unbiased=False)
        return centred / (variance + self.cfg.layer_norm_eps).sqrt() * self.w + self.b


class Embed(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.W_E = drawn(cfg, cfg.d_vocab, cfg.d_model)

    def forward(self, tokens):
        return self.W_E[tokens]


class PosEmbed(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.W_pos = drawn(cfg, cfg.n_ctx, cfg.d_model)

    def forward(self, tokens):
        batch, seq = tokens.shape
        return self.W_pos[:seq].expand(batch, -1, -1)


class Attention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        for name in "QKV":
            setattr(self, f"W_{name}", drawn(cfg, cfg.n_heads, cfg.d_model, cfg.d_head))
            setattr(self, f"b_{name}", zeros(cfg.n_heads, cfg.d_head))
        self.W_O = drawn(cfg, cfg.n_heads, cfg.d_head, cfg.d_model)
        self.b_O = zeros(cfg.d_model)
        self.register_buffer("IGNORE", torch.tensor(float("-inf")))

    def forward(self, normalized):
        query, key, value = (
            torch.einsum("bsd,hde->bshe", normalized, weight) + bias
            for weight, bias in (
                (self.W_Q, self.b_Q),
                (self.W_K, self.b_K),
                (self.W_V, self.b_V),
            )
        )
        scores = torch.einsum("bqhe,bkhe->bhqk", query, key) / self.cfg.d_head**0.5
        future = torch.ones(scores.shape[-2:], device=scores.device).triu(1).bool()
        pattern = scores.masked_fill(future, self.IGNORE).softmax(dim=-1)
        z = torch.einsum("bhqk,bkhe->bqhe", pattern, value)
        return torch.einsum("bqhe,hed->bqd", z, self.W_O) + self.b_O


class MLP(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.W_in, self.b_in = drawn(cfg, cfg.d_model, cfg.d_mlp), zeros(cfg.d_mlp)
        self.W_out, self.b_out = drawn(cfg, cfg.d_mlp, cfg.d_model), zeros(cfg.d_model)

    def forward(self, normalized):
        hidden = F.gelu(normalized @ self.W_in + self.b_in, approximate="tanh")
        return hidden @ self.W_out + self.b_out


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.ln1, self.attn = LayerNorm(cfg), Attention(cfg)
        self.ln2, self.mlp = LayerNorm(cfg), MLP(cfg)

    def forward(self, resid_pre):
        resid_mid = resid_pre + self.attn(self.ln1(resid_pre))
        return resid_mid + self.mlp(self.ln2(resid_mid))


class Unembed(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.W_U = drawn(cfg, cfg.d_model, cfg.d_vocab)
        self.b_U = zeros(cfg.d_vocab)

    def forward(self, final):
        return final @ self.W_U + self.b_U


class DemoTransformer(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.embed, self.pos_embed = Embed(cfg), PosEmbed(cfg)
        self.blocks = nn.ModuleList(TransformerBlock(cfg) for _ in range(cfg.n_layers))
        self.ln_final, self.unembed = LayerNorm(cfg), Unembed(cfg)

    def forward(self, tokens):
        residual = self.embed(tokens) + self.pos_embed(tokens)
        for block in self.blocks:
            residual = block(residual)
        return self.unembed(self.ln_final(residual))
