"""Conv1D-like products by addmm, torch.where for the mask, a hand-written GELU module."""

import math

import torch
from torch import nn


class NewGELU(nn.Module):
    def forward(self, x):
        return (
            0.5
            * x
            * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3))))
        )


def conv1d(x, weight, bias):
    """x @ weight + bias, with weight [nx, nf] as GPT-2's checkpoints have it."""
    size_out = (*x.size()[:-1], weight.size(-1))
    return torch.addmm(bias, x.reshape(-1, x.size(-1)), weight).view(size_out)


class MultiHeadAttention(nn.Module):
    def __init__(self, config, layer_idx=None):
        super().__init__()
        self.embed_dim, self.num_heads = config.d_model, config.n_heads
        self.head_dim = self.embed_dim // self.num_heads
        heads = (self.num_heads, self.embed_dim, self.head_dim)
        self.W_Q = nn.Parameter(torch.empty(heads))
        self.W_K = nn.Parameter(torch.empty(heads))
        self.W_V = nn.Parameter(torch.empty(heads))
        self.W_O = nn.Parameter(torch.empty(self.num_heads, self.head_dim, self.embed_dim))
        self.b_Q = nn.Parameter(torch.zeros(self.num_heads, self.head_dim))
        self.b_K = nn.Parameter(torch.zeros(self.num_heads, self.head_dim))
        self.b_V = nn.Parameter(torch.zeros(self.num_heads, self.head_dim))
        self.b_O = nn.Parameter(torch.zeros(self.embed_dim))
        self.attn_dropout = nn.Dropout(config.dropout)
        self.resid_dropout = nn.Dropout(config.dropout)
        self.scale_attn_weights = True
        self.layer_idx = layer_idx
        self._init_weights(config)

    def _init_weights(self, config):
        for weight in (self.W_Q, self.W_K, self.W_V):
            weight.data.normal_(mean=0.0, std=config.init_std)
        self.W_O.data.normal_(mean=0.0, std=config.init_std / math.sqrt(2 * config.n_layers))

    def _attn(self, query, key, value):
        attn_weights = torch.matmul(query, key.transpose(-1, -2))
        attn_weights = attn_weights / torch.full(
            [], value.size(-1) ** 0.5, dtype=attn_weights.dtype, device=attn_weights.device
        )
        length = key.size(-2)
        causal_mask = torch.ones((length, length), dtype=torch.bool, device=key.device).tril()
        mask_value = torch.finfo(attn_weights.dtype).min
        mask_value = torch.full(
            [], mask_value, dtype=attn_weights.dtype, device=attn_weights.device
        )
        attn_weights = torch.where(causal_mask, attn_weights, mask_value)
        attn_weights = nn.functional.softmax(attn_weights, dim=-1).type(value.dtype)
        return torch.matmul(self.attn_dropout(attn_weights), value)

    def _split_heads(self, tensor):
        new_shape = (*tensor.size()[:-1], self.num_heads, self.head_dim)
        return tensor.view(new_shape).permute(0, 2, 1, 3)

    def forward(self, hidden_states):
        def flat(weight):
            return weight.permute(1, 0, 2).reshape(self.embed_dim, self.embed_dim)

        query = self._split_heads(conv1d(hidden_states, flat(self.W_Q), self.b_Q.view(-1)))
        key = self._split_heads(conv1d(hidden_states, flat(self.W_K), self.b_K.view(-1)))
        value = self._split_heads(conv1d(hidden_states, flat(self.W_V), self.b_V.view(-1)))
        attn_output = self._attn(query, key, value).permute(0, 2, 1, 3).contiguous()
        attn_output = attn_output.view(*hidden_states.size()[:-1], self.embed_dim)
        attn_output = conv1d(attn_output, self.W_O.view(self.embed_dim, -1), self.b_O)
        return self.resid_dropout(attn_output)


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_in = nn.Parameter(torch.empty(config.d_model, config.d_mlp))
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = nn.Parameter(torch.empty(config.d_mlp, config.d_model))
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        nn.init.normal_(self.W_in, std=config.init_std)
        nn.init.normal_(self.W_out, std=config.init_std / math.sqrt(2 * config.n_layers))
        self.act = NewGELU()
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden_states):
        hidden_states = conv1d(hidden_states, self.W_in, self.b_in)
        hidden_states = self.act(hidden_states)
        hidden_states = conv1d(hidden_states, self.W_out, self.b_out)
        return self.dropout(hidden_states)


def next_token_loss(logits, labels):
    if labels.shape[1] - logits.shape[1] not in (0, 1) or labels[:, 1:].numel() == 0:
        raise ValueError(f"{tuple(labels.shape)} tokens for {tuple(logits.shape)} logits")
    logits = logits.float()
    if labels.shape[1] == logits.shape[1]:
        logits = logits[..., :-1, :]
    shift_labels = labels[..., 1:]
    loss_fct = nn.CrossEntropyLoss()
    return loss_fct(logits.reshape(-1, logits.size(-1)), shift_labels.reshape(-1))
