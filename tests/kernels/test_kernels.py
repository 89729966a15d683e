"""Test each kernel's CPU version against its plain version, with gradients."""

import pytest
import torch
from assert_close import assert_close
from gpu_path import the_way_of_a_gpu

from gpt2_small.kernels import matmul
from gpt2_small.kernels.chunked_loss import chunked_loss
from gpt2_small.kernels.matmul import affine
from gpt2_small.kernels.qkv_projection import query_key_value
from gpt2_small.kernels.tied_embedding import shared_embedding

HEADS, D_MODEL, D_HEAD, D_VOCAB, SEQ = 3, 12, 4, 29, 7
# float16 rounds by up to 5e-4; a probability that becomes 0 changes a gradient by a tenth.
FLOAT16_TOLERANCE = 2e-3


def numbers(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).requires_grad_()


def tokens():
    return torch.randint(D_VOCAB, (2, SEQ), generator=torch.Generator().manual_seed(9))


def an_affine_map(residual, weight, bias):
    return affine(residual, weight, bias)


def queries_keys_and_values(residual, *parameters):
    return query_key_value(residual, parameters[:3], parameters[3:])


def a_shared_embedding(weight):
    embed, again = shared_embedding(weight, tokens())
    return embed @ again.mT


def a_loss_with_a_bias(final, weight, bias):
    targets = tokens().flatten()
    return chunked_loss(final, weight, bias, targets, is_transposed=False, positions_per_chunk=5)


def a_tied_loss(final, weight):
    targets = tokens().flatten()
    return chunked_loss(final, weight, None, targets, is_transposed=True, positions_per_chunk=5)


KERNELS = {
    an_affine_map: [(2, SEQ, D_MODEL), (D_MODEL, 20), (20,)],
    queries_keys_and_values: [
        (2, SEQ, D_MODEL),
        *[(HEADS, D_MODEL, D_HEAD)] * 3,
        *[(HEADS, D_HEAD)] * 3,
    ],
    a_shared_embedding: [(D_VOCAB, D_MODEL)],
    a_loss_with_a_bias: [(2 * SEQ, D_MODEL), (D_MODEL, D_VOCAB), (D_VOCAB,)],
    a_tied_loss: [(2 * SEQ, D_MODEL), (D_VOCAB, D_MODEL)],
}


def values_and_gradients(kernel):
    given = [numbers(*shape, seed=number) for number, shape in enumerate(KERNELS[kernel])]
    output = kernel(*given)
    weights = torch.linspace(-1, 2, output.numel()).view(output.shape)
    return output, *torch.autograd.grad((output * weights).sum(), given)


def test_the_loss_over_a_large_vocabulary_has_float32_gradients_in_float16():
    final, weight = (numbers(rows, 8, seed=rows) for rows in (1024, 8192))
    targets = torch.randint(8192, (1024,), generator=torch.Generator().manual_seed(0))
    found = {}
    for dtype in (torch.float32, torch.float16):
        with torch.autocast("cpu", dtype, enabled=dtype == torch.float16):
            loss = chunked_loss(final, weight, None, targets, is_transposed=True)
        found[dtype] = torch.autograd.grad(loss, (final, weight))
    for low, exact in zip(found[torch.float16], found[torch.float32], strict=True):
        assert (low - exact).norm() < FLOAT16_TOLERANCE * exact.norm()


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
def test_the_cpu_version_equals_the_plain_one(monkeypatch, kernel):
    with the_way_of_a_gpu(monkeypatch):
        plain = values_and_gradients(kernel)
    monkeypatch.setattr(matmul, "onednn_is_faster", lambda *tensors: True)
    for ours, wanted in zip(values_and_gradients(kernel), plain, strict=True):
        assert_close(ours, wanted, kernel.__name__)


def test_plain_versions_use_autograds_gradient(monkeypatch):
    with the_way_of_a_gpu(monkeypatch):
        output, *_ = values_and_gradients(an_affine_map)
    assert "Affine" not in str(output.grad_fn.next_functions)
    monkeypatch.setattr(matmul, "onednn_is_faster", lambda *tensors: True)
    output, *_ = values_and_gradients(an_affine_map)
    assert "Affine" in str(output.grad_fn.next_functions)
