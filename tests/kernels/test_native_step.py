"""Test the decoding step in C against the model, and the fallback to torch."""

import re
from dataclasses import replace

import pytest
import torch
from decoding_oracle import assert_cached_is_uncached, draw, new_decoder
from default_share import one_in
from hypothesis import given, settings
from hypothesis import strategies as st
from native_code import CPU, FLOAT32, needs_compiler, plant_in_c
from strategies import Case, cases

from gpt2_small import UserError
from gpt2_small.kernels.native import decode_step as native_step
from gpt2_small.kernels.native import library as native

# Widths that are multiples of a cache line, and others with a remainder.
ODD = Case(n_heads=3, d_head=14, d_mlp=97, n_ctx=12, d_vocab=35, dtype=FLOAT32)


any_prompts = given(
    case=cases(),
    tied=st.booleans(),
    lengths=st.lists(st.integers(1, 16), min_size=1, max_size=native_step.MOST_ROWS),
    new_tokens=st.integers(1, 8),
)


@needs_compiler
@any_prompts
@settings(max_examples=10)
def test_the_step_in_c_equals_the_uncached_model(solution, case, tied, lengths, new_tokens):
    equals_the_uncached_model(solution, case, tied, lengths, new_tokens)


@pytest.mark.slow
@needs_compiler
@any_prompts
@settings(max_examples=200)
def test_the_step_in_c_equals_the_uncached_model_in_many_shapes(
    solution, case, tied, lengths, new_tokens
):
    equals_the_uncached_model(solution, case, tied, lengths, new_tokens)


def equals_the_uncached_model(solution, case, tied, lengths, new_tokens):
    case = replace(case, scale=1.0, dtype=FLOAT32)
    model = case.build(solution, "Transformer", tied_embeddings=tied)
    assert_cached_is_uncached(model, case, lengths, new_tokens, native=True)


@needs_compiler
@pytest.mark.parametrize("rows", range(1, native_step.MOST_ROWS + 2))
def test_the_step_in_c_equals_the_uncached_model_at_any_number_of_rows(solution, rows):
    model = ODD.build(solution, "Transformer")
    assert_cached_is_uncached(model, ODD, [1 + row for row in range(rows)], 3, native=True)


@needs_compiler
def test_a_row_in_a_batch_gets_exactly_the_logits_of_the_row_alone(solution):
    model = ODD.build(solution, "Transformer")
    prompts = [draw(ODD, length) for length in (2, 7, 1, 5)]
    together, alone = new_decoder(model, native=True), new_decoder(model, native=True)
    for decoder in (together, alone):
        decoder.prefill(prompts)
    alone.select([1])
    logits = together.step(torch.tensor([3, 1, 4, 1]))
    assert torch.equal(logits[1], alone.step(torch.tensor([1]))[0])


@needs_compiler
def test_any_number_of_threads_sums_in_the_same_order(solution, two_threads):
    model = ODD.build(solution, "Transformer")
    decoder = new_decoder(model, native=True)

    def logits() -> torch.Tensor:
        decoder.prefill([[1, 2, 3], [4]])
        return decoder.step(torch.tensor([5, 6]))

    with_two = logits()
    torch.set_num_threads(1)
    assert torch.equal(logits(), with_two)


@needs_compiler
def test_bfloat16_keys_and_values_are_rounded_as_torch_rounds(solution):
    halves = 1 + torch.arange(ODD.d_model) / 256  # every second one is a tie in bfloat16
    strange = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e-40, -0.0, 3.4e38, -1.00390625])
    numbers = torch.cat([strange, halves])[: ODD.d_model].view(ODD.n_heads, ODD.d_head)
    model = ODD.build(solution, "Transformer")
    attn = model.blocks[0].attn
    with torch.no_grad():
        for weight, bias in ((attn.W_K, attn.b_K), (attn.W_V, attn.b_V)):
            weight.zero_()
            bias.copy_(numbers)
    decoder = new_decoder(model, dtype=torch.bfloat16, native=True)
    decoder.prefill([[1]])
    decoder.step(torch.tensor([2]))
    for stored in (decoder._cache.keys[0], decoder._cache.values[0]):
        torch.testing.assert_close(
            stored[0, :, 1], numbers.bfloat16(), rtol=0, atol=0, equal_nan=True
        )


@needs_compiler
def test_nan_weights_give_nan_logits(solution):
    model = ODD.build(solution, "Transformer")
    with torch.no_grad():
        model.blocks[1].attn.b_K.fill_(torch.nan)
    decoder = new_decoder(model, native=True)
    decoder.prefill([[1, 2]])
    assert decoder.step(torch.tensor([3])).isnan().all()


@needs_compiler
@pytest.mark.parametrize("dtype", list(native.MACROS))
def test_a_decoder_uses_the_step_in_c_by_default(solution, monkeypatch, dtype):
    model = ODD.build(solution, "Transformer")
    calls = []
    called = native_step.NativeStep.__call__
    monkeypatch.setattr(
        native_step.NativeStep, "__call__", lambda *given: calls.append(1) or called(*given)
    )
    for settings_of_it, expected in (({}, 1), ({"native": False}, 0)):
        calls.clear()
        decoder = new_decoder(model, dtype=dtype, **settings_of_it)
        decoder.prefill([[1, 2]])
        decoder.step(torch.tensor([3]))
        assert len(calls) == expected


def test_unsupported_dtypes_and_devices_are_reported(solution):
    assert native.unavailable(torch.float64, CPU) == "it is for float32 and bfloat16"
    assert native.unavailable(FLOAT32, torch.device("cuda")) == "it runs on a CPU"
    model = replace(ODD, dtype=torch.float64).build(solution, "Transformer")
    with pytest.raises(UserError, match="the native step is unavailable: it is for float32"):
        new_decoder(model, native=True)


def test_without_a_compiler_torch_decodes_and_requesting_c_raises_the_reason(
    solution, monkeypatch, kept, tmp_path
):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    model = ODD.build(solution, "Transformer")
    assert_cached_is_uncached(model, ODD, [2, 5], 3)
    with pytest.raises(UserError, match="there is no C compiler"):
        new_decoder(model, native=True)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 'step.c:1: error: no such flag' >&2; exit 1", "failed .step.c:1: error: no such"),
        ("exit 1", "failed .no message"),
        ('for last; do :; done; echo nothing > "$last"', "cannot be loaded"),
        (None, "cannot be run"),
    ],
)
def test_a_compilers_error_is_quoted_and_torch_decodes(
    solution, monkeypatch, kept, tmp_path, script, sentence
):
    program = tmp_path / "compiler"
    if script is not None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))
    assert re.search(sentence, str(native.unavailable(FLOAT32, CPU)))
    assert_cached_is_uncached(ODD.build(solution, "Transformer"), ODD, [2, 5], 1)


PLANTED = [
    ("position + 1, d_head", "position, d_head"),
    ("pattern[place] /= sqrtf(d_head);", ""),
    ("long place = position * d_head + at", "long place = at"),
    ("read_floats(value + at, left)", "read_floats(key + at, left)"),
    ("z[at] /= sum", "z[at] /= places"),
    ("*key = query + heads * d_head", "*key = query + d_head"),
    ("(row * 3 * heads + head)", "(3 * row + head)"),
    ("residual[at] - mean;", "residual[at];"),
    ("squares / d_model + eps", "squares / d_model + 1e-3f"),
    ("* norm.gain[at] + norm.bias[at]", "* norm.gain[at]"),
    ("residual, block->ln2", "residual, block->ln1"),
    ("gelu_of_floats(wide, rows * d_mlp, threads);", "gelu_of_floats(wide, d_mlp, threads);"),
    ("residual, model->ln_final", "residual, model->blocks->ln1"),
    ("(map.bias ? map.bias[column] : 0)", "0"),
    ("for (long rest = at; rest < inner; rest++)", "for (long rest = at; rest < 0; rest++)"),
    ("for (int half = LANES / 2; half; half /= 2)", "for (int half = LANES / 2; half > 1; half--)"),
    ("weight, inner, 3)", "weight, inner, 2)"),
    ("cache->keys + each * model->n_ctx", "cache->keys + head * model->n_ctx"),
]  # fmt: skip


@needs_compiler
@pytest.mark.parametrize(("old", "new"), one_in(2, PLANTED))
def test_a_mistake_in_the_step_in_c_is_detected(solution, monkeypatch, kept, tmp_path, old, new):
    plant_in_c(monkeypatch, tmp_path, old, new)
    model = ODD.build(solution, "Transformer", tied_embeddings=False)
    with pytest.raises(AssertionError):
        assert_cached_is_uncached(model, ODD, [3, 6, 1], 5, native=True)


@needs_compiler
def test_truncating_in_place_of_rounding_is_detected(solution, monkeypatch, kept, tmp_path):
    rounding = "(bits + 0x7fff + (bits >> 16 & 1))"
    plant_in_c(monkeypatch, tmp_path, rounding, "bits", torch.bfloat16)
    with pytest.raises(AssertionError):
        test_bfloat16_keys_and_values_are_rounded_as_torch_rounds(solution)
