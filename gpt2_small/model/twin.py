"""Compute the reference's function fast, from the reference's parameters: the fast twin.

It computes the same function as `solution.py`: queries, keys and values in one product, attention
without storing the pattern, and the loss without storing all logits. It has no taps.
"""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gpt2_small.kernels.activation import gelu_tanh
from gpt2_small.kernels.attention import causal_attention
from gpt2_small.kernels.chunked_loss import chunked_loss
from gpt2_small.kernels.matmul import affine
from gpt2_small.kernels.qkv_projection import query_key_value
from gpt2_small.kernels.tied_embedding import shared_embedding
from gpt2_small.model.eligibility import refuse_others
from gpt2_small.model_protocol import Attention, Block, FeedForward, Model, Norm

Residual = Float[Tensor, "batch seq d_model"]


def layer_norm(norm: Norm, residual: Residual) -> Residual:
    return F.layer_norm(residual, norm.w.shape, norm.w, norm.b, norm.eps)


def attention(attn: Attention, residual: Residual) -> Residual:
    weights, biases = (attn.W_Q, attn.W_K, attn.W_V), (attn.b_Q, attn.b_K, attn.b_V)
    projected = query_key_value(residual, weights, biases)
    dropout = attn.pattern_dropout.p if attn.pattern_dropout.training else 0.0
    z = causal_attention(projected, attn.d_head, dropout=dropout, dtype=attn.W_Q.dtype)
    return attn.output_dropout(affine(z, attn.W_O.flatten(end_dim=1), attn.b_O))


def mlp(part: FeedForward, residual: Residual) -> Residual:
    post = gelu_tanh(affine(residual, part.W_in, part.b_in))
    return part.output_dropout(affine(post, part.W_out, part.b_out))


def block_output(block: Block, residual: Residual) -> Residual:
    residual = residual + attention(block.attn, layer_norm(block.ln1, residual))
    return residual + mlp(block.mlp, layer_norm(block.ln2, residual))


class FastTransformer(nn.Module):
    """A reference Transformer's twin for training and scoring, with the model's own parameters.

    Gradients, optimiser and weights are shared with the model. Wrap the twin, not the model, in
    DistributedDataParallel or torch.compile, and train it with
    `train_step(twin, batches, optimizer, loss=lambda twin, batch: twin(batch))`.

    positions_per_chunk: as in `chunked_loss`.
    recompute: save only the input of each block, and recompute its activations in the backward pass
        (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", section 4).

    Raises UserError for a model that the twin cannot compute: one with a hook, or with a module or
        method that is not the reference's own.
    """

    def __init__(
        self, model: Model, *, positions_per_chunk: int | None = None, recompute: bool = False
    ) -> None:
        super().__init__()
        refuse_others(model)
        self.model = model
        self.config = model.config
        self.positions_per_chunk = positions_per_chunk
        self.recompute = recompute
        self.train(model.training)

    def forward(self, batch: Int[Tensor, "batch seq_plus_1"]) -> Float[Tensor, ""]:
        """Mean next-token loss, in nats, of windows of up to n_ctx + 1 tokens.

        Raises ValueError for windows of fewer than 2 or more than n_ctx + 1 tokens.
        """
        if batch.shape[1] < 2:
            raise ValueError(f"windows of {batch.shape[1]} tokens have no target; give at least 2")
        final, weight, bias = self.before_logits(batch[:, :-1])
        return chunked_loss(
            final.flatten(end_dim=1),
            weight,
            bias,
            batch[:, 1:].flatten(),
            is_transposed=self.config.tied_embeddings,
            positions_per_chunk=self.positions_per_chunk,
        )

    def logits(self, tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq d_vocab"]:
        """The model's own logits. Raises ValueError for more than n_ctx tokens."""
        final, weight, _ = self.before_logits(tokens)
        unembed = self.model.unembed
        return final @ weight.mT if unembed is None else unembed(final)

    def before_logits(
        self, tokens: Int[Tensor, "batch seq"]
    ) -> tuple[Residual, Float[Tensor, "_ _"], Float[Tensor, "d_vocab"] | None]:
        """The unembedding's input, weight and bias; tied, the weight is W_E."""
        model, seq, n_ctx = self.model, tokens.shape[1], self.config.n_ctx
        if seq > n_ctx:
            raise ValueError(f"{seq} tokens do not fit n_ctx = {n_ctx}; keep the last n_ctx")
        if model.unembed is None:
            embed, weight = shared_embedding(model.embed.W_E, tokens)
            bias = None
        else:
            embed = F.embedding(tokens, model.embed.W_E)
            weight, bias = model.unembed.W_U, model.unembed.b_U
        residual = model.embed_dropout(embed + model.pos_embed.W_pos[:seq])
        for block in model.blocks:
            if self.recompute:
                residual = checkpoint(block_output, block, residual, use_reentrant=False)
            else:
                residual = block_output(block, residual)
        return layer_norm(model.ln_final, residual), weight, bias
