"""Test cached decoding against the model's full forward pass after every token."""

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from assert_close import assert_close
from decoding_oracle import assert_cached_is_uncached, draw, new_decoder
from hypothesis import given, settings
from hypothesis import strategies as st
from planting import plant
from strategies import SMALL, Case, cases
from torch.utils._python_dispatch import TorchDispatchMode

from gpt2_small import UserError, hooks
from gpt2_small.model import cached_decoder as decoding
from gpt2_small.model import kv_cache
from gpt2_small.model import packed_weights as packed
from gpt2_small.model.presets import PRESETS

# Relative to the largest logit: bfloat16 has 8 significant bits, and about 20 roundings add up.
BFLOAT16 = 0.05


any_prompts = given(
    case=cases(),
    tied=st.booleans(),
    lengths=st.lists(st.integers(1, 16), min_size=1, max_size=4),
    new_tokens=st.integers(0, 8),
)


@any_prompts
@settings(max_examples=10)
def test_cached_logits_equal_uncached_ones_at_every_step(solution, case, tied, lengths, new_tokens):
    cached_equals_uncached(solution, case, tied, lengths, new_tokens)


@pytest.mark.slow
@any_prompts
@settings(max_examples=200)
def test_cached_logits_equal_uncached_ones_in_many_shapes(
    solution, case, tied, lengths, new_tokens
):
    cached_equals_uncached(solution, case, tied, lengths, new_tokens)


def cached_equals_uncached(solution, case, tied, lengths, new_tokens):
    case = replace(case, scale=1.0)
    model = case.build(solution, "Transformer", tied_embeddings=tied)
    assert_cached_is_uncached(model, case, lengths, new_tokens, native=False)


@pytest.mark.parametrize("native", [False, None])
@pytest.mark.parametrize("name", ["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"])
def test_the_published_numbers_of_heads_agree_at_small_widths(solution, name, native):
    heads = PRESETS[name]["n_heads"]
    shape = {"n_layers": 2, "n_heads": heads, "d_head": 4, "d_mlp": 16 * heads}
    case = replace(SMALL, dtype=torch.float32, **shape)
    model = case.build(solution, "Transformer")
    assert_cached_is_uncached(model, case, [3, 11], 3, native=native)


@pytest.mark.parametrize("lengths", [[5, 2], [5]])
@pytest.mark.parametrize("has_mkl_on_intel", [True, False])
@pytest.mark.parametrize("onednn_serves", [True, False])
def test_every_matmul_library_gives_the_same_logits(
    solution, monkeypatch, onednn_serves, has_mkl_on_intel, lengths
):
    monkeypatch.setattr(packed, "has_mkl_on_intel", lambda: has_mkl_on_intel)
    if not onednn_serves:
        monkeypatch.setattr(packed, "onednn_serves", lambda *tensors: False)
    case = replace(SMALL, dtype=torch.float32)
    model = case.build(solution, "Transformer")
    assert_cached_is_uncached(model, case, lengths, 4, native=False)


def test_each_row_equals_its_prompt_alone_at_its_first_and_last_new_token(solution):
    model = SMALL.build(solution, "Transformer")
    prompts = [draw(SMALL, length) for length in (2, 7, 1, 5)]
    tokens = [draw(SMALL, 4, stream=20 + step) for step in range(5)]
    together = new_decoder(model)
    first = together.prefill(prompts)
    last = [together.step(new) for new in tokens][-1]
    for row, prompt in enumerate(prompts):
        alone = new_decoder(model)
        assert_close(first[row], alone.prefill([prompt])[0], "the first")
        assert_close(last[row], [alone.step(new[row : row + 1]) for new in tokens][-1][0], "last")


def test_greedy_decoding_equals_generate(solution):
    model = SMALL.build(solution, "Transformer")
    prompt = draw(SMALL, 4)
    decoder = new_decoder(model)
    logits, text = decoder.prefill([prompt]), prompt.tolist()
    for _ in range(15):
        token = solution.sample(logits, temperature=0.0)
        text += token.tolist()
        logits = decoder.step(token)
    assert text == solution.generate(model, prompt[None], 15, temperature=0.0)[0].tolist()


@pytest.mark.parametrize("native", [False, None])
@pytest.mark.parametrize("batch", [1, 3])
def test_bfloat16_weights_give_the_logits_to_its_precision(solution, batch, native):
    case = Case(n_heads=4, d_head=16, d_mlp=256, n_ctx=40, d_vocab=300, dtype=torch.float32)
    model = case.build(solution, "Transformer")
    prompts = [draw(case, 9 + row, stream=row) for row in range(batch)]
    new = draw(case, batch)
    exact = new_decoder(model, native=False)
    rounded = new_decoder(model, dtype=torch.bfloat16, native=native)
    for ours, theirs in (
        (rounded.prefill(prompts), exact.prefill(prompts)),
        (rounded.step(new), exact.step(new)),
    ):
        assert ours.dtype == torch.bfloat16
        assert (ours.float() - theirs).abs().max() < BFLOAT16 * theirs.abs().max()


def test_prompts_may_be_lists_and_a_decoder_can_be_reset(solution):
    model = SMALL.build(solution, "Transformer")
    decoder = new_decoder(model)
    decoder.prefill([[1, 2, 3], [4]])
    decoder.step(torch.tensor([5, 6]))
    again = decoder.prefill([[7, 8], [9, 1]])
    assert decoder.lengths == (2, 2)
    assert_close(again, model(torch.tensor([[7, 8], [9, 1]]))[:, -1].detach(), "the logits")


def test_selected_rows_continue_in_their_new_order_and_number(solution):
    model = SMALL.build(solution, "Transformer")
    decoder = new_decoder(model)
    decoder.prefill([[1, 2, 3], [4], [5, 6]])
    decoder.select([2, 0, 0])
    logits = decoder.step(torch.tensor([7, 8, 9]))
    assert decoder.lengths == (3, 4, 4)
    for row, text in enumerate([[5, 6, 7], [1, 2, 3, 8], [1, 2, 3, 9]]):
        assert_close(logits[row], model(torch.tensor([text]))[0, -1].detach(), f"row {row}")


class Copies(TorchDispatchMode):
    """Records the numbers in the largest tensor that an operation returns in new memory."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        returned = function(*args, **(kwargs or {}))
        is_view = any(result.alias_info is not None for result in function._schema.returns)
        for tensor in returned if isinstance(returned, tuple | list) else [returned]:
            if isinstance(tensor, torch.Tensor) and not is_view:
                self.numbers = max(self.numbers, tensor.numel())
        return returned


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_step_copies_and_rearranges_no_weight(solution, dtype):
    case = Case(n_heads=2, d_head=32, d_mlp=256, n_ctx=16, d_vocab=300, dtype=torch.float32)
    decoder = new_decoder(case.build(solution, "Transformer"), dtype=dtype, native=False)
    with Copies() as prefill:
        decoder.prefill([draw(case, 12)])
    with Copies() as step:
        decoder.step(draw(case, 1))
    assert prefill.numbers >= 12 * case.d_mlp
    assert step.numbers <= case.d_vocab


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("native", [False, None])
def test_gpt2_small_at_its_real_size_decodes_as_uncached(solution, native):
    shape = {"n_layers": 12, "n_heads": 12, "d_head": 64, "d_mlp": 3072}
    case = Case(**shape, n_ctx=1024, d_vocab=50257, dtype=torch.float32)
    model = case.build(solution, "Transformer")
    assert_cached_is_uncached(model, case, [40, 7], 3, native=native)


@pytest.mark.parametrize("kept", [[2], [1, 2], [2, 0, 1]])
def test_selecting_rows_copies_only_the_filled_places(solution, kept):
    case = Case(n_heads=2, d_head=32, n_ctx=128, d_vocab=50, dtype=torch.float32)
    decoder = new_decoder(case.build(solution, "Transformer"))
    decoder.prefill([draw(case, length) for length in (3, 5, 4)])
    with Copies() as select:
        decoder.select(kept)
    filled = max(decoder.lengths)
    assert select.numbers == len(kept) * case.n_heads * filled * case.d_head


@pytest.mark.parametrize("kept", [[3], [2, 0], [1, 1, 3, 0], [0, 1, 2, 3, 0, 2], []])
def test_repeatedly_selected_rows_equal_the_same_rows_alone(solution, kept):
    model = SMALL.build(solution, "Transformer")
    rows = [draw(SMALL, length, stream=length) for length in (2, 7, 1, 5)]
    decoder = new_decoder(model)
    decoder.prefill(rows)
    for chosen in (kept, [*reversed(range(len(kept)))]):
        decoder.select(chosen)
        rows = [rows[row] for row in chosen]
        for step in range(3 if rows else 0):
            new = draw(SMALL, len(rows), stream=30 + step)
            rows = [torch.cat([row, token[None]]) for row, token in zip(rows, new, strict=True)]
            logits = decoder.step(new)
            for row, text in enumerate(rows):
                expected = model(text[None, -SMALL.n_ctx :])[0, -1].detach()
                assert_close(logits[row], expected, f"row {row}")
    assert decoder.lengths == tuple(min(len(row), SMALL.n_ctx) for row in rows)


def test_hooks_and_impossible_prompts_and_tokens_are_refused(solution):
    model = SMALL.build(solution, "Transformer")
    with hooks(model, {"hook_embed": lambda embed: embed}), pytest.raises(UserError, match="hook"):
        new_decoder(model)
    decoder = new_decoder(model)
    for refused, sentence in (
        (lambda: decoder.step(torch.tensor([1])), "call prefill first"),
        (lambda: decoder.select([0]), "call prefill first"),
        (lambda: decoder.prefill([]), "there is no prompt"),
        (lambda: decoder.prefill([[1], []]), "prompt 2 is empty"),
    ):
        with pytest.raises(UserError, match=sentence):
            refused()
    decoder.prefill([[1], [2]])
    for refused, sentence in (
        (lambda: decoder.step(torch.tensor([1])), r"shape \(1,\) for 2 rows"),
        (lambda: decoder.select([2]), r"rows \[2\] of 2"),
    ):
        with pytest.raises(UserError, match=sentence):
            refused()


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        (decoding, "is_causal=mask is None", "is_causal=False"),
        (decoding, "attn_mask=mask", "attn_mask=None"),
        (decoding, "last = self._cache.positions - 1", "last = tokens.shape[1] - 1"),
        (decoding, "prompt, dtype=torch.long)[-n_ctx:]", "prompt, dtype=torch.long)[:n_ctx]"),
        (decoding, "window[:length], new]", "new, window[:length]]"),
        (
            decoding,
            "cache.next_token[:, None], cache.positions[:, None]\n        cache.window.",
            "cache.next_token[:, None], cache.positions[:, None]\n        cache.window.clone().",
        ),
        (decoding, "cache.positions.add_(1)", "cache.positions.add_(0)"),
        (kv_cache, "keys <= positions", "keys < positions"),
        (kv_cache, "(self.values, value)", "(self.values, key)"),
        (kv_cache, "self.positions = self.positions[rows]", "pass"),
        (kv_cache, "cached[rows, :, :filled]", "cached[: len(rows), :, :filled]"),
        (kv_cache, "cached = cached.new_zeros", "cached = torch.nan * cached.new_zeros"),
        (decoding, "filled = max(self._lengths", "filled = min(self._lengths"),
        (packed, 'approximate="tanh"', 'approximate="none"'),
        (packed, "(block.ln2.w, block.ln2.b)", "(block.ln1.w, block.ln1.b)"),
        (packed, "self.W_pos[positions]", "self.W_pos[0 * positions]"),
        (packed, "self.ln_final(residual)", "residual"),
        (packed, "(unembed.W_U, unembed.b_U)", "(unembed.W_U, None)"),
    ],
)
def test_a_mistake_in_decoding_is_caught(solution, monkeypatch, module, old, new):
    plant(monkeypatch, module, old, new)
    model = SMALL.build(solution, "Transformer", tied_embeddings=False)
    with pytest.raises((AssertionError, RuntimeError)):  # noqa: PT012
        assert_cached_is_uncached(model, SMALL, [3, 9], 6)
        assert_cached_is_uncached(model, SMALL, [14], 1)
        test_selected_rows_continue_in_their_new_order_and_number(solution)
        test_repeatedly_selected_rows_equal_the_same_rows_alone(solution, [0, 1, 2, 3, 0, 2])


def test_a_graph_captures_a_stream_of_the_models_own_device(solution, monkeypatch):
    captured, nothing = [], contextlib.nullcontext()
    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, stand_in in (
        ("Stream", lambda device: SimpleNamespace(device=device, wait_stream=stream.wait_stream)),
        ("current_stream", lambda device: stream),
        ("stream", lambda stream: nothing),
        ("device", lambda device: nothing),
        ("CUDAGraph", lambda: None),
        ("graph", lambda graph, stream=None: captured.append(stream) or nothing),
    ):
        monkeypatch.setattr(torch.cuda, name, stand_in)
    decoder = new_decoder(SMALL.build(solution, "Transformer"))
    decoder.prefill([[1, 2]])
    decoder.device = torch.device("cuda:1")
    decoder._captured(decoder._cache, 8)
    assert [stream.device for stream in captured] == [torch.device("cuda:1")]
