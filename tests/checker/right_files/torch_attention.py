"""torch's own operations: scaled_dot_product_attention, layer_norm, gelu, linear."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.shape, self.eps = (config.d_model,), config.layer_norm_eps
        self.w = nn.Parameter(torch.ones(self.shape))
        self.b = nn.Parameter(torch.zeros(self.shape))

    def forward(self, x):
        return F.layer_norm(x, self.shape, self.w, self.b, self.eps)


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        h, c, d = config.n_heads, config.d_model, config.d_head
        self.p = config.dropout
        std, out_std = config.init_std, config.init_std / math.sqrt(2 * config.n_layers)
        self.W_Q = nn.Parameter(std * torch.randn(h, c, d))
        self.W_K = nn.Parameter(std * torch.randn(h, c, d))
        self.W_V = nn.Parameter(std * torch.randn(h, c, d))
        self.W_O = nn.Parameter(out_std * torch.randn(h, d, c))
        self.b_Q = nn.Parameter(torch.zeros(h, d))
        self.b_K = nn.Parameter(torch.zeros(h, d))
        self.b_V = nn.Parameter(torch.zeros(h, d))
        self.b_O = nn.Parameter(torch.zeros(c))

    def forward(self, x):
        q = torch.einsum("btc,hcd->bhtd", x, self.W_Q) + self.b_Q[:, None]
        k = torch.einsum("btc,hcd->bhtd", x, self.W_K) + self.b_K[:, None]
        v = torch.einsum("btc,hcd->bhtd", x, self.W_V) + self.b_V[:, None]
        p = self.p if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)
        y = torch.einsum("bhtd,hdc->btc", y, self.W_O) + self.b_O
        return F.dropout(y, self.p, self.training)


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.p = config.dropout
        std, out_std = config.init_std, config.init_std / math.sqrt(2 * config.n_layers)
        self.W_in = nn.Parameter(std * torch.randn(config.d_model, config.d_mlp))
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = nn.Parameter(out_std * torch.randn(config.d_mlp, config.d_model))
        self.b_out = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x):
        h = F.linear(x, self.W_in.T, self.b_in)
        h = F.gelu(h, approximate="tanh")
        h = F.linear(h, self.W_out.T, self.b_out)
        return F.dropout(h, self.p, self.training)


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1 = LayerNorm(config)
        self.attn = MultiHeadAttention(config)
        self.ln2 = LayerNorm(config)
        self.mlp = MLP(config)

    def forward(self, x):
        h = x + self.attn(self.ln1(x))
        return h + self.mlp(self.ln2(h))


class Embedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_E = nn.Parameter(torch.randn(config.d_vocab, config.d_model) * config.init_std)

    def forward(self, idx):
        return self.W_E[idx]


class PositionalEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_pos = nn.Parameter(torch.randn(config.n_ctx, config.d_model) * config.init_std)

    def forward(self, idx):
        B, T = idx.size()
        if len(self.W_pos) < T:
            raise ValueError(f"cannot forward sequence of length {T}")
        pos = torch.arange(T, device=idx.device)
        return self.W_pos[pos].expand(B, -1, -1)


class Unembedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_U = nn.Parameter(torch.randn(config.d_model, config.d_vocab) * config.init_std)
        self.b_U = nn.Parameter(torch.zeros(config.d_vocab))

    def forward(self, x):
        return x @ self.W_U + self.b_U


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
        x = self.drop(self.embed(idx) + self.pos_embed(idx))
        for block in self.blocks:
            x = block(x)
        x = self.ln_final(x)
        if self.unembed is None:
            return x @ self.embed.W_E.T
        return self.unembed(x)


def next_token_loss(logits, tokens):
    B, T, V = logits.shape
    if tokens.shape[1] not in (T, T + 1) or tokens[:, 1:].numel() == 0:
        raise ValueError("tokens do not fit the logits")
    targets = tokens[:, 1:]
    logits = logits[:, : targets.shape[1]]
    return F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1))


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError("bad temperature or top_k")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError("bad top_p")
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits / temperature
    if top_k is not None:
        v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
        logits = logits.masked_fill(logits < v[:, [-1]], -float("inf"))
    if top_p is not None:
        sorted_logits, sorted_indices = torch.sort(logits, descending=True, dim=-1)
        cumulative = F.softmax(sorted_logits, dim=-1).cumsum(dim=-1)
        remove = cumulative > top_p
        remove[:, 1:] = remove[:, :-1].clone()
        remove[:, 0] = False
        logits = logits.masked_fill(remove.scatter(1, sorted_indices, remove), -float("inf"))
    probs = F.softmax(logits, dim=-1)
    return torch.multinomial(probs, num_samples=1, generator=generator).squeeze(-1)


@torch.no_grad()
def generate(
    model, idx, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if idx.shape[1] == 0 or max_new_tokens < 0:
        raise ValueError("nothing to do")
    mode = model.training
    model.eval()
    for _ in range(max_new_tokens):
        idx_cond = idx[:, -model.config.n_ctx :]
        logits = model(idx_cond)
        logits = logits[:, -1, :]
        idx_next = sample(
            logits, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator
        )
        idx = torch.cat((idx, idx_next[:, None]), dim=1)
    model.train(mode)
    return idx
