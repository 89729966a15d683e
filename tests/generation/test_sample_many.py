"""Test drawing many samples: twin and uncached decoder, stop tokens, distribution."""

from types import SimpleNamespace

import torch
from small_continuations import small_model
from small_gpt2s import D_VOCAB, N_CTX

from gpt2_small import binding
from gpt2_small.generation import sample_many
from gpt2_small.generation.decoder import UncachedDecoder


def test_many_samples_are_the_same_with_and_without_the_twin(monkeypatch):
    model = small_model()
    samples = sample_many(binding.bound(), model, [[2]] * 9, N_CTX + 3, seed=1)
    monkeypatch.setattr(
        "gpt2_small.generation.sampling.batch_sampling.decoder_for", UncachedDecoder
    )
    assert sample_many(binding.bound(), model, [[2]] * 9, N_CTX + 3, seed=1) == samples
    assert [len(sample) for sample in samples] == [N_CTX + 3] * 9
    assert len({tuple(sample) for sample in samples}) == 9


def test_many_samples_each_end_with_their_first_stop_token():
    samples = sample_many(
        binding.bound(), small_model(), [[2]] * 40, N_CTX, seed=1, stop_tokens={2}
    )
    assert all(2 not in sample[:-1] for sample in samples)
    assert all(sample[-1] == 2 or len(sample) == N_CTX for sample in samples)
    assert any(len(sample) < N_CTX for sample in samples)


def test_many_samples_follow_the_models_distribution():
    model = small_model()
    samples = sample_many(binding.bound(), model, [[2]] * 4000, 1, seed=1)
    counts = torch.bincount(torch.tensor(samples)[:, 0], minlength=D_VOCAB)
    expected = model(torch.tensor([[2]]))[0, -1].softmax(-1) * 4000
    # Chi-squared with 60 degrees of freedom: above 130 with a probability of less than 1e-6.
    assert ((counts - expected) ** 2 / expected).sum() < 130


def test_many_samples_of_a_padded_vocabulary_contain_no_padded_id():
    model = small_model(d_vocab=D_VOCAB + 200)
    samples = sample_many(binding.bound(), model, [[2]] * 50, N_CTX, seed=1, vocab_size=D_VOCAB)
    assert max(map(max, samples)) < D_VOCAB
    assert max(map(max, sample_many(binding.bound(), model, [[2]] * 50, N_CTX, seed=1))) >= D_VOCAB


def test_unfinished_samples_are_not_mixed_up_when_others_end():
    def first_drawn_then_greedy(logits, generator):
        is_first = len(logits) == 40 and not calls
        calls.append(None)
        return binding.bound().sample(
            logits, temperature=5.0 if is_first else 0.0, generator=generator
        )

    calls = []
    solution = SimpleNamespace(sample=first_drawn_then_greedy)
    model, new_tokens = small_model(), N_CTX - 1
    stop = 54  # an id that greedy decoding reaches after some steps
    samples = sample_many(solution, model, [[2]] * 40, new_tokens, seed=1, stop_tokens={stop})
    lengths = [len(sample) for sample in samples]
    assert len(set(lengths)) > 2
    prompts = torch.tensor([[2, sample[0]] for sample in samples])
    greedy = binding.bound().generate(model, prompts, new_tokens - 1, temperature=0)
    for sample, row in zip(samples, greedy.tolist(), strict=True):
        assert sample == row[1 : len(sample) + 1]


def test_samples_of_many_prompts_each_continue_their_own():
    def greedy(logits, generator):
        return logits.argmax(dim=-1)

    prompts = [[2, 3, 4], [5], [6, 7, 8, 9, 10]]
    model = small_model()
    samples = sample_many(SimpleNamespace(sample=greedy), model, prompts, 5, seed=1)
    for prompt, sample in zip(prompts, samples, strict=True):
        expected = binding.bound().generate(model, torch.tensor([prompt]), 5, temperature=0)
        assert [*prompt, *sample] == expected[0].tolist()


def test_zero_new_tokens_for_many_prompts_give_empty_samples():
    assert sample_many(binding.bound(), small_model(), [[2], [3]], 0, seed=1) == [[], []]
