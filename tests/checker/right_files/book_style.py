"""As in a book: contiguous views, a mask buffer for n_ctx, a GELU module of its own."""

import torch
import torch.nn as nn


class LayerNorm(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.eps = cfg.layer_norm_eps
        self.w = nn.Parameter(torch.ones(cfg.d_model))
        self.b = nn.Parameter(torch.zeros(cfg.d_model))

    def forward(self, x):
        mean = x.mean(dim=-1, keepdim=True)
        var = x.var(dim=-1, keepdim=True, unbiased=False)
        norm_x = (x - mean) / torch.sqrt(var + self.eps)
        return self.w * norm_x + self.b


class MultiHeadAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.d_out, self.num_heads, self.head_dim = cfg.d_model, cfg.n_heads, cfg.d_head

        def weight(*shape, std=cfg.init_std):
            return nn.Parameter(nn.init.normal_(torch.empty(*shape), 0.0, std))

        self.W_Q = weight(cfg.n_heads, cfg.d_model, cfg.d_head)
        self.W_K = weight(cfg.n_heads, cfg.d_model, cfg.d_head)
        self.W_V = weight(cfg.n_heads, cfg.d_model, cfg.d_head)
        out_std = cfg.init_std / (2 * cfg.n_layers) ** 0.5
        self.W_O = weight(cfg.n_heads, cfg.d_head, cfg.d_model, std=out_std)
        self.b_Q = nn.Parameter(torch.zeros(cfg.n_heads, cfg.d_head))
        self.b_K = nn.Parameter(torch.zeros(cfg.n_heads, cfg.d_head))
        self.b_V = nn.Parameter(torch.zeros(cfg.n_heads, cfg.d_head))
        self.b_O = nn.Parameter(torch.zeros(cfg.d_model))
        self.dropout = nn.Dropout(cfg.dropout)
        self.out_dropout = nn.Dropout(cfg.dropout)
        mask = torch.triu(torch.ones(cfg.n_ctx, cfg.n_ctx), diagonal=1)
        self.register_buffer("mask", mask, persistent=False)

    def project(self, x, W, b):
        return x @ W.permute(1, 0, 2).flatten(1) + b.flatten()

    def forward(self, x):
        b, num_tokens, d_in = x.shape

        keys = self.project(x, self.W_K, self.b_K)
        queries = self.project(x, self.W_Q, self.b_Q)
        values = self.project(x, self.W_V, self.b_V)

        keys = keys.view(b, num_tokens, self.num_heads, self.head_dim)
        values = values.view(b, num_tokens, self.num_heads, self.head_dim)
        queries = queries.view(b, num_tokens, self.num_heads, self.head_dim)
        keys = keys.transpose(1, 2)
        queries = queries.transpose(1, 2)
        values = values.transpose(1, 2)

        attn_scores = queries @ keys.transpose(2, 3)

        mask_bool = self.mask.bool()[:num_tokens, :num_tokens]
        attn_scores.masked_fill_(mask_bool, -torch.inf)

        attn_weights = torch.softmax(attn_scores / keys.shape[-1] ** 0.5, dim=-1)
        attn_weights = self.dropout(attn_weights)

        context_vec = (attn_weights @ values).transpose(1, 2)
        context_vec = context_vec.contiguous().view(b, num_tokens, self.d_out)
        context_vec = context_vec @ self.W_O.flatten(0, 1) + self.b_O
        return self.out_dropout(context_vec)


class GELU(nn.Module):
    def forward(self, x):
        return (
            0.5
            * x
            * (1 + torch.tanh(torch.sqrt(torch.tensor(2.0 / torch.pi)) * (x + 0.044715 * x**3)))
        )


class MLP(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.W_in = nn.Parameter(
            nn.init.normal_(torch.empty(cfg.d_model, cfg.d_mlp), 0, cfg.init_std)
        )
        self.b_in = nn.Parameter(torch.zeros(cfg.d_mlp))
        std = cfg.init_std / (2 * cfg.n_layers) ** 0.5
        self.W_out = nn.Parameter(nn.init.normal_(torch.empty(cfg.d_mlp, cfg.d_model), 0, std))
        self.b_out = nn.Parameter(torch.zeros(cfg.d_model))
        self.gelu = GELU()
        self.drop = nn.Dropout(cfg.dropout)

    def forward(self, x):
        x = torch.matmul(x, self.W_in) + self.b_in
        x = self.gelu(x)
        x = torch.matmul(x, self.W_out) + self.b_out
        return self.drop(x)


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.attn = MultiHeadAttention(cfg)
        self.mlp = MLP(cfg)
        self.ln1 = LayerNorm(cfg)
        self.ln2 = LayerNorm(cfg)

    def forward(self, x):
        shortcut = x
        x = self.ln1(x)
        x = self.attn(x)
        x = x + shortcut

        shortcut = x
        x = self.ln2(x)
        x = self.mlp(x)
        x = x + shortcut
        return x


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
