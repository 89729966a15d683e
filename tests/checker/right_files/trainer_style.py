"""A centring matrix, a container of its own for the blocks, groups by module, LambdaLR."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR


class LayerNorm(nn.Module):
    """Centred by a product with a matrix, whose rounding differs from a mean's."""

    def __init__(self, config) -> None:
        super().__init__()
        self.eps = config.layer_norm_eps
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x: Tensor) -> Tensor:
        d = x.size(-1)
        centred = x @ (torch.eye(d, dtype=x.dtype, device=x.device) - 1 / d)
        spread = torch.linalg.vector_norm(centred, dim=-1, keepdim=True) / math.sqrt(d)
        return centred / torch.sqrt(spread.square() + self.eps) * self.w + self.b


WITHOUT_DECAY = (LayerNorm, nn.LayerNorm)


class TransformerBlock(nn.Module):
    def __init__(self, config) -> None:
        super().__init__()
        self.ln1, self.attn = LayerNorm(config), MultiHeadAttention(config)
        self.ln2, self.mlp = LayerNorm(config), MLP(config)

    def forward(self, x: Tensor) -> Tensor:
        for norm, part in ((self.ln1, self.attn), (self.ln2, self.mlp)):
            x = x + part(norm(x))
        return x


class Stack(nn.Module):
    """Layers that run one after the other, without an index."""

    def __init__(self, layers) -> None:
        super().__init__()
        for number, layer in enumerate(layers):
            self.add_module(str(number), layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x)
        return x


class Transformer(nn.Module):
    def __init__(self, config) -> None:
        super().__init__()
        self.config = config
        self.embed, self.pos_embed = Embedding(config), PositionalEmbedding(config)
        self.embed_dropout = nn.Dropout(config.dropout)
        self.blocks = Stack(TransformerBlock(config) for _ in range(config.n_layers))
        self.ln_final = LayerNorm(config)
        self.unembed = None if config.tied_embeddings else Unembedding(config)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed_dropout(self.embed(tokens) + self.pos_embed(tokens))
        x = self.ln_final(self.blocks(x))
        return F.linear(x, self.embed.W_E) if self.unembed is None else self.unembed(x)


@torch.inference_mode()
def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if tokens.numel() == 0 or max_new_tokens < 0:
        raise ValueError("give a prompt, and 0 or more new tokens")
    rows, n_ctx = tokens.shape[0], model.pos_embed.W_pos.shape[0]
    device, was_training = next(model.parameters()).device, model.training
    sequence = tokens.to(device)
    model.eval()
    try:
        for _ in range(max_new_tokens):
            logits = model(sequence[:, -n_ctx:])[:, -1]
            drawn = sample(
                logits, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator
            )
            sequence = torch.hstack([sequence, drawn.reshape(rows, 1)])
    finally:
        model.train(was_training)
    return sequence


def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    """Read from a table in float32."""
    if not 0 <= peak < math.inf or not 0 <= final_fraction <= 1:
        raise ValueError("give a rate of at least 0, and a fraction from 0 to 1")
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError("give at least one step, and no more of them to the warm-up")
    falling = total_steps - warmup_steps
    angles = math.pi * torch.arange(1, falling + 1) / max(falling, 1)
    cosine = final_fraction + (1 - final_fraction) * (1 + angles.cos()) / 2
    table = peak * torch.cat([torch.linspace(0, 1, warmup_steps + 1)[1:], cosine])
    return table[min(step, total_steps - 1)].item()


def parameter_groups(model, *, weight_decay):
    decay, no_decay = [], []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_vector = isinstance(module, WITHOUT_DECAY) or name.startswith("b_")
            (no_decay if is_vector else decay).append(parameter)
    return [
        {"params": decay, "weight_decay": weight_decay, "lr": 1e-3, "name": "matrices"},
        {"params": no_decay, "weight_decay": 0.0, "lr": 1e-3, "name": "vectors"},
    ]


class TrainRecord(NamedTuple):
    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int


def train(model, steps, optimizer, *, schedule, max_grad_norm=1.0):
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = 1.0
    scheduler = LambdaLR(optimizer, schedule)
    seen = 0
    for number, batches in enumerate(steps, start=1):
        (rate, *_) = scheduler.get_last_lr()
        model.train()
        result = train_step(model, batches, optimizer, max_grad_norm=max_grad_norm)
        seen += result.tokens
        yield TrainRecord(number, result.loss, result.grad_norm, rate, seen)
        scheduler.step()
