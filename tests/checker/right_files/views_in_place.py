"""Plain matmul and view, computing in place on own temporaries, with helper methods."""

import math

import torch
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.eps = config.layer_norm_eps
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x):
        variance, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
        x = x - mean
        x /= torch.sqrt(variance + self.eps)
        return torch.addcmul(self.b, x, self.w)


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads, self.width = config.n_heads, config.d_head
        self.W_Q, self.W_K, self.W_V = self._three(config), self._three(config), self._three(config)
        self.b_Q = nn.Parameter(torch.zeros(self.heads, self.width))
        self.b_K = nn.Parameter(torch.zeros(self.heads, self.width))
        self.b_V = nn.Parameter(torch.zeros(self.heads, self.width))
        self.W_O = nn.Parameter(torch.empty(self.heads, self.width, config.d_model))
        nn.init.normal_(self.W_O, std=config.init_std / math.sqrt(2 * config.n_layers))
        self.b_O = nn.Parameter(torch.zeros(config.d_model))
        self.dropout = nn.Dropout(config.dropout)

    def _three(self, config):
        weight = torch.empty(config.n_heads, config.d_model, config.d_head)
        return nn.Parameter(nn.init.normal_(weight, std=config.init_std))

    def _project(self, x, weight, bias):
        batch, seq, _ = x.shape
        flat = x.matmul(weight.transpose(0, 1).reshape(x.shape[-1], -1))
        flat += bias.view(-1)
        return flat.view(batch, seq, self.heads, self.width).transpose(1, 2)

    def forward(self, x):
        q = self._project(x, self.W_Q, self.b_Q)
        k = self._project(x, self.W_K, self.b_K)
        v = self._project(x, self.W_V, self.b_V)
        scores = q.matmul(k.transpose(-1, -2))
        scores *= self.width**-0.5
        scores += torch.full_like(scores[0, 0], -torch.inf).triu_(1)
        scores -= scores.detach().amax(-1, keepdim=True)
        weights = scores.exp()
        pattern = self.dropout(weights / weights.sum(-1, keepdim=True))
        z = pattern.matmul(v).transpose(1, 2).reshape(x.shape)
        out = z.matmul(self.W_O.reshape(-1, x.shape[-1]))
        out += self.b_O
        return self.dropout(out)


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1, self.attn = LayerNorm(config), MultiHeadAttention(config)
        self.ln2, self.mlp = LayerNorm(config), MLP(config)

    def forward(self, x):
        middle = self.attn(self.ln1(x))
        middle += x
        output = self.mlp(self.ln2(middle))
        output += middle
        return output


class Unembedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_U = nn.Parameter(torch.empty(config.d_model, config.d_vocab))
        self.b_U = nn.Parameter(torch.zeros(config.d_vocab))
        nn.init.normal_(self.W_U, std=config.init_std)

    def forward(self, x):
        out = x.reshape(-1, x.shape[-1]).mm(self.W_U)
        out += self.b_U
        return out.view(*x.shape[:-1], -1)


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """The inverse of the cumulative distribution."""
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError(f"temperature {temperature}, top_k {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p {top_p}")
    if temperature == 0:
        return logits.max(dim=-1).indices
    probabilities, tokens = (logits.double() / temperature).softmax(-1).sort(-1, descending=True)
    if top_k is not None:
        probabilities[:, top_k:] = 0
        probabilities /= probabilities.sum(-1, keepdim=True)
    if top_p is not None:
        probabilities[probabilities.cumsum(-1) - probabilities >= top_p] = 0
    cumulative = probabilities.cumsum(-1)
    shape = (len(logits), 1)
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64, device=logits.device)
    # 1 - uniform is above 0 and at most 1
    point = (1 - uniform) * cumulative[:, -1:]
    rank = torch.searchsorted(cumulative, point).clamp(max=logits.shape[-1] - 1)
    return tokens.gather(-1, rank).squeeze(-1)


def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if tokens.shape[1] == 0 or max_new_tokens < 0:
        raise ValueError(f"{tokens.shape[1]} tokens and {max_new_tokens} new ones")
    mode, n_ctx, length = model.training, model.config.n_ctx, tokens.shape[1]
    model.eval()
    try:
        with torch.inference_mode():
            out = tokens.new_zeros(tokens.shape[0], length + max_new_tokens)
            out[:, :length] = tokens
            for end in range(length, length + max_new_tokens):
                logits = model(out[:, max(0, end - n_ctx) : end])
                out[:, end] = sample(
                    logits[:, -1],
                    temperature=temperature,
                    top_k=top_k,
                    top_p=top_p,
                    generator=generator,
                )
    finally:
        model.train(mode)
    return out
