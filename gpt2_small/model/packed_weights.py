"""Pack a Transformer's weights for decoding: cast, fused, reordered once, then read-only."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.kernels.matmul import has_mkl_on_intel, onednn_serves
from gpt2_small.kernels.native.decode_step import NativeStep, WeightAndBias
from gpt2_small.kernels.native.library import unavailable
from gpt2_small.kernels.qkv_projection import side_by_side
from gpt2_small.model.eligibility import refuse_others
from gpt2_small.model_protocol import Block, Model

# The row count for which oneDNN chooses a blocked layout, the fastest for every row count.
PACKING_ROWS = 64


class PackedAffine:
    """A fixed affine map whose weight is stored in the fastest memory layout.

    On a CPU in float32 and bfloat16 that is oneDNN's blocked layout, else [in out]; on other
    devices [out in].

    with_one_row: also store the weight as [in out], which is faster still for a single row of
        float32 with MKL on an Intel processor.
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
        is_read_by_mkl = self.is_packed and weight.dtype == torch.float32 and has_mkl_on_intel()
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
            output: Tensor = torch.ops.mkldnn._linear_pointwise(
                inputs, self.weight, self.bias, "none", [], ""
            )
            return output
        return self._multiplied(inputs, self.weight)

    def _multiplied(self, inputs: Tensor, weight: Tensor) -> Tensor:
        return inputs @ weight if self.bias is None else torch.addmm(self.bias, inputs, weight)


def onednn_packs(weight: Tensor) -> bool:
    """Whether oneDNN has a blocked layout for this weight on this processor."""
    if not onednn_serves(weight):
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32


@dataclass(frozen=True)
class PackedNorm:
    """LayerNorm with cast gain and bias."""

    gain: Float[Tensor, "d_model"]
    bias: Float[Tensor, "d_model"]
    eps: float

    def __call__(self, residual: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows d_model"]:
        return F.layer_norm(residual, self.gain.shape, self.gain, self.bias, self.eps)


@dataclass(frozen=True)
class PackedBlock:
    """The weights of one block. Attention runs between `query_key_value` and `output`."""

    ln1: PackedNorm
    query_key_value: PackedAffine
    output: PackedAffine
    ln2: PackedNorm
    mlp_in: PackedAffine
    mlp_out: PackedAffine

    def mlp(self, residual: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows d_model"]:
        post = F.gelu(self.mlp_in(self.ln2(residual)), approximate="tanh")
        return self.mlp_out(post)


def block_weights(block: Block) -> dict[str, WeightAndBias]:
    """Gain and bias of a block's norms, weight [in out] and bias of its affine maps, by name."""
    attn, mlp = block.attn, block.mlp
    fused_bias = torch.cat([attn.b_Q, attn.b_K, attn.b_V]).flatten()
    return {
        "ln1": (block.ln1.w, block.ln1.b),
        "query_key_value": (side_by_side(attn.W_Q, attn.W_K, attn.W_V), fused_bias),
        "output": (attn.W_O.flatten(end_dim=1), attn.b_O),
        "ln2": (block.ln2.w, block.ln2.b),
        "mlp_in": (mlp.W_in, mlp.b_in),
        "mlp_out": (mlp.W_out, mlp.b_out),
    }


class PackedTransformer:
    """A packed copy of a model's weights, which any number of caches can share.

    After further training, pack them again. The embeddings are not copied.

    dtype: of the packed weights and of the arithmetic outside C; left out, the model's own.
    native: whether a step of up to `decode_step.MOST_ROWS` rows runs the C code of `kernels.c`,
        which computes in float32 from its own copy of the weights and is compiled at first use;
        left out, it runs where it is available.

    Raises UserError for a model that the twin cannot compute, and for unavailable native code.
    """

    @torch.no_grad()
    def __init__(
        self, model: Model, *, dtype: torch.dtype | None = None, native: bool | None = None
    ) -> None:
        refuse_others(model)
        self.config, self.device = model.config, model.embed.W_E.device
        self.dtype = dtype = dtype or model.embed.W_E.dtype
        why_not = None if native is False else unavailable(dtype, self.device)
        if native and why_not:
            raise UserError(f"the native step is unavailable: {why_not}; leave out native=True")
        is_native = native is not False and why_not is None

        def packed(weight: Tensor, bias: Tensor | None) -> PackedAffine:
            bias = None if bias is None else bias.to(dtype)
            return PackedAffine(weight.to(dtype), bias, with_one_row=not is_native)

        def norm(gain: Tensor, bias: Tensor | None) -> PackedNorm:
            assert bias is not None
            return PackedNorm(gain.to(dtype), bias.to(dtype), self.config.layer_norm_eps)

        ln_final: WeightAndBias = (model.ln_final.w, model.ln_final.b)
        unembed = model.unembed
        unembedding: WeightAndBias = (
            (model.embed.W_E.mT, None) if unembed is None else (unembed.W_U, unembed.b_U)
        )
        self.native = None
        if is_native:
            blocks = map(block_weights, model.blocks)
            self.native = NativeStep(self.config, blocks, ln_final, unembedding, dtype)
        self.W_E, self.W_pos = model.embed.W_E.detach(), model.pos_embed.W_pos.detach()
        self.blocks = [
            PackedBlock(
                **{
                    name: (norm if name.startswith("ln") else packed)(*pair)  # type: ignore[arg-type]
                    for name, pair in weights.items()
                }
            )
            for weights in map(block_weights, model.blocks)
        ]
        self.ln_final, self.unembedding = norm(*ln_final), packed(*unembedding)

    def embed(
        self, tokens: Int[Tensor, "*positions"], positions: Int[Tensor, "*positions"]
    ) -> Float[Tensor, "*positions d_model"]:
        return (self.W_E[tokens] + self.W_pos[positions]).to(self.dtype)

    def logits(self, residual: Float[Tensor, "rows d_model"]) -> Float[Tensor, "rows d_vocab"]:
        return self.unembedding(self.ln_final(residual))
