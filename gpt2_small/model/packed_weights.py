"""A Transformer's weights as decoding reads them: cast, fused and laid out once."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gpt2_small.kernels.products import mkl_is_at_home, onednn_serves
from gpt2_small.model.projection import Part, fused_projection

# A row count that makes oneDNN choose a blocked order, which is the fastest to read at any count.
PACKING_ROWS = 64


class PackedAffine:
    """A fixed affine map, its weight laid out once in the order in which it is read fastest.

    On a CPU in float32 and bfloat16 that is oneDNN's own blocked order, and else [in out]; on
    other devices [out in].

    with_one_row: whether it also keeps the weight [in out] to multiply a single row of float32 by,
        where MKL is at home, which reads that faster still.
    """

    def __init__(
        self,
        weight: Float[Tensor, "inner out"],
        bias: Float[Tensor, "out"] | None,
        *,
        with_one_row: bool = False,
    ) -> None:
        self.bias = bias
        self.is_packed = onednn_packs(weight)
        is_read_by_mkl = self.is_packed and weight.dtype == torch.float32 and mkl_is_at_home()
        self.for_one_row = weight.contiguous() if with_one_row and is_read_by_mkl else None
        if self.is_packed:
            rows_first = weight.mT.contiguous()
            self.weight = torch.ops.mkldnn._reorder_linear_weight(rows_first, PACKING_ROWS)
        elif weight.device.type == "cpu":
            self.weight = weight.contiguous()
        else:
            self.weight = weight.mT.contiguous().mT

    def __call__(self, inputs: Float[Tensor, "rows inner"]) -> Float[Tensor, "rows out"]:
        if self.for_one_row is not None and len(inputs) == 1:
            return self._multiplied(inputs, self.for_one_row)
        if self.is_packed:
            return torch.ops.mkldnn._linear_pointwise(
                inputs, self.weight, self.bias, "none", [], ""
            )
        return self._multiplied(inputs, self.weight)

    def _multiplied(self, inputs: Tensor, weight: Tensor) -> Tensor:
        return inputs @ weight if self.bias is None else torch.addmm(self.bias, inputs, weight)


def onednn_packs(weight: Tensor) -> bool:
    """Whether oneDNN has a blocked order for this weight that this processor can multiply with."""
    if not onednn_serves(weight):
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32


@dataclass(frozen=True)
class PackedNorm:
    """LayerNorm with its gain and bias cast."""

    gain: Float[Tensor, "d_model"]
    bias: Float[Tensor, "d_model"]
    eps: float

    def __call__(self, residual: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows d_model"]:
        return F.layer_norm(residual, self.gain.shape, self.gain, self.bias, self.eps)


@dataclass(frozen=True)
class PackedBlock:
    """The maps of one block; what lies between the first two is attention."""

    ln1: PackedNorm
    query_key_value: PackedAffine
    output: PackedAffine
    ln2: PackedNorm
    mlp_in: PackedAffine
    mlp_out: PackedAffine

    def mlp(self, residual: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows d_model"]:
        post = F.gelu(self.mlp_in(self.ln2(residual)), approximate="tanh")
        return self.mlp_out(post)


class PackedTransformer:
    """Every map of a Transformer; only the embeddings are still the model's own tensors.

    with_one_row: as `PackedAffine` has it.
    """

    @torch.no_grad()
    def __init__(self, model: Part, dtype: torch.dtype, *, with_one_row: bool) -> None:
        def affine(weight: Tensor, bias: Tensor | None) -> PackedAffine:
            bias = None if bias is None else bias.to(dtype)
            return PackedAffine(weight.to(dtype), bias, with_one_row=with_one_row)

        def norm(part: Part) -> PackedNorm:
            return PackedNorm(part.w.to(dtype), part.b.to(dtype), part.eps)

        def packed(block: Part) -> PackedBlock:
            return PackedBlock(
                ln1=norm(block.ln1),
                query_key_value=affine(*fused_projection(block.attn)),
                output=affine(block.attn.W_O.flatten(end_dim=1), block.attn.b_O),
                ln2=norm(block.ln2),
                mlp_in=affine(block.mlp.W_in, block.mlp.b_in),
                mlp_out=affine(block.mlp.W_out, block.mlp.b_out),
            )

        self.dtype = dtype
        self.W_E, self.W_pos = model.embed.W_E.detach(), model.pos_embed.W_pos.detach()
        self.blocks = [packed(block) for block in model.blocks]
        self.ln_final = norm(model.ln_final)
        tied, unembed = model.embed.W_E.mT, model.unembed
        self.unembedding = affine(
            *((tied, None) if unembed is None else (unembed.W_U, unembed.b_U))
        )

    def embed(
        self, tokens: Int[Tensor, "*positions"], positions: Int[Tensor, "*positions"]
    ) -> Float[Tensor, "*positions d_model"]:
        return (self.W_E[tokens] + self.W_pos[positions]).to(self.dtype)

    def logits(self, residual: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows d_vocab"]:
        return self.unembedding(self.ln_final(residual))
