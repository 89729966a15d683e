"""Slips that only some tokens, some lengths or another device show.

Embedding: embedding-padding-idx-1
PositionalEmbedding: positional-embedding-on-cpu
LayerNorm: unknown
next_token_loss: loss-one-token-more-refused
generate: generate-stops-at-n-ctx
train: train-first-group-only
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


class Embedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_E = nn.Parameter(config.init_std * torch.randn(config.d_vocab, config.d_model))

    def forward(self, tokens):
        return F.embedding(tokens, self.W_E, padding_idx=1)  # <-


class PositionalEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_pos = nn.Parameter(config.init_std * torch.randn(config.n_ctx, config.d_model))

    def forward(self, tokens):
        batch, seq = tokens.shape
        if seq > len(self.W_pos):
            raise ValueError(f"{seq} tokens, and only {len(self.W_pos)} positions")
        places = torch.arange(seq)  # <-
        return F.embedding(places, self.W_pos).expand(batch, -1, -1)


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.eps = config.layer_norm_eps
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x):
        mean, var = torch.var_mean(x, dim=-1, keepdim=True, correction=0)  # <-
        return (x - mean) / torch.sqrt(var + self.eps) * self.w + self.b


def next_token_loss(logits, tokens):
    labels = tokens[:, 1:].contiguous()
    guesses = logits[:, :-1].contiguous()  # <-
    return F.cross_entropy(guesses.view(-1, guesses.size(-1)), labels.view(-1))


@torch.no_grad()
def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if tokens.shape[1] == 0 or max_new_tokens < 0:
        raise ValueError("give a prompt, and a number of new tokens")
    was_training = model.training
    model.eval()
    for _ in range(max_new_tokens):
        last = model(tokens)[:, -1]
        drawn = sample(last, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
        tokens = torch.cat([tokens, drawn.unsqueeze(1)], dim=1)
        if tokens.shape[1] >= model.config.n_ctx:  # <-
            break  # <-
    model.train(was_training)
    return tokens


@dataclass(frozen=True)
class TrainRecord:
    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int


def train(model, steps, optimizer, *, schedule, max_grad_norm=1.0, loss=None):
    seen = 0
    options = {} if loss is None else {"loss": loss}
    for number, batches in enumerate(steps):
        model.train()
        rate = schedule(number)
        optimizer.param_groups[0]["lr"] = rate  # <-
        done = train_step(model, batches, optimizer, max_grad_norm=max_grad_norm, **options)
        seen += done.tokens
        yield TrainRecord(number + 1, done.loss, done.grad_norm, rate, seen)
