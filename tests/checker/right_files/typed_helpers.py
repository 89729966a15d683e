"""Typed, with frozen dataclasses beside, extra attributes, modules for helpers, and upcasting."""

import math
from typing import Final

import torch
from torch import Tensor, nn


def init_normal(*shape: int, std: float) -> nn.Parameter:
    parameter = nn.Parameter(torch.empty(*shape))
    nn.init.normal_(parameter, 0.0, std)
    return parameter


class LayerNorm(nn.Module):
    """In float32 at least, as large models are trained."""

    eps: Final[float]

    def __init__(self, config) -> None:
        super().__init__()
        self.eps = config.layer_norm_eps
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        centred = wide - wide.mean(-1, keepdim=True)
        normed = centred * torch.rsqrt(centred.pow(2).mean(-1, keepdim=True) + self.eps)
        return normed.type_as(x) * self.w + self.b


class CausalMask(nn.Module):
    def __init__(self, n_ctx: int) -> None:
        super().__init__()
        self.register_buffer("future", torch.ones(n_ctx, n_ctx).triu(1).bool(), persistent=False)

    def forward(self, scores: Tensor) -> Tensor:
        seq = scores.shape[-1]
        return scores.masked_fill(self.future[:seq, :seq], torch.finfo(scores.dtype).min)


class MultiHeadAttention(nn.Module):
    def __init__(self, config) -> None:
        super().__init__()
        shape = config.n_heads, config.d_model, config.d_head
        self.W_Q = init_normal(*shape, std=config.init_std)
        self.W_K = init_normal(*shape, std=config.init_std)
        self.W_V = init_normal(*shape, std=config.init_std)
        self.W_O = init_normal(
            config.n_heads,
            config.d_head,
            config.d_model,
            std=config.init_std / math.sqrt(2 * config.n_layers),
        )
        self.b_Q = nn.Parameter(torch.zeros(shape[0], shape[2]))
        self.b_K = nn.Parameter(torch.zeros(shape[0], shape[2]))
        self.b_V = nn.Parameter(torch.zeros(shape[0], shape[2]))
        self.b_O = nn.Parameter(torch.zeros(config.d_model))
        self.register_buffer("scale", torch.tensor(config.d_head).sqrt(), persistent=False)
        self.mask = CausalMask(config.n_ctx)
        self.softmax = nn.Softmax(dim=-1)
        self.attn_drop = nn.Dropout(config.dropout)
        self.proj_drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        d_model = x.shape[-1]
        weights = torch.stack([self.W_Q, self.W_K, self.W_V])
        biases = torch.stack([self.b_Q, self.b_K, self.b_V])
        q, k, v = torch.einsum("bsm,nhmd->nbhsd", x, weights) + biases[:, None, :, None]
        pattern = self.attn_drop(self.softmax(self.mask(q @ k.mT / self.scale)))
        z = (pattern @ v).permute(0, 2, 1, 3).flatten(2)
        return self.proj_drop(z @ self.W_O.view(d_model, d_model) + self.b_O)


class MLP(nn.Sequential):
    def __init__(self, config) -> None:
        super().__init__()
        self.W_in = init_normal(config.d_model, config.d_mlp, std=config.init_std)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        narrow = config.init_std / (2 * config.n_layers) ** 0.5
        self.W_out = init_normal(config.d_mlp, config.d_model, std=narrow)
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.act, self.drop = nn.GELU("tanh"), nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.act(x @ self.W_in + self.b_in) @ self.W_out + self.b_out)


class Transformer(nn.Module):
    def __init__(self, config) -> None:
        super().__init__()
        self.config = config
        self.embed = Embedding(config)
        self.pos_embed = PositionalEmbedding(config)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList()
        for _ in range(config.n_layers):
            self.blocks.append(TransformerBlock(config))
        self.ln_final = LayerNorm(config)
        self.unembed = Unembedding(config) if not config.tied_embeddings else None
        self.name = f"GPT-2 with {config.n_layers} layers"

    @property
    def head(self):
        if self.unembed is None:
            return lambda x: nn.functional.linear(x, self.embed.W_E)
        return self.unembed

    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.drop(self.embed(tokens) + self.pos_embed(tokens))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln_final(x))


def parameter_groups(model, *, weight_decay: float):
    groups = {True: [], False: []}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            groups[name[0] == "W"].append(parameter)
    return [
        dict(params=groups[False], weight_decay=0.0),
        dict(params=groups[True], weight_decay=weight_decay),
    ]
