"""Test faults planted in the fast twin: the comparison with the reference fails."""

from dataclasses import replace

import pytest
from fast_twin_comparison import FEW, MANY, assert_as_near_in_bfloat16, assert_same_function
from planting import plant
from strategies import SMALL

from gpt2_small.kernels import (
    activation,
    attention,
    chunked_loss,
    matmul,
    qkv_projection,
    tied_embedding,
)
from gpt2_small.model import twin as fast

PLANTED = [
    (fast, "attn.W_Q, attn.W_K, attn.W_V", "attn.W_K, attn.W_Q, attn.W_V"),
    (fast, "attn.b_Q, attn.b_K, attn.b_V", "attn.b_Q, attn.b_V, attn.b_K"),
    (qkv_projection, "-> d_model head d_head", "-> d_model d_head head"),
    (qkv_projection, "-> three head d_model d_head", "-> three d_head d_model head"),
    (qkv_projection, "side_by_side(*(each.to(grad.dtype)", "side_by_side(*(-each.to(grad.dtype)"),
    (qkv_projection, "product(inputs.mT, grad)", "product(inputs.mT, -grad)"),
    (qkv_projection, "product(grad, fused.mT)", "product(-grad, fused.mT)"),
    (qkv_projection, "bias_grad = grad.sum", "bias_grad = grad.mean"),
    (matmul, "torch.addmm(bias, flat, weight)", "flat @ weight"),
    (attention, "is_causal=True", "is_causal=False"),
    (attention, "is_causal=True", "is_causal=True, scale=1.0"),
    (attention, "-> batch seq (head d_head)", "-> batch seq (d_head head)"),
    (activation, 'F.gelu(pre, approximate="tanh")', "F.gelu(pre)"),
    (fast, "gelu_tanh(affine(", "(affine("),
    (tied_embedding, "weight_grad.index_add_(0", "weight_grad.index_copy_(0"),
    (fast, "norm.eps", "1e-6"),
    (fast, "return residual + mlp(", "return mlp("),
    (fast, "mlp(block.mlp, layer_norm(block.ln2, residual))", "mlp(block.mlp, residual)"),
    (fast, "W_pos[:seq]", "W_pos[-seq:]"),
    (fast, "return layer_norm(model.ln_final, residual),", "return residual,"),
    (fast, "model.unembed.W_U, model.unembed.b_U", "model.unembed.W_U, None"),
    (fast, "batch[:, 1:].flatten(),", "batch[:, :-1].flatten(),"),
    (chunked_loss, "torch.stack(losses).sum() / positions", "torch.stack(losses).mean()"),
    (chunked_loss, "torch.full_like(target, -share,", "torch.full_like(target, share,"),
    (chunked_loss, "else grad * loss_grad.to(grad.dtype)", "else grad"),
    (chunked_loss, "bias_grad += slope.sum(dim=0)", "bias_grad = slope.sum(dim=0)"),
    (chunked_loss, "result[rows] += product", "result[rows] = product"),
    (chunked_loss, "torch.cat(final_grads)", "torch.cat(final_grads[::-1])"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "old", "new"), PLANTED)
def test_a_mistake_in_the_twin_is_caught(solution, monkeypatch, module, old, new):
    plant(monkeypatch, module, old, new)
    case = replace(SMALL, seq=7)  # several chunks of unequal lengths
    with pytest.raises((AssertionError, RuntimeError)):  # noqa: PT012
        assert_same_function(solution, case, tied=False, positions_per_chunk=5)
        assert_same_function(solution, case, tied=True, positions_per_chunk=5)


PLANTED_IN_CASTS = [
    (qkv_projection, "-> three head d_model d_head", "-> three d_head d_model head"),
    (qkv_projection, "side_by_side(*(each.to(dtype)", "side_by_side(*(each.to(dtype).flip(0)"),
    (qkv_projection, "product(grad, fused.mT)", "product(grad, fused.flip(0).mT)"),
    (qkv_projection, "side_by_side(*(each.to(grad.dtype)", "side_by_side(*(-each.to(grad.dtype)"),
    (matmul, "weight if len(inputs)", "-weight if len(inputs)"),
    (chunked_loss, "unembedding[:, columns], block_bias", "unembedding[:, columns], None"),
    (chunked_loss, "unembedding[:, columns]", "unembedding[:, columns].flip(1)"),
    (qkv_projection, "bias_grad = grad.sum", "bias_grad = grad.mean"),
    (matmul, "product(inputs.mT, grad)", "product(-inputs.mT, grad)"),
    (matmul, "weight.to(grad.dtype).mT", "-weight.to(grad.dtype).mT"),
    (matmul, "bias_grad = grad.sum", "bias_grad = grad.mean"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "old", "new"), PLANTED_IN_CASTS)
def test_a_mistake_under_autocast_is_caught(solution, monkeypatch, module, old, new):
    plant(monkeypatch, module, old, new)
    with pytest.raises((AssertionError, RuntimeError)):  # noqa: PT012
        for batch in (FEW, MANY):
            assert_as_near_in_bfloat16(solution, tied=False, batch=batch)
