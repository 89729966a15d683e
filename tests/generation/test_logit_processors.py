"""Test each sampling option's distribution against transformers' processors."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
import transformers
from default_share import slowly
from hypothesis import given
from hypothesis import strategies as st
from small_continuations import ids, small_model, written
from small_gpt2s import D_VOCAB, characters, our_gpt2

from gpt2_small import UserError, binding
from gpt2_small.generation import LoadedModel, SamplingOptions, Stream
from gpt2_small.generation.sampling.logit_processors import cut, penalised

PROMPT = [3, 9, 27, 20, 60, 9, 27]
ROUNDING = 1e-5  # float32, in probabilities


def transformers_distribution(logits, tokens, options):
    """Return the distribution of transformers, with its own choice and order of processors."""
    settings = {
        name: getattr(options, name)
        for name in ("repetition_penalty", "no_repeat_ngram_size", "temperature", "min_p", "top_p")
    }
    config = transformers.GenerationConfig(
        do_sample=True, top_k=options.top_k or 0, typical_p=options.typical_p or 1.0, **settings
    )
    mixin = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=1, n_head=1, n_embd=2))
    processors = mixin._get_logits_processor(config, input_ids_seq_length=len(tokens))
    return processors(torch.tensor([tokens]), logits.clone()).softmax(dim=-1)[0]


def distribution(monkeypatch, logits, tokens, options):
    """Return our stream's distribution after these tokens, with every rank drawn in turn."""
    loaded = LoadedModel("small", small_model(), characters())
    stream = Stream(binding.bound(), loaded, [tokens], options)
    shares, ranks = torch.zeros(logits.shape[1]), iter(range(logits.shape[1]))

    def every_rank(probabilities, num_samples, generator=None):
        rank = next(ranks)
        every_rank.share = probabilities[0, rank] / probabilities.sum()
        return torch.tensor([[rank]])

    with monkeypatch.context() as patched:
        patched.setattr(torch, "multinomial", every_rank)
        for _ in range(logits.shape[1]):
            token = stream._draw(logits, stream.rows)
            shares[token] += every_rank.share
    return shares


OPTIONS = {
    "none": {},
    "temperature": {"temperature": 0.6},
    "top-k": {"top_k": 7},
    "top-p": {"top_p": 0.6},
    "top-p of 1": {"top_p": 1.0},
    "min-p": {"min_p": 0.1},
    "min-p of 0": {"min_p": 0.0},
    "min-p of 1": {"min_p": 1.0},
    "typical-p": {"typical_p": 0.4},
    "typical-p of 1": {"typical_p": 1.0},
    "repetition penalty": {"repetition_penalty": 1.7},
    "repetition reward": {"repetition_penalty": 0.6},
    "no repeated pairs": {"no_repeat_ngram_size": 2},
    "no repeated triples": {"no_repeat_ngram_size": 3},
    "no repeated tokens": {"no_repeat_ngram_size": 1},
    "min-p after top-p": {"min_p": 0.35, "top_p": 0.3},
    "top-p after temperature": {"temperature": 2.5, "top_p": 0.5},
    "min-p after temperature": {"temperature": 2.5, "min_p": 0.5},
    "top-p after top-k": {"top_k": 5, "top_p": 0.5},
    "typical-p after all": {"temperature": 0.8, "top_k": 30, "top_p": 0.9, "typical_p": 0.5},
    "everything": {
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "temperature": 1.4,
        "top_k": 40,
        "top_p": 0.95,
        "min_p": 0.02,
        "typical_p": 0.8,
    },
}


def logits_of(seed, spread=2.0):
    return spread * torch.randn(1, D_VOCAB, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("given_options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("spread", [slowly(0.3), 2.0])
def test_an_option_gives_transformers_distribution(monkeypatch, given_options, spread):
    options = SamplingOptions(**given_options)
    for seed in range(3):
        logits = logits_of(seed, spread)
        ours = distribution(monkeypatch, logits, PROMPT, options)
        theirs = transformers_distribution(logits, PROMPT, options)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=ROUNDING)


def between(low, high):
    return st.none() | st.floats(low, high)


@given(
    seed=st.integers(0, 999),
    temperature=st.floats(0.2, 5),
    top_k=st.none() | st.integers(1, D_VOCAB + 9),
    top_p=between(0.01, 1),
    min_p=between(0, 1),
    typical_p=between(0.01, 1),
)
def test_any_combination_of_cuts_gives_transformers_distribution(
    seed, temperature, top_k, top_p, min_p, typical_p
):
    options = SamplingOptions(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, typical_p=typical_p
    )
    logits = logits_of(seed)
    ours = cut(logits, options).softmax(dim=-1)[0]
    theirs = transformers_distribution(logits, PROMPT, options)
    assert (ours - theirs).abs().sum() / 2 < 1e-3 or _is_a_close_call(logits, options)


def _is_a_close_call(logits, options):
    """Return whether rounding decides: a slightly moved threshold gives another distribution."""
    near = [
        replace(options, **{name: min(1.0, getattr(options, name) * (1 + slack))})
        for name in ("top_p", "min_p", "typical_p")
        if getattr(options, name)
        for slack in (-1e-5, 1e-5)
    ]
    cuts = [cut(logits, each).isfinite().sum() for each in (options, *near)]
    return len(set(map(int, cuts))) > 1


def test_repetition_options_treat_drawn_tokens_like_the_prompts():
    logits, options = logits_of(1), SamplingOptions(repetition_penalty=1.5, no_repeat_ngram_size=2)
    together = penalised(logits, [PROMPT], [[]], options)
    assert torch.equal(penalised(logits, [PROMPT[:3]], [PROMPT[3:]], options), together)


def test_frequency_and_presence_penalties_apply_only_to_drawn_tokens():
    logits = torch.zeros(1, 6)
    options = SamplingOptions(frequency_penalty=0.5, presence_penalty=0.25)
    changed = penalised(logits, [[0, 1]], [[1, 2, 2, 2]], options)
    assert changed.tolist() == [[0.0, -0.75, -1.75, 0.0, 0.0, 0.0]]


def test_penalties_apply_in_the_documented_order():
    logits = torch.tensor([[4.0, 1.0, 0.0]])
    options = SamplingOptions(repetition_penalty=2.0, presence_penalty=1.0)
    assert penalised(logits, [[]], [[0]], options).tolist() == [[1.0, 1.0, 0.0]]


def test_a_stream_repeats_no_pair_of_tokens():
    (row,) = written(["AB"], no_repeat_ngram_size=2, temperature=0)
    text = characters().encode("AB") + ids(row)
    pairs = [*itertools.pairwise(text)]
    assert len(set(pairs)) == len(pairs)
    (free,) = written(["AB"], temperature=0)
    assert ids(free) != ids(row)


def test_a_streams_penalties_count_its_drawn_tokens():
    (row,) = written(["A"], presence_penalty=1e9, temperature=0, max_new_tokens=20)
    assert len(set(ids(row))) == 20


def test_a_repeat_ban_that_leaves_no_token_is_reported_in_one_sentence():
    with pytest.raises(UserError, match="no token is left that no_repeat_ngram_size = 1 allows"):
        written(["A"], no_repeat_ngram_size=1, max_new_tokens=D_VOCAB)


EXTREMES = [5e-324, 1e-46, 1e-38, 1e38, 1e39, 1.7e308]


@pytest.mark.parametrize(
    "options",
    [
        *({"temperature": size} for size in EXTREMES),
        *({"temperature": size, "min_p": 0.1} for size in EXTREMES),
        *({"repetition_penalty": size} for size in EXTREMES),
        *({"frequency_penalty": sign * size} for size in EXTREMES for sign in (1, -1)),
        *({"presence_penalty": sign * size} for size in EXTREMES for sign in (1, -1)),
        *({name: size} for name in ("top_p", "min_p", "typical_p") for size in EXTREMES[:3]),
        *({"top_p": size, "typical_p": size} for size in EXTREMES[:3]),
        {"top_p": 1 - 2**-53},
    ],
    ids=str,
)
def test_options_outside_float32s_range_are_accepted(options):
    model = our_gpt2(d_vocab=D_VOCAB + 7)  # some ids are impossible
    (row,) = written(["HELLO"], model=model, max_new_tokens=5, **options)
    assert len(row.steps) == 5
    assert max(ids(row)) < D_VOCAB


@pytest.mark.parametrize("options", [{"temperature": 1e-46}, {"top_p": 1e-46}, {"top_p": 5e-324}])
def test_the_smallest_temperatures_are_as_greedy_as_0(options):
    assert ids(written(["HELLO"], **options)[0]) == ids(written(["HELLO"], temperature=0)[0])


def test_a_top_p_of_1_drops_no_token_of_a_large_vocabulary():
    logits = 3 * torch.randn(1, 50257, generator=torch.Generator().manual_seed(0))
    drawn = []
    for options in ({}, {"top_p": 1.0}, {"top_p": 1}):
        generator = torch.Generator().manual_seed(1)
        many = logits.expand(64, -1)
        drawn.append(binding.bound().sample(many, generator=generator, **options).tolist())
    assert drawn[0] == drawn[1] == drawn[2]
    kept = cut(logits, SamplingOptions(top_p=1.0, min_p=0.0)).isfinite().sum()
    assert kept == 50257


def test_impossible_tokens_stay_impossible_under_every_penalty():
    logits = torch.tensor([[-math.inf, 0.0, 1.0]])
    options = SamplingOptions(frequency_penalty=-1e39, repetition_penalty=1e-46)
    assert penalised(logits, [[0]], [[0, 0]], options)[0, 0] == -math.inf


def test_min_p_before_top_p_gives_another_distribution():
    logits = logits_of(5)
    min_p_first = cut(logits, SamplingOptions(min_p=0.3, temperature=1.5))
    other = cut(min_p_first, SamplingOptions(top_p=0.5)).softmax(dim=-1)[0]
    options = SamplingOptions(min_p=0.3, top_p=0.5, temperature=1.5)
    assert (other - transformers_distribution(logits, PROMPT, options)).abs().sum() > 0.01
