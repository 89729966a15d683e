"""Test streaming generation: rows, their steps, texts and finish reasons."""

import math
from types import SimpleNamespace

import pytest
import torch
from small_continuations import ROUNDING, ids, log_probs, same, scripted, small_model, written
from small_gpt2s import D_VOCAB, N_CTX, characters, our_gpt2

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.generation import (
    LoadedModel,
    SamplingOptions,
    Stream,
    decoder,
    generation_loop,
    loaded_model,
)
from gpt2_small.generation.sampling.logit_processors import without_padding
from gpt2_small.model.hooks import hooks
from gpt2_small.tokenizers.registry import ByteTokenizer

PROMPTS = ["HELLO", "A", "THE" * N_CTX]


def decode_uncached(monkeypatch):
    """Disable the fast twin during the test."""
    monkeypatch.setattr(loaded_model, "stands_in_for", lambda model: False)


@pytest.fixture(params=["cached", "uncached"])
def either_decoder(request, monkeypatch):
    if request.param == "uncached":
        decode_uncached(monkeypatch)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_cached_logits_equal_uncached_ones_at_every_step_also_past_the_context(
    monkeypatch, temperature
):
    cached = written(PROMPTS, temperature=temperature)
    decode_uncached(monkeypatch)
    plain = written(PROMPTS, temperature=temperature)
    assert all(map(same, cached, plain))
    assert {len(continuation.steps) for continuation in plain} == {N_CTX + 8}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_uncached_path_equals_the_model_on_the_last_n_ctx_tokens(monkeypatch, temperature):
    decode_uncached(monkeypatch)
    model = small_model()
    for continuation in written(PROMPTS, model=model, temperature=temperature):
        tokens = characters().encode(PROMPTS[continuation.prompt])
        for step in continuation.steps:
            logits = model(torch.tensor([tokens[-N_CTX:]]))[0, -1]
            assert step.log_probability == pytest.approx(
                logits.log_softmax(-1)[step.id].item(), abs=ROUNDING
            )
            tokens.append(step.id)


@pytest.mark.usefixtures("either_decoder")
def test_each_row_of_a_batch_equals_the_same_prompt_alone():
    stop = {"stop_tokens": (3, 7, 11, 19)}
    together = written(PROMPTS, num_samples=3, **stop)
    alone = [row for prompt in PROMPTS for row in written([prompt], num_samples=3, **stop)]
    assert all(map(same, together, alone))
    assert len({len(continuation.steps) for continuation in together}) > 3


@pytest.mark.usefixtures("either_decoder")
def test_rows_above_the_memory_limit_run_in_turns_with_the_same_results(monkeypatch):
    together = written(PROMPTS, num_samples=2)
    monkeypatch.setattr(generation_loop, "rows_at_once", lambda model: 4)
    assert all(map(same, together, written(PROMPTS, num_samples=2)))


def test_fewer_rows_run_at_once_when_each_needs_more_memory(monkeypatch):
    few = decoder.rows_at_once(our_gpt2(n_ctx=N_CTX))
    assert decoder.rows_at_once(our_gpt2(n_ctx=4 * N_CTX)) == pytest.approx(few / 4, abs=1)
    monkeypatch.setattr(decoder, "BATCH_BYTES", 1)
    assert decoder.rows_at_once(small_model()) == 1


def test_requesting_more_samples_does_not_change_the_first_ones():
    few, many = written(["HELLO"], num_samples=2), written(["HELLO"], num_samples=5)
    assert all(map(same, few, many))
    assert len({continuation.text for continuation in many}) == 5


def test_the_same_seed_gives_the_same_text_and_another_seed_another():
    first, again, other = (written(["HELLO"], seed=seed)[0] for seed in (1, 1, 2))
    assert same(first, again)
    assert first.text != other.text


def test_neighbouring_seeds_do_not_share_a_stream():
    several = [row.text for seed in range(4) for row in written(["A"], seed=seed, num_samples=4)]
    assert len(set(several)) == len(several)


def test_generation_does_not_use_the_global_generator():
    before = torch.get_rng_state()
    written(["HELLO"])
    assert torch.equal(before, torch.get_rng_state())


def test_a_prompt_past_the_context_is_read_from_its_last_n_ctx_tokens():
    long = "A" * N_CTX + "HELLO" * N_CTX
    assert same(written([long])[0], written([long[-N_CTX:]])[0])


def test_with_zero_new_tokens_the_model_does_not_run(monkeypatch):
    monkeypatch.setattr(LoadedModel, "new_decoder", None)
    (continuation,) = written(["HELLO"], max_new_tokens=0)
    assert (continuation.text, continuation.steps, continuation.finish) == ("", [], "length")


def test_an_empty_prompt_begins_with_the_end_of_text():
    model, tokenizer = small_model(d_vocab=257), ByteTokenizer()
    empty, end = written(["", [256]], model=model, tokenizer=tokenizer)
    assert same(empty, end)


def test_every_token_is_drawn_by_the_solutions_own_sample():
    (continuation,) = written(["A"], solution=scripted([5, 6, 7]), max_new_tokens=3)
    assert ids(continuation) == [5, 6, 7]


def test_a_learners_sample_receives_the_settings_and_a_generator():
    calls = []

    def sample(logits, **settings):
        calls.append(settings)
        return logits.argmax(dim=-1)

    settings = {"temperature": 0.7, "top_k": 9, "top_p": 0.8}
    solution = SimpleNamespace(sample=sample)
    written(["A"], solution=solution, max_new_tokens=2, num_samples=2, **settings)
    drawn = calls[1:]
    assert all(call.items() >= settings.items() for call in drawn)
    assert len({id(call["generator"]) for call in drawn}) == 2


def test_a_reference_with_a_hook_runs_uncached_with_the_hook():
    model = small_model()
    with hooks(model, {"blocks.0.hook_mlp_out": torch.zeros_like}):
        patched = written(["HELLO"], model=model, temperature=0)[0]
    assert log_probs(patched) != pytest.approx(
        log_probs(written(["HELLO"], model=model, temperature=0)[0]), abs=ROUNDING
    )


def test_the_uncached_path_disables_dropout_and_restores_the_mode(monkeypatch):
    decode_uncached(monkeypatch)
    model = our_gpt2(dropout=0.5).train()
    assert same(written(["HELLO"], model=model)[0], written(["HELLO"], model=model)[0])
    assert model.training


# Options that change the logits, and log-probabilities


def test_a_large_repetition_penalty_repeats_neither_the_prompt_nor_itself():
    (continuation,) = written(["ABC"], temperature=0, repetition_penalty=1e6)
    drawn = ids(continuation)
    assert len(set(drawn)) == len(drawn)
    assert not {0, 1, 2} & set(drawn)


def test_min_p_of_one_keeps_only_the_most_likely_token():
    assert ids(written(["A"], min_p=1.0)[0]) == ids(written(["A"], temperature=0)[0])


def test_without_candidates_no_log_probability_is_computed(monkeypatch):
    monkeypatch.setattr(generation_loop, "log_probabilities", None)
    assert log_probs(written(["A"], candidates=None)[0]) == [None] * (N_CTX + 8)


def test_padded_ids_are_never_drawn():
    model = small_model(d_vocab=D_VOCAB + 200)
    for continuation in written(PROMPTS, model=model, temperature=50.0, num_samples=4):
        assert max(ids(continuation)) < D_VOCAB


def test_log_probabilities_exclude_padded_ids():
    logits = without_padding(torch.zeros(1, 8), 4)
    assert logits.log_softmax(-1)[0, 0].item() == pytest.approx(math.log(1 / 4))


def test_log_probabilities_and_candidates_are_the_models_before_any_cut():
    model = small_model()
    cuts = {"temperature": 3.0, "top_k": 4, "min_p": 0.1, "repetition_penalty": 1.5}
    (continuation,) = written(["HELLO"], model=model, candidates=5, max_new_tokens=6, **cuts)
    tokens = characters().encode("HELLO")
    for step in continuation.steps:
        expected = model(torch.tensor([tokens]))[0, -1].log_softmax(-1)
        best = expected.topk(5)
        assert step.log_probability == pytest.approx(expected[step.id].item(), abs=ROUNDING)
        assert [candidate.id for candidate in step.candidates] == best.indices.tolist()
        assert [candidate.log_probability for candidate in step.candidates] == pytest.approx(
            best.values.tolist(), abs=ROUNDING
        )
        assert step.candidates[0].text == characters().decode([step.candidates[0].id])
        tokens.append(step.id)


# Mistakes


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_new_tokens": -1}, "max_new_tokens is -1; give a whole number of at least 0"),
        ({"num_samples": 0}, "num_samples is 0; give a whole number of at least 1"),
        ({"candidates": -2}, "candidates is -2; give a whole number of at least 0"),
        ({"temperature": -1.0}, "temperature is -1.0; give 0 .greedy. or a number above it"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0; give a whole number of at least 1"),
        ({"top_p": 1.5}, "top_p is 1.5; give a number above 0 and up to 1"),
        ({"min_p": 2.0}, "min_p is 2.0; give a number from 0 to 1"),
        ({"typical_p": 0.0}, "typical_p is 0.0; give a number above 0 and up to 1"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size is -1; give a whole number"),
        ({"frequency_penalty": math.inf}, "frequency_penalty is inf; give 0, or more"),
        ({"presence_penalty": math.nan}, "presence_penalty is nan; give 0, or more"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0; give a number above 0"),
        ({"stop": ("",)}, "stop is .'',.; give strings of at least one character"),
    ],
)
def test_an_impossible_option_is_refused_in_one_sentence_before_the_model_runs(options, sentence):
    with pytest.raises(UserError, match=sentence):
        written(["HELLO"], **options)


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ([], "there are no prompts"),
        ("HELLO", "there are no prompts"),
        ([""], "the prompt is empty, and tokenizer 'char' has no start"),
        ([[3, 99]], "the prompt contains token 99, and the model has tokens 0 to 60"),
        (["A1"], "character '1'"),
    ],
)
def test_an_unusable_prompt_is_refused_in_one_sentence(prompts, sentence):
    with pytest.raises(UserError, match=sentence):
        Stream(
            binding.bound(),
            LoadedModel("small", small_model(), characters()),
            prompts,
            SamplingOptions(),
        )


def test_nonfinite_logits_are_reported_in_one_sentence():
    model = our_gpt2()
    with torch.no_grad():
        model.ln_final.w.fill_(math.nan)
    with pytest.raises(UserError, match="not finite; its weights are damaged"):
        written(["HELLO"], model=model)
