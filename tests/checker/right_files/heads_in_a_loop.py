"""A beginner's file: a loop over heads, lists that are stacked, long names, comments."""

import math

import torch
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, residual):
        number_of_features = residual.shape[-1]
        mean = residual.sum(dim=-1, keepdim=True) / number_of_features
        difference = residual - mean
        variance = (difference * difference).sum(dim=-1, keepdim=True) / number_of_features
        standard_deviation = torch.sqrt(variance + self.config.layer_norm_eps)
        return difference / standard_deviation * self.w + self.b


class Embedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_E = nn.Parameter(torch.zeros(config.d_vocab, config.d_model))
        nn.init.normal_(self.W_E, mean=0.0, std=config.init_std)

    def forward(self, tokens):
        rows = [self.W_E[row_of_tokens] for row_of_tokens in tokens]
        return torch.stack(rows)


class PositionalEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.W_pos = nn.Parameter(torch.zeros(config.n_ctx, config.d_model))
        nn.init.normal_(self.W_pos, mean=0.0, std=config.init_std)

    def forward(self, tokens):
        batch_size, sequence_length = tokens.shape
        if sequence_length > self.config.n_ctx:
            raise ValueError(f"the sequence has {sequence_length} tokens")
        one_row = self.W_pos[0:sequence_length]
        return torch.stack([one_row for _ in range(batch_size)])


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        shape = (config.n_heads, config.d_model, config.d_head)
        self.W_Q = nn.Parameter(torch.normal(0.0, config.init_std, shape))
        self.W_K = nn.Parameter(torch.normal(0.0, config.init_std, shape))
        self.W_V = nn.Parameter(torch.normal(0.0, config.init_std, shape))
        output_std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_O = nn.Parameter(
            torch.normal(0.0, output_std, (config.n_heads, config.d_head, config.d_model))
        )
        self.b_Q = nn.Parameter(torch.zeros(config.n_heads, config.d_head))
        self.b_K = nn.Parameter(torch.zeros(config.n_heads, config.d_head))
        self.b_V = nn.Parameter(torch.zeros(config.n_heads, config.d_head))
        self.b_O = nn.Parameter(torch.zeros(config.d_model))
        self.dropout = nn.Dropout(config.dropout)

    def one_head(self, residual, head):
        query = residual @ self.W_Q[head] + self.b_Q[head]
        key = residual @ self.W_K[head] + self.b_K[head]
        value = residual @ self.W_V[head] + self.b_V[head]
        scores = query @ key.transpose(1, 2) / self.config.d_head**0.5
        # A position must not see what comes after it.
        sequence_length = residual.shape[1]
        for position in range(sequence_length):
            scores[:, position, position + 1 :] = -math.inf
        pattern = self.dropout(torch.softmax(scores, dim=2))
        return pattern @ value @ self.W_O[head]

    def forward(self, residual):
        output = self.b_O
        for head in range(self.config.n_heads):
            output = output + self.one_head(residual, head)
        return self.dropout(output)


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_in = nn.Parameter(torch.normal(0.0, config.init_std, (config.d_model, config.d_mlp)))
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        output_std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_out = nn.Parameter(torch.normal(0.0, output_std, (config.d_mlp, config.d_model)))
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.dropout = nn.Dropout(config.dropout)

    def activation(self, x):
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return 0.5 * x * (1 + torch.tanh(inner))

    def forward(self, residual):
        hidden = self.activation(torch.matmul(residual, self.W_in) + self.b_in)
        return self.dropout(torch.matmul(hidden, self.W_out) + self.b_out)


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.mlp = MLP(config)
        self.attn = MultiHeadAttention(config)
        self.ln2 = LayerNorm(config)
        self.ln1 = LayerNorm(config)

    def forward(self, residual):
        after_attention = self.attn(self.ln1(residual)) + residual
        return self.mlp(self.ln2(after_attention)) + after_attention


class Unembedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_U = nn.Parameter(
            torch.normal(0.0, config.init_std, (config.d_model, config.d_vocab))
        )
        self.b_U = nn.Parameter(torch.zeros(config.d_vocab))

    def forward(self, residual):
        return torch.matmul(residual, self.W_U) + self.b_U


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed = Embedding(config)
        self.pos_embed = PositionalEmbedding(config)
        blocks = []
        for _ in range(config.n_layers):
            blocks.append(TransformerBlock(config))
        self.blocks = nn.ModuleList(blocks)
        self.ln_final = LayerNorm(config)
        if config.tied_embeddings:
            self.unembed = None
        else:
            self.unembed = Unembedding(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens):
        residual = self.embed(tokens) + self.pos_embed(tokens)
        residual = self.dropout(residual)
        for number in range(self.config.n_layers):
            residual = self.blocks[number](residual)
        residual = self.ln_final(residual)
        if self.config.tied_embeddings:
            return torch.matmul(residual, self.embed.W_E.transpose(0, 1))
        return self.unembed(residual)


def next_token_loss(logits, tokens):
    if tokens.shape[1] - logits.shape[1] not in (0, 1) or tokens[:, 1:].numel() == 0:
        raise ValueError(f"{tuple(tokens.shape)} tokens for {tuple(logits.shape)} logits")
    losses = []
    for position in range(tokens.shape[1] - 1):
        log_probabilities = torch.log_softmax(logits[:, position], dim=-1)
        for row in range(tokens.shape[0]):
            losses.append(-log_probabilities[row, tokens[row, position + 1]])
    return torch.stack(losses).mean()


def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    if not peak >= 0 or not 0 <= final_fraction <= 1:
        raise ValueError(f"peak {peak}, final_fraction {final_fraction}")
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError(f"{warmup_steps} of {total_steps} steps")
    if step + 1 <= warmup_steps:
        return peak / warmup_steps * (step + 1)
    first, last = max(warmup_steps, 1) - 1, total_steps - 1
    if step > last:
        step = last
    angle = math.pi * (step - first) / max(last - first, 1)
    if step == last:
        angle = math.pi
    middle, swing = peak * (1 + final_fraction) / 2, peak * (1 - final_fraction) / 2
    return middle + swing * math.cos(angle)
