"""Test the twin's matrix products: equal numbers for every library and dtype."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from fast_twin_comparison import assert_same_function, window
from strategies import SMALL

from gpt2_small.kernels import matmul
from gpt2_small.kernels.activation import gelu_tanh
from gpt2_small.model import twin as fast


def test_the_gelu_for_the_compiler_has_the_eager_ones_values_and_derivatives(monkeypatch):
    pre = torch.linspace(-40, 40, 4001, dtype=torch.float64, requires_grad=True)
    plain = gelu_tanh(pre)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    compiled = gelu_tanh(pre)
    torch.testing.assert_close(compiled, plain, rtol=1e-13, atol=1e-13)
    slopes = [torch.autograd.grad(gelu.sum(), pre)[0] for gelu in (compiled, plain)]
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)


def test_the_gelu_for_the_compiler_rounds_once_in_bfloat16(monkeypatch):
    pre = torch.linspace(-8, 8, 4001).bfloat16()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    exact = F.gelu(pre.double(), approximate="tanh")
    torch.testing.assert_close(gelu_tanh(pre).double(), exact, rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize("has_mkl_on_intel", [True, False])
@pytest.mark.parametrize("onednn_serves", [True, False])
def test_every_matmul_library_gives_the_same_function(
    solution, monkeypatch, has_mkl_on_intel, onednn_serves
):
    monkeypatch.setattr(matmul, "has_mkl_on_intel", lambda: has_mkl_on_intel)
    if not onednn_serves:
        monkeypatch.setattr(matmul, "onednn_serves", lambda *tensors: False)
    assert_same_function(solution, replace(SMALL, dtype=torch.float32), True, 7)


def test_attention_on_a_cpu_is_computed_in_float32(solution, monkeypatch):
    seen = []
    attention = F.scaled_dot_product_attention

    def noted(query, *others, **settings):
        z = attention(query, *others, **settings)
        seen.append((query.dtype, z.dtype))
        return z

    monkeypatch.setattr(F, "scaled_dot_product_attention", noted)
    case = replace(SMALL, dtype=torch.float32)
    twin = fast.FastTransformer(case.build(solution, "Transformer"))
    with torch.autocast("cpu", torch.bfloat16):
        twin(window(case))
    assert seen == [(torch.float32, torch.float32)] * case.n_layers
