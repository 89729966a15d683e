"""The GELU in C and its gradient are what exact arithmetic gives, to the numbers' precision."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from native_code import FLOAT32, needs_compiler, plant_in_c
from strategies import SMALL
from torch._subclasses.fake_tensor import FakeTensorMode
from twin import WIDE, assert_same_function

from gpt2_small.kernels import products
from gpt2_small.kernels.native import library as native
from gpt2_small.model.twin import FastTransformer

pytestmark = needs_compiler

# Relative: a float keeps 24 bits, also of the exponent 2u, and a bfloat16 keeps 8.
ARITHMETIC = 4e-7
ROUNDING = {FLOAT32: 0.0, torch.bfloat16: 2**-8}
SMALLEST = 1e-36  # a float is hardly smaller
# Of the gradient, where two parts of the slope cancel.
CANCELLING = 4e-6
SPECIAL = [math.nan, math.inf, -0.0, 0.0, 1e-30, -1e-30, 87.0, 88.0, -87.0, -88.0, 1e4, -1e4, -1e13]
FAR, NEAR = torch.linspace(-20, 20, 2000), torch.linspace(-0.01, 0.01, 301)


def numbers(dtype: torch.dtype) -> torch.Tensor:
    """From everywhere and from closely around 0; the last lanes are not full."""
    return torch.cat([FAR, NEAR, torch.tensor(SPECIAL)]).to(dtype)


def assert_values_and_gradients_are_right(dtype: torch.dtype) -> None:
    pre = numbers(dtype)
    grad = torch.linspace(-3, 2, len(pre)).to(dtype)
    x, exact_grad = pre.double(), grad.double()
    exponent = 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    relative = ARITHMETIC * (1 + exponent.abs()) + ROUNDING[dtype]
    values = x * exponent.sigmoid()  # torch's own loses digits where its tanh is near -1
    torch.testing.assert_close(values, F.gelu(x, approximate="tanh"), equal_nan=True)
    slopes = torch.ops.aten.gelu_backward(exact_grad, x, approximate="tanh")
    assert_near(native.gelu_tanh(pre), values, relative * values.abs() + SMALLEST)
    allowed = relative * slopes.abs() + CANCELLING * exact_grad.abs()
    assert_near(native.gelu_tanh_backward(grad, pre), slopes, allowed)


def assert_near(actual: torch.Tensor, exact: torch.Tensor, allowed: torch.Tensor) -> None:
    is_near = (actual - exact).abs() <= allowed
    is_same = (actual == exact) | (actual.isnan() & exact.isnan())
    assert (is_near | is_same).all(), (actual - exact)[~(is_near | is_same)]


@pytest.mark.parametrize("dtype", list(ROUNDING))
def test_values_and_gradients_are_those_of_exact_arithmetic(dtype):
    assert_values_and_gradients_are_right(dtype)


@pytest.mark.parametrize("dtype", list(ROUNDING))
def test_a_number_gets_the_same_wherever_it_stands(dtype):
    pre = FAR.to(dtype)
    whole = native.gelu_tanh(pre)
    for length in (1, 15, 16, 17, 33):
        assert torch.equal(native.gelu_tanh(pre[7 : 7 + length]), whole[7 : 7 + length])


def test_any_number_of_threads_gives_the_same(two_threads, monkeypatch):
    monkeypatch.setattr(native, "NUMBERS_PER_THREAD", 1)
    pre = FAR[:1999]
    with_two = native.gelu_tanh(pre), native.gelu_tanh_backward(pre, pre)
    torch.set_num_threads(1)
    assert torch.equal(native.gelu_tanh(pre), with_two[0])
    assert torch.equal(native.gelu_tanh_backward(pre, pre), with_two[1])


def test_a_tensor_that_is_not_contiguous_keeps_its_shape():
    pre = FAR.view(40, 50).mT
    torch.testing.assert_close(native.gelu_tanh(pre), F.gelu(pre, approximate="tanh"))
    expected = torch.ops.aten.gelu_backward(pre, pre, approximate="tanh")
    torch.testing.assert_close(native.gelu_tanh_backward(pre, pre), expected)


def test_no_numbers_give_no_numbers():
    assert native.gelu_tanh(torch.empty(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("is_native", [True, False])
@pytest.mark.parametrize("case", [SMALL, WIDE])
def test_the_twin_is_the_same_function_with_it_and_without(solution, monkeypatch, case, is_native):
    calls = []
    called = native.gelu_tanh
    monkeypatch.setattr(native, "gelu_tanh", lambda pre: calls.append(1) or called(pre))
    if not is_native:
        monkeypatch.setattr(native, "serves", lambda tensor: False)
    case = replace(case, dtype=FLOAT32)
    assert_same_function(solution, case, tied=True, positions_per_chunk=5)
    assert bool(calls) == is_native


def test_what_is_compiled_is_given_to_torchs_compiler(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not native.serves(FAR)


def test_a_tensor_without_numbers_is_left_to_torch(solution):
    with FakeTensorMode():
        model = solution.Transformer(WIDE.config(solution))
        loss = FastTransformer(model)(torch.zeros(2, 5, dtype=torch.long))
    assert loss.shape == ()


def test_gradients_that_torch_maps_over_are_left_to_torch():
    pre, weight, bias = torch.randn(3, 4, requires_grad=True), torch.randn(4, 2), torch.zeros(2)
    post = products.affine(pre, weight, bias, gelu=True)
    (mapped,) = torch.autograd.grad(
        post, pre, torch.ones(5, 3, 2), is_grads_batched=True, retain_graph=True
    )
    (alone,) = torch.autograd.grad(post, pre, torch.ones(3, 2))
    torch.testing.assert_close(mapped, alone.expand(5, 3, 4))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-1.5957691216f", "-1.702f"),
        ("0.044715f * x * x * x", "0.0447f * x * x * x"),
        ("3 * 0.044715f", "0.044715f"),
        ("return open + x", "return x"),
        ("1.0f / 720", "0"),
        ("1.0f / 120", "0"),
        ("ln2_low = 1.42860677e-6f", "ln2_low = 0"),
        ("slope * read_some(grads", "read_some(grads"),
        ("least = -87", "least = -200"),
        ("(Bits)(x > most)", "(Bits)(x > 2 * most)"),
        ("write_lanes(numbers, lanes);", "memset(numbers, 0, sizeof numbers);"),
    ],
)
def test_a_mistake_in_it_is_caught(monkeypatch, kept, tmp_path, old, new):
    plant_in_c(monkeypatch, tmp_path, old, new)
    with pytest.raises(AssertionError):
        assert_values_and_gradients_are_right(FLOAT32)


def test_without_rounding_a_bfloat16_is_caught(monkeypatch, kept, tmp_path):
    rounding = "(bits + 0x7fff + (bits >> 16 & 1))"
    plant_in_c(monkeypatch, tmp_path, rounding, "bits", torch.bfloat16)
    with pytest.raises(AssertionError):
        assert_values_and_gradients_are_right(torch.bfloat16)
