"""A course's style: einops everywhere, a mask helper with an IGNORE buffer, squeezed statistics."""

import einops
import torch
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.w = nn.Parameter(torch.ones(cfg.d_model))
        self.b = nn.Parameter(torch.zeros(cfg.d_model))

    def forward(self, residual):
        residual_mean = residual.mean(dim=-1, keepdim=True)
        residual_std = (
            residual.var(dim=-1, keepdim=True, unbiased=False) + self.cfg.layer_norm_eps
        ).sqrt()
        residual = (residual - residual_mean) / residual_std
        return residual * self.w + self.b


class Embedding(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.W_E = nn.Parameter(torch.empty((cfg.d_vocab, cfg.d_model)))
        nn.init.normal_(self.W_E, std=self.cfg.init_std)

    def forward(self, tokens):
        return self.W_E[tokens]


class PositionalEmbedding(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.W_pos = nn.Parameter(torch.empty((cfg.n_ctx, cfg.d_model)))
        nn.init.normal_(self.W_pos, std=cfg.init_std)

    def forward(self, tokens):
        if tokens.shape[1] > self.W_pos.shape[0]:
            raise ValueError(f"{tokens.shape[1]} tokens, at most {self.W_pos.shape[0]}")
        batch, seq_len = tokens.shape
        return einops.repeat(self.W_pos[:seq_len], "seq d_model -> batch seq d_model", batch=batch)


class MultiHeadAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.W_Q = nn.Parameter(torch.empty((cfg.n_heads, cfg.d_model, cfg.d_head)))
        self.W_K = nn.Parameter(torch.empty((cfg.n_heads, cfg.d_model, cfg.d_head)))
        self.W_V = nn.Parameter(torch.empty((cfg.n_heads, cfg.d_model, cfg.d_head)))
        self.W_O = nn.Parameter(torch.empty((cfg.n_heads, cfg.d_head, cfg.d_model)))
        self.b_Q = nn.Parameter(torch.zeros((cfg.n_heads, cfg.d_head)))
        self.b_K = nn.Parameter(torch.zeros((cfg.n_heads, cfg.d_head)))
        self.b_V = nn.Parameter(torch.zeros((cfg.n_heads, cfg.d_head)))
        self.b_O = nn.Parameter(torch.zeros(cfg.d_model))
        for weight in (self.W_Q, self.W_K, self.W_V):
            nn.init.normal_(weight, std=cfg.init_std)
        nn.init.normal_(self.W_O, std=cfg.init_std * (2 * cfg.n_layers) ** -0.5)
        self.drop_pattern, self.drop_out = nn.Dropout(cfg.dropout), nn.Dropout(cfg.dropout)
        self.register_buffer("IGNORE", torch.tensor(float("-inf")), persistent=False)

    def apply_causal_mask(self, attn_scores):
        all_ones = torch.ones(attn_scores.size(-2), attn_scores.size(-1), device=attn_scores.device)
        mask = torch.triu(all_ones, diagonal=1).bool()
        attn_scores.masked_fill_(mask, self.IGNORE)
        return attn_scores

    def forward(self, normalized_resid_pre):
        def project(W, b):
            pattern = "batch posn d_model, nheads d_model d_head -> batch posn nheads d_head"
            return einops.einsum(normalized_resid_pre, W, pattern) + b

        q, k, v = (
            project(self.W_Q, self.b_Q),
            project(self.W_K, self.b_K),
            project(self.W_V, self.b_V),
        )
        attn_scores = einops.einsum(
            q,
            k,
            "batch posn_Q nheads d_head, batch posn_K nheads d_head -> batch nheads posn_Q posn_K",
        )
        attn_scores_masked = self.apply_causal_mask(attn_scores / self.cfg.d_head**0.5)
        attn_pattern = self.drop_pattern(attn_scores_masked.softmax(-1))
        z = einops.einsum(
            v,
            attn_pattern,
            "batch posn_K nheads d_head, batch nheads posn_Q posn_K -> batch posn_Q nheads d_head",
        )
        attn_out = einops.einsum(
            z,
            self.W_O,
            "batch posn_Q nheads d_head, nheads d_head d_model -> batch posn_Q d_model",
        )
        return self.drop_out(attn_out + self.b_O)


class Transformer(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.config = self.cfg = cfg
        self.embed = Embedding(cfg)
        self.pos_embed = PositionalEmbedding(cfg)
        self.blocks = nn.ModuleList([TransformerBlock(cfg) for _ in range(cfg.n_layers)])
        self.ln_final = LayerNorm(cfg)
        self.unembed = Unembedding(cfg) if not cfg.tied_embeddings else None
        self.drop = nn.Dropout(cfg.dropout)

    def forward(self, tokens):
        if tokens.shape[1] > self.config.n_ctx:
            raise ValueError(f"{tokens.shape[1]} tokens, at most {self.config.n_ctx}")
        residual = self.drop(self.embed(tokens) + self.pos_embed(tokens))
        for block in self.blocks:
            residual = block(residual)
        final = self.ln_final(residual)
        if self.unembed is not None:
            return self.unembed(final)
        return einops.einsum(final, self.embed.W_E, "b s d_model, d_vocab d_model -> b s d_vocab")


def next_token_loss(logits, tokens):
    if tokens.shape[1] - logits.shape[1] not in (0, 1) or tokens[:, 1:].numel() == 0:
        raise ValueError(f"{tuple(tokens.shape)} tokens for {tuple(logits.shape)} logits")
    log_probs = logits.log_softmax(dim=-1)[:, : tokens.shape[1] - 1]
    picked = log_probs.gather(dim=-1, index=tokens[:, 1:].unsqueeze(-1)).squeeze(-1)
    return -picked.mean()


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """With torch.topk, which sorts, and the nucleus by the number of tokens below p."""
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError(f"temperature {temperature}, top_k {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p {top_p}")
    if temperature == 0:
        return logits.argmax(dim=-1)
    d_vocab = logits.shape[-1]
    values, indices = (logits / temperature).topk(min(top_k or d_vocab, d_vocab), dim=-1)
    probs = values.softmax(dim=-1)
    if top_p is not None:
        n_keep = (probs.cumsum(dim=-1) < top_p).sum(dim=-1, keepdim=True) + 1
        probs = probs * (torch.arange(probs.shape[-1], device=probs.device) < n_keep)
    chosen = torch.multinomial(probs, 1, generator=generator)
    return einops.rearrange(indices.gather(-1, chosen), "batch 1 -> batch")
