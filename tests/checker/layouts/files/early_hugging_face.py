"""Define GPT-2 with the classes of pytorch-pretrained-BERT: Conv1D, Block, a tied head."""

import math

import torch
from torch import nn


def gelu(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


class LayerNorm(nn.Module):
    def __init__(self, hidden_size, eps=1e-12):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))
        self.eps = eps

    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        variance = centred.pow(2).mean(-1, keepdim=True)
        return self.weight * centred / torch.sqrt(variance + self.eps) + self.bias


class Conv1D(nn.Module):
    def __init__(self, nf, nx):
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(torch.randn(nx, nf) * 0.02)
        self.bias = nn.Parameter(torch.zeros(nf))

    def forward(self, x):
        out = torch.addmm(self.bias, x.reshape(-1, x.size(-1)), self.weight)
        return out.view(*x.shape[:-1], self.nf)


class Attention(nn.Module):
    def __init__(self, nx, n_ctx, config, scale=False):
        super().__init__()
        self.n_head = config.n_head
        self.scale = scale
        self.register_buffer("bias", torch.tril(torch.ones(n_ctx, n_ctx)).bool())
        self.c_attn = Conv1D(3 * nx, nx)
        self.c_proj = Conv1D(nx, nx)
        self.attn_dropout = nn.Dropout(config.attn_pdrop)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x):
        batch, seq, width = x.shape
        heads = [
            each.view(batch, seq, self.n_head, width // self.n_head).transpose(1, 2)
            for each in self.c_attn(x).split(width, dim=2)
        ]
        query, key, value = heads
        scores = query @ key.transpose(-2, -1)
        if self.scale:
            scores = scores / math.sqrt(value.size(-1))
        scores = scores.masked_fill(~self.bias[:seq, :seq], -1e10)
        found = self.attn_dropout(scores.softmax(dim=-1)) @ value
        out = self.resid_dropout(self.c_proj(found.transpose(1, 2).reshape(batch, seq, width)))
        return out, torch.stack((key, value))


class MLP(nn.Module):
    def __init__(self, n_state, config):
        super().__init__()
        self.c_fc = Conv1D(n_state, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, n_state)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x):
        return self.dropout(self.c_proj(gelu(self.c_fc(x))))


class Block(nn.Module):
    def __init__(self, n_ctx, config, scale=False):
        super().__init__()
        nx = config.n_embd
        self.ln_1 = LayerNorm(nx, eps=config.layer_norm_epsilon)
        self.attn = Attention(nx, n_ctx, config, scale)
        self.ln_2 = LayerNorm(nx, eps=config.layer_norm_epsilon)
        self.mlp = MLP(4 * nx, config)

    def forward(self, x):
        attended, present = self.attn(self.ln_1(x))
        x = x + attended
        return x + self.mlp(self.ln_2(x)), present


class GPT2Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        blocks = [Block(config.n_ctx, config, scale=True) for _ in range(config.n_layer)]
        self.h = nn.ModuleList(blocks)
        self.ln_f = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)

    def forward(self, ids):
        x = self.drop(self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device)))
        for block in self.h:
            x, _ = block(x)
        return self.ln_f(x)


class GPT2LMHead(nn.Module):
    def __init__(self, table, config):
        super().__init__()
        self.decoder = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.decoder.weight = table

    def forward(self, hidden):
        return self.decoder(hidden)


class GPT2LMHeadModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.transformer = GPT2Model(config)
        self.lm_head = GPT2LMHead(self.transformer.wte.weight, config)

    def forward(self, ids):
        return self.lm_head(self.transformer(ids)), None
