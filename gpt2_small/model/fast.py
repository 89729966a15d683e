"""The fast twin: the reference's function, from the reference's own parameters, computed quickly.

It differs from `solution.py` in how, never in what: queries, keys and values come from one product,
attention never holds its pattern, and the loss never holds its logits. It has no taps.
"""

import sys
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.model.chunked_loss import chunked_loss
from gpt2_small.model.products import affine

# A module of the reference; its parameters are attributes that nn.Module does not declare.
Part = Any

# Enough rows to keep the product busy; measured with benchmarks/train_step.py.
CPU_POSITIONS_PER_CHUNK = 512
CUDA_POSITIONS_PER_CHUNK = 8192


def stands_in_for(model: Part) -> bool:
    """Whether the twin may run in this model's place: the reference's class, with no hook set."""
    module = sys.modules.get(type(model).__module__)
    is_reference = (
        type(model).__name__ == "Transformer"
        and getattr(module, "__file__", None) is not None
        and binding.is_reference(module)  # type: ignore[arg-type]
    )
    return is_reference and not hooked(model)


def hooked(model: Part) -> list[str]:
    """Names of the submodules that carry a forward hook, which the twin would not call."""
    return [
        name
        for name, part in model.named_modules()
        if part._forward_hooks or part._forward_pre_hooks
    ]


def refuse_hooks(model: Part) -> None:
    """Raises UserError when the model has hooks."""
    names = hooked(model)
    if names:
        raise UserError(
            f"the model has a hook on {names[0]!r}, which its fast twin would not call; "
            "remove the hook, or run the model itself"
        )


def layer_norm(
    norm: Part, residual: Float[Tensor, "batch seq d_model"]
) -> Float[Tensor, "batch seq d_model"]:
    return F.layer_norm(residual, norm.w.shape, norm.w, norm.b, norm.eps)


def fused_projection(
    attn: Part,
) -> tuple[Float[Tensor, "d_model three_head_d_head"], Float[Tensor, "three_head_d_head"]]:
    """Weight and bias of one product that gives queries, then keys, then values, of all heads."""
    weights = [
        rearrange(weight, "head d_model d_head -> d_model head d_head")
        for weight in (attn.W_Q, attn.W_K, attn.W_V)
    ]
    biases = torch.cat([attn.b_Q, attn.b_K, attn.b_V])
    return torch.cat(weights, dim=1).flatten(start_dim=1), biases.flatten()


def attention(
    attn: Part, residual: Float[Tensor, "batch seq d_model"]
) -> Float[Tensor, "batch seq d_model"]:
    query, key, value = rearrange(
        affine(residual, *fused_projection(attn)),
        "batch seq (three head d_head) -> three batch head seq d_head",
        three=3,
        d_head=attn.d_head,
    )
    dropout = attn.pattern_dropout
    z = F.scaled_dot_product_attention(
        query, key, value, is_causal=True, dropout_p=dropout.p if dropout.training else 0.0
    )
    z = rearrange(z, "batch head seq d_head -> batch seq (head d_head)")
    return attn.output_dropout(affine(z, attn.W_O.flatten(end_dim=1), attn.b_O))


def mlp(
    part: Part, residual: Float[Tensor, "batch seq d_model"]
) -> Float[Tensor, "batch seq d_model"]:
    post = F.gelu(affine(residual, part.W_in, part.b_in), approximate="tanh")
    return part.output_dropout(affine(post, part.W_out, part.b_out))


def final_residual(
    model: Part, tokens: Int[Tensor, "batch seq"]
) -> Float[Tensor, "batch seq d_model"]:
    """What the unembedding reads: everything up to and with the final norm."""
    seq, n_ctx = tokens.shape[1], model.config.n_ctx
    if seq > n_ctx:
        raise ValueError(f"{seq} tokens do not fit n_ctx = {n_ctx}; keep the last n_ctx")
    embed = F.embedding(tokens, model.embed.W_E)
    residual = model.embed_dropout(embed + model.pos_embed.W_pos[:seq])
    for block in model.blocks:
        residual = residual + attention(block.attn, layer_norm(block.ln1, residual))
        residual = residual + mlp(block.mlp, layer_norm(block.ln2, residual))
    return layer_norm(model.ln_final, residual)


def unembedding(model: Part) -> tuple[Float[Tensor, "d_model d_vocab"], Tensor | None]:
    """Weight and bias of the unembedding; tied, the transposed W_E and no bias."""
    if model.unembed is None:
        return model.embed.W_E.mT, None
    return model.unembed.W_U, model.unembed.b_U


class FastTransformer(nn.Module):
    """A reference Transformer's twin for training and scoring; its parameters are the model's own.

    An optimiser, a gradient or a state dict of either is one of both. Wrap the twin, not the model,
    in DistributedDataParallel or torch.compile, and train it with
    `train_step(twin, batches, optimizer, loss=lambda twin, batch: twin(batch))`.

    positions_per_chunk: how many positions' logits exist at once.

    Raises UserError for a model with hooks, which the twin would pass by.
    """

    def __init__(self, model: Part, *, positions_per_chunk: int | None = None) -> None:
        super().__init__()
        refuse_hooks(model)
        self.model = model
        self.config = model.config
        self.positions_per_chunk = positions_per_chunk
        self.train(model.training)

    def forward(self, batch: Int[Tensor, "batch seq_plus_1"]) -> Float[Tensor, ""]:
        """Mean next-token loss, in nats, of windows one longer than the model reads.

        Raises ValueError for windows of fewer than 2 or more than n_ctx + 1 tokens.
        """
        if batch.shape[1] < 2:
            raise ValueError(f"windows of {batch.shape[1]} tokens have no target; give at least 2")
        final = final_residual(self.model, batch[:, :-1])
        default = (
            CPU_POSITIONS_PER_CHUNK if batch.device.type == "cpu" else CUDA_POSITIONS_PER_CHUNK
        )
        return chunked_loss(
            final.flatten(end_dim=1),
            *unembedding(self.model),
            batch[:, 1:].flatten(),
            positions_per_chunk=self.positions_per_chunk or default,
        )

    def logits(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_vocab"]:
        """What the model itself returns. Raises ValueError for more than n_ctx tokens."""
        final = final_residual(self.model, tokens)
        weight, bias = unembedding(self.model)
        logits = final @ weight
        return logits if bias is None else logits + bias
