"""As short as with numpy: broadcasting instead of einsum, one function a line."""

import torch
from torch import nn


def softmax(x):
    exp_x = torch.exp(x - x.max(-1, keepdim=True).values.detach())
    return exp_x / exp_x.sum(-1, keepdim=True)


def gelu(x):
    return 0.5 * x * (1 + torch.tanh((2 / 3.141592653589793) ** 0.5 * (x + 0.044715 * x**3)))


def normal(std, *shape):
    return nn.Parameter(torch.randn(*shape) * std)


class Embedding(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.W_E = normal(c.init_std, c.d_vocab, c.d_model)

    def forward(self, ids):
        return self.W_E.index_select(0, ids.reshape(-1)).reshape(*ids.shape, -1)


class PositionalEmbedding(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.W_pos = normal(c.init_std, c.n_ctx, c.d_model)

    def forward(self, ids):
        if ids.shape[1] > self.W_pos.shape[0]:
            raise ValueError(f"{ids.shape[1]} tokens, at most {self.W_pos.shape[0]}")
        return self.W_pos[: ids.shape[1]] + torch.zeros_like(ids, dtype=self.W_pos.dtype)[..., None]


class MultiHeadAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        h, m, d, s = c.n_heads, c.d_model, c.d_head, c.init_std
        self.W_Q, self.W_K, self.W_V = normal(s, h, m, d), normal(s, h, m, d), normal(s, h, m, d)
        self.b_Q, self.b_K, self.b_V = (nn.Parameter(torch.zeros(h, d)) for _ in range(3))
        self.W_O = normal(s / (2 * c.n_layers) ** 0.5, h, d, m)
        self.b_O = nn.Parameter(torch.zeros(m))
        self.drop = nn.Dropout(c.dropout)

    def forward(self, x):
        x = x[:, None]
        q = x @ self.W_Q + self.b_Q[:, None]
        k = x @ self.W_K + self.b_K[:, None]
        v = x @ self.W_V + self.b_V[:, None]
        n = x.shape[2]
        place = torch.arange(n, device=x.device)
        mask = torch.where(place[:, None] >= place, 0.0, -1e5).to(x.dtype)
        a = self.drop(softmax(q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5 + mask))
        return self.drop(((a @ v) @ self.W_O).sum(1) + self.b_O)


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.W_in, self.b_in = normal(c.init_std, c.d_model, c.d_mlp), normal(0.0, c.d_mlp)
        self.W_out = normal(c.init_std / (2 * c.n_layers) ** 0.5, c.d_mlp, c.d_model)
        self.b_out = normal(0.0, c.d_model)
        self.drop = nn.Dropout(c.dropout)

    def forward(self, x):
        return self.drop(gelu(x @ self.W_in + self.b_in) @ self.W_out + self.b_out)


def next_token_loss(logits, ids):
    if ids.shape[1] - logits.shape[1] not in (0, 1) or ids[:, 1:].numel() == 0:
        raise ValueError(f"{tuple(ids.shape)} tokens for {tuple(logits.shape)} logits")
    n = ids.shape[1] - 1
    log_p = logits[:, :n] - torch.logsumexp(logits[:, :n], -1, keepdim=True)
    rows, columns = torch.meshgrid(torch.arange(len(ids)), torch.arange(n), indexing="ij")
    return -log_p[rows, columns, ids[:, 1:]].mean()
