"""The fast twin: the reference's function, from the reference's own parameters, computed quickly.

It differs from `solution.py` in how, never in what: queries, keys and values come from one product,
attention never holds its pattern, and the loss never holds its logits. It has no taps.
"""

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.compiler import is_compiling
from torch.utils.checkpoint import checkpoint

from gpt2_small.kernels.chunked_loss import chunked_loss
from gpt2_small.kernels.products import affine
from gpt2_small.kernels.projection import query_key_value
from gpt2_small.model.eligibility import Part, refuse_others

# Enough rows to keep the product busy; measured with benchmarks/train_step.py. On a CPU the more
# the smaller the vocabulary is, and twice as many still go at once, since the little memory would
# not be worth a second pass over W_U.
CPU_POSITIONS_PER_CHUNK = 128
CPU_LOGITS_PER_CHUNK = CPU_POSITIONS_PER_CHUNK * 50_304
CUDA_POSITIONS_PER_CHUNK = 8192


def chunk_size(positions: int, d_vocab: int, *, on_cpu: bool) -> int:
    """How many of these positions' logits exist at once, unless it is said otherwise."""
    if not on_cpu:
        return min(positions, CUDA_POSITIONS_PER_CHUNK)
    chunk = max(CPU_POSITIONS_PER_CHUNK, CPU_LOGITS_PER_CHUNK // d_vocab)
    return positions if positions <= 2 * chunk else chunk


def layer_norm(
    norm: Part, residual: Float[Tensor, "batch seq d_model"]
) -> Float[Tensor, "batch seq d_model"]:
    return F.layer_norm(residual, norm.w.shape, norm.w, norm.b, norm.eps)


def attends_in_full(device: torch.device) -> bool:
    """Whether attention is computed in the weights' type: on a CPU.

    There torch's takes eight times as long backward in bfloat16 as in float32.
    """
    return device.type == "cpu"


def attention(
    attn: Part, residual: Float[Tensor, "batch seq d_model"]
) -> Float[Tensor, "batch seq d_model"]:
    weights, biases = (attn.W_Q, attn.W_K, attn.W_V), (attn.b_Q, attn.b_K, attn.b_V)
    projected = query_key_value(residual, weights, biases)
    if attends_in_full(projected.device):
        projected = projected.to(attn.W_Q.dtype)
    query, key, value = rearrange(
        projected,
        "batch seq (three head d_head) -> three batch head seq d_head",
        three=3,
        d_head=attn.d_head,
    )
    dropout = attn.pattern_dropout
    with torch.autocast(query.device.type, enabled=False):
        z = F.scaled_dot_product_attention(
            query, key, value, is_causal=True, dropout_p=dropout.p if dropout.training else 0.0
        )
    z = rearrange(z, "batch head seq d_head -> batch seq (head d_head)")
    return attn.output_dropout(affine(z, attn.W_O.flatten(end_dim=1), attn.b_O))


def mlp(
    part: Part, residual: Float[Tensor, "batch seq d_model"]
) -> Float[Tensor, "batch seq d_model"]:
    pre = affine(residual, part.W_in, part.b_in)
    return part.output_dropout(affine(pre, part.W_out, part.b_out, gelu=True))


class _SharedEmbedding(torch.autograd.Function):
    """Looks tokens up, and hands the weight on to the unembedding that shares it.

    So both gradients arrive together, and the few rows that were read are added to the other, which
    is made by the unembedding for nobody else.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(tokens)
        return weight[tokens], weight.view_as(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, rows_grad: Tensor, weight_grad: Tensor) -> tuple[Tensor, None]:
        (tokens,) = ctx.saved_tensors
        return weight_grad.index_add_(0, tokens.flatten(), rows_grad.flatten(end_dim=-2)), None


def embeddings(
    model: Part, tokens: Int[Tensor, "batch seq"]
) -> tuple[Float[Tensor, "batch seq d_model"], Float[Tensor, "d_vocab d_model"]]:
    """The tokens' vectors, and W_E for a tied unembedding to use."""
    W_E = model.embed.W_E
    if model.unembed is None and tokens.device.type == "cpu" and not is_compiling():
        embed, W_E = _SharedEmbedding.apply(W_E, tokens)
        return embed, W_E
    return F.embedding(tokens, W_E), W_E


def block_output(
    block: Part, residual: Float[Tensor, "batch seq d_model"]
) -> Float[Tensor, "batch seq d_model"]:
    residual = residual + attention(block.attn, layer_norm(block.ln1, residual))
    return residual + mlp(block.mlp, layer_norm(block.ln2, residual))


def final_residual(
    model: Part, embed: Float[Tensor, "batch seq d_model"], *, recompute: bool = False
) -> Float[Tensor, "batch seq d_model"]:
    """What the unembedding reads: everything up to and with the final norm."""
    seq, n_ctx = embed.shape[1], model.config.n_ctx
    if seq > n_ctx:
        raise ValueError(f"{seq} tokens do not fit n_ctx = {n_ctx}; keep the last n_ctx")
    residual = model.embed_dropout(embed + model.pos_embed.W_pos[:seq])
    for block in model.blocks:
        if recompute:
            residual = checkpoint(block_output, block, residual, use_reentrant=False)
        else:
            residual = block_output(block, residual)
    return layer_norm(model.ln_final, residual)


class FastTransformer(nn.Module):
    """A reference Transformer's twin for training and scoring; its parameters are the model's own.

    An optimiser, a gradient or a state dict of either is one of both. Wrap the twin, not the model,
    in DistributedDataParallel or torch.compile, and train it with
    `train_step(twin, batches, optimizer, loss=lambda twin, batch: twin(batch))`.

    positions_per_chunk: how many positions' logits exist at once.
    recompute: keep of each block only what it reads, and compute it again in the backward pass
        (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", section 4).

    Raises UserError for a model that the twin does not compute: with a hook, or with a module or
        method that is not the reference's own.
    """

    def __init__(
        self, model: Part, *, positions_per_chunk: int | None = None, recompute: bool = False
    ) -> None:
        super().__init__()
        refuse_others(model)
        self.model = model
        self.config = model.config
        self.positions_per_chunk = positions_per_chunk
        self.recompute = recompute
        self.train(model.training)

    def forward(self, batch: Int[Tensor, "batch seq_plus_1"]) -> Float[Tensor, ""]:
        """Mean next-token loss, in nats, of windows one longer than the model reads.

        Raises ValueError for windows of fewer than 2 or more than n_ctx + 1 tokens.
        """
        if batch.shape[1] < 2:
            raise ValueError(f"windows of {batch.shape[1]} tokens have no target; give at least 2")
        embed, weight = embeddings(self.model, batch[:, :-1])
        unembed, bias = self.model.unembed, None
        if unembed is not None:
            weight, bias = unembed.W_U, unembed.b_U
        targets = batch[:, 1:].flatten()
        on_cpu = batch.device.type == "cpu"
        default = chunk_size(len(targets), self.config.d_vocab, on_cpu=on_cpu)
        return chunked_loss(
            final_residual(self.model, embed, recompute=self.recompute).flatten(end_dim=1),
            weight,
            bias,
            targets,
            is_transposed=unembed is None,
            positions_per_chunk=self.positions_per_chunk or default,
        )

    def logits(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_vocab"]:
        """What the model itself returns. Raises ValueError for more than n_ctx tokens."""
        embed, weight = embeddings(self.model, tokens)
        final = final_residual(self.model, embed)
        unembed = self.model.unembed
        return final @ weight.mT if unembed is None else unembed(final)
