"""Test a decoder's rows: extended, truncated, forked and reused, with the model's logits."""

import itertools
from dataclasses import replace

import pytest
import torch
from assert_close import assert_close
from decoding_oracle import draw, new_decoder
from hypothesis import given
from hypothesis import strategies as st
from planting import plant
from small_continuations import same, small_model
from small_gpt2s import characters
from strategies import SMALL

from gpt2_small import UserError, binding
from gpt2_small.generation import LoadedModel, SamplingOptions, Stream
from gpt2_small.generation.decoder import UncachedDecoder
from gpt2_small.model import cached_decoder, kv_cache, packed_weights

FLOAT32 = replace(SMALL, dtype=torch.float32)
KINDS = {
    "cached": lambda model: new_decoder(model, native=False),
    "cached, in C": new_decoder,
    "uncached": UncachedDecoder,
}
N_CTX = SMALL.n_ctx


@pytest.fixture(params=KINDS)
def make(request, solution):
    """Return a decoder of a small model, and the model."""
    model = FLOAT32.build(solution, "Transformer")
    return lambda: (KINDS[request.param](model), model)


def expected(model, row) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([row[-N_CTX:]]))[0]


def assert_logits(logits, model, rows) -> None:
    for number, row in enumerate(rows):
        assert_close(logits[number], expected(model, row)[-1], f"row {number}")


def test_several_tokens_at_once_give_the_logits_of_one_by_one(make):
    decoder, model = make()
    rows = [[1, 2, 3], [4]]
    decoder.prefill(rows)
    new = [[5, 6, 7, 8], [9, 10, 11, 12]]
    logits = decoder.extend(torch.tensor(new))
    rows = [row + more for row, more in zip(rows, new, strict=True)]
    assert_logits(logits, model, rows)
    assert decoder.lengths == (7, 5)
    logits = decoder.step(torch.tensor([3, 4]))
    assert_logits(logits, model, [rows[0] + [3], rows[1] + [4]])


def test_logits_are_returned_after_each_of_several_tokens(make):
    decoder, model = make()
    decoder.prefill([[1, 2, 3], [4]])
    logits = decoder.extend_each(torch.tensor([[5, 6, 7], [9, 10, 11]]))
    assert_close(logits[0], expected(model, [1, 2, 3, 5, 6, 7])[3:], "the first row")
    assert_close(logits[1], expected(model, [4, 9, 10, 11])[1:], "the second row")


def test_more_tokens_than_the_context_drop_the_oldest(make):
    decoder, model = make()
    rows = [draw(SMALL, 10).tolist(), draw(SMALL, 2).tolist()]
    decoder.prefill(rows)
    new = torch.stack([draw(SMALL, 5, stream=1), draw(SMALL, 5, stream=2)])
    rows = [row + more for row, more in zip(rows, new.tolist(), strict=True)]
    assert_logits(decoder.extend(new), model, rows)
    assert decoder.lengths == (N_CTX, 7)
    long = torch.stack([draw(SMALL, 3 * N_CTX, stream=row) for row in (3, 4)])
    assert_logits(decoder.extend(long), model, long.tolist())


def test_truncated_rows_continue_as_if_the_later_tokens_had_never_been_read(make):
    decoder, model = make()
    rows = [draw(SMALL, 7).tolist(), draw(SMALL, 5).tolist()]
    decoder.prefill(rows)
    decoder.step(torch.tensor([1, 2]))
    decoder.truncate([4, 1])
    rows = [[*rows[0][:4], 9, 8], [*rows[1][:1], 7, 6]]
    assert_logits(decoder.extend(torch.tensor([[9, 8], [7, 6]])), model, rows)
    decoder.truncate(0)
    assert decoder.lengths == (0, 0)
    assert_logits(decoder.step(torch.tensor([3, 4])), model, [[3], [4]])


def test_a_fork_and_its_origin_continue_independently(make):
    decoder, model = make()
    rows = [[1, 2, 3], [4]]
    decoder.prefill(rows)
    fork = decoder.fork()
    for token in (5, 6, 7):
        ours = decoder.step(torch.tensor([token, token]))
        theirs = fork.step(torch.tensor([token + 9, token + 9]))
    assert_logits(ours, model, [[*row, 5, 6, 7] for row in rows])
    assert_logits(theirs, model, [[*row, 14, 15, 16] for row in rows])


@given(
    first=st.lists(st.integers(0, 3), min_size=1, max_size=2 * N_CTX),
    second=st.lists(st.integers(0, 3), min_size=1, max_size=2 * N_CTX),
)
def test_a_prompt_that_reuses_the_cache_gives_the_logits_of_a_new_cache(solution, first, second):
    model = FLOAT32.build(solution, "Transformer")
    decoder = new_decoder(model, native=False)
    decoder.prefill([first])
    assert_logits(decoder.prefill([second], reuse=True), model, [second])
    assert decoder.lengths == (min(len(second), N_CTX),)
    assert_logits(decoder.step(torch.tensor([2])), model, [[*second, 2]])


def test_a_prompt_that_reuses_the_cache_computes_only_its_new_tokens(solution, monkeypatch):
    decoder = new_decoder(FLOAT32.build(solution, "Transformer"), native=False)
    decoder.prefill([[1, 2, 3, 4, 5]])
    read, computed = cached_decoder.CachedDecoder._read, []

    def counted(self, tokens):
        computed.append(tokens.tolist())
        return read(self, tokens)

    monkeypatch.setattr(cached_decoder.CachedDecoder, "_read", counted)
    decoder.prefill([[1, 2, 3, 9, 8, 7]], reuse=True)
    assert computed == [[[9, 8, 7]]]


def test_an_impossible_call_is_refused_in_one_sentence(make):
    decoder, _ = make()
    decoder.prefill([[1, 2], [3]])
    for refused, sentence in (
        (lambda: decoder.truncate([3, 1]), r"cannot truncate rows of \[2, 1\] tokens to \[3, 1\]"),
        (lambda: decoder.truncate([1]), r"to \[1\]"),
        (lambda: decoder.truncate(-1), r"to \[-1, -1\]"),
        (
            lambda: decoder.extend_each(torch.ones(2, N_CTX - 1, dtype=torch.long)),
            f"{N_CTX + 1} tokens do not fit n_ctx = {N_CTX}",
        ),
    ):
        with pytest.raises(UserError, match=sentence):
            refused()


# Weights are shared, caches are not


def stream(loaded, prompt, **options):
    options = {"max_new_tokens": 20, "seed": 5, "candidates": 0} | options
    return Stream(binding.bound(), loaded, [prompt], SamplingOptions(**options))


def test_two_interleaved_streams_equal_the_same_ones_alone():
    loaded = LoadedModel("small", small_model(), characters())
    one, other = stream(loaded, "HELLO"), stream(loaded, "THEWORLD", seed=8, num_samples=2)
    for _ in itertools.zip_longest(one, other):
        pass
    for together, prompt, options in ((one, "HELLO", {}), (other, "THEWORLD", {"num_samples": 2})):
        alone = stream(loaded, prompt, seed=5 if together is one else 8, **options)
        list(alone)
        assert all(map(same, together.rows, alone.rows))


def test_two_decoders_of_one_model_have_separate_caches():
    loaded = LoadedModel("small", small_model(), characters())
    decoders = [loaded.new_decoder() for _ in range(2)]
    decoders[0].prefill([[1, 2, 3]])
    decoders[1].prefill([[4]])
    logits = decoders[0].step(torch.tensor([5]))
    assert_close(logits, small_model()(torch.tensor([[1, 2, 3, 5]]))[:, -1].detach(), "logits")


def test_a_new_stream_reuses_the_packed_weights(monkeypatch):
    loaded = LoadedModel("small", small_model(), characters())
    list(stream(loaded, "HELLO"))
    monkeypatch.setattr(packed_weights.PackedTransformer, "__init__", None)
    list(stream(loaded, "WORLD"))
    assert loaded.new_decoder().weights is loaded.new_decoder().weights


def test_weights_changed_in_place_are_packed_again(solution):
    loaded = LoadedModel("small", FLOAT32.build(solution, "Transformer"), characters())
    loaded.new_decoder()
    with torch.no_grad():
        loaded.model.blocks[0].mlp.W_in.mul_(3)
    assert_logits(loaded.new_decoder().prefill([[1, 2]]), loaded.model, [[1, 2]])


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        (cached_decoder, "cache.positions.add_(seq)", "cache.positions.add_(1)"),
        (cached_decoder, "else cache.readable(positions, span)", "else None"),
        (cached_decoder, "self._cache.truncate(wanted)", "pass"),
        (
            cached_decoder,
            "other._cache.copy_from(self._cache",
            "other._cache.copy_from(other._cache",
        ),
        (cached_decoder, "self._read(tokens.to(self.device))[:, -1]", "self._read(tokens)[:, 0]"),
        (kv_cache, "keys <= positions[..., None]", "keys <= positions[:, -1:, None]"),
    ],
)
def test_a_mistake_is_caught(solution, monkeypatch, module, old, new):
    plant(monkeypatch, module, old, new)
    model = FLOAT32.build(solution, "Transformer")

    def make():
        return cached_decoder.CachedDecoder(packed_weights.PackedTransformer(model)), model

    with pytest.raises((AssertionError, RuntimeError)):  # noqa: PT012
        test_several_tokens_at_once_give_the_logits_of_one_by_one(make)
        test_logits_are_returned_after_each_of_several_tokens(make)
        test_truncated_rows_continue_as_if_the_later_tokens_had_never_been_read(make)
        test_a_fork_and_its_origin_continue_independently(make)
