"""The twin's matrix products: the same numbers whatever library makes them, and in what pieces."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import SMALL
from twin import WIDE, assert_same_function, window

from gpt2_small.check.tolerances import assert_close
from gpt2_small.model import fast, products

SIZE = st.integers(1, 40)


def test_a_gelu_too_wide_to_keep_is_made_again_with_the_same_gradients(solution):
    assert_same_function(solution, WIDE, tied=True, positions_per_chunk=9)


@pytest.mark.parametrize("mkl_is_at_home", [True, False])
@pytest.mark.parametrize("onednn_serves", [True, False])
def test_whatever_library_multiplies_the_function_is_the_same(
    solution, monkeypatch, mkl_is_at_home, onednn_serves
):
    monkeypatch.setattr(products, "mkl_is_at_home", lambda: mkl_is_at_home)
    if not onednn_serves:
        monkeypatch.setattr(products, "onednn_serves", lambda *tensors: False)
    assert_same_function(solution, replace(SMALL, dtype=torch.float32), True, 7)


@settings(max_examples=60)
@given(rows=SIZE, inner=SIZE, out=SIZE, most=st.integers(2, 200), keep=st.booleans())
def test_a_product_made_of_pieces_is_the_product(rows, inner, out, most, keep):
    generator = torch.Generator().manual_seed(rows * inner * out)
    left, right, total = (
        torch.randn(size, generator=generator)
        for size in [(rows, inner), (inner, out), (rows, out)]
    )
    wanted = left @ right + (total if keep else 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "MOST_FOR_MKL", most)
        products.add_in_pieces(total, left, right, keep=keep)
    assert_close(total, wanted, "the product")


def sums_of_pieces_are_right() -> None:
    """A product cut along every one of its three lengths, on top of what was there and instead."""
    left, right = torch.randn(24, 32), torch.randn(32, 28)
    before = torch.randn(24, 28)
    for keep in (False, True):
        total = before.clone()
        products.add_in_pieces(total, left, right, keep=keep)
        assert_close(total, left @ right + before * keep, "the product")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("right[half:], keep=True)", "right[half:], keep=keep)"),
        ("add_in_pieces(total, left[:, :half], right[:half], keep=keep)", "pass"),
        ("add_in_pieces(total[half:], left[half:]", "add_in_pieces(total[half:], left[:-half]"),
        ("add_in_pieces(total[:, half:], left,", "add_in_pieces(total[:, :-half], left,"),
        ("beta=int(keep)", "beta=1"),
    ],
)
def test_a_mistake_in_putting_pieces_together_is_caught(monkeypatch, old, new):
    torch.manual_seed(0)
    monkeypatch.setattr(products, "MOST_FOR_MKL", 100)
    sums_of_pieces_are_right()
    source = Path(products.__file__).read_text()
    assert source.count(old) == 1
    edited = {**vars(products)}
    exec(compile(source.replace(old, new), products.__file__, "exec"), edited)
    edited["MOST_FOR_MKL"] = 100
    monkeypatch.setattr(products, "add_in_pieces", edited["add_in_pieces"])
    with pytest.raises(AssertionError):
        sums_of_pieces_are_right()


def test_attention_on_a_cpu_is_not_computed_in_bfloat16(solution, monkeypatch):
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
