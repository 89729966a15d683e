"""generate: a prompt continued token by token."""

from dataclasses import replace
from itertools import product

import claims
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import SMALL
from test_sampling import DRAWS, assert_drawn_from
from torch import nn

pytestmark = pytest.mark.component("generate")

N_CTX, D_VOCAB = 5, 11


class Successor(nn.Module):
    """Bets on a token that follows from every token of the window and from where it stands."""

    def __init__(self, solution):
        super().__init__()
        self.config = replace(SMALL, n_ctx=N_CTX, d_vocab=D_VOCAB).config(solution)
        self.certainty = nn.Parameter(torch.tensor(100.0))
        self.dropout = nn.Dropout(0.5)
        self.seen = []

    def forward(self, tokens):
        assert 1 <= tokens.shape[1] <= N_CTX
        self.seen.append((self.training, torch.is_grad_enabled()))
        bets = (tokens * torch.arange(1, tokens.shape[1] + 1)).cumsum(1) % D_VOCAB
        return self.certainty * torch.nn.functional.one_hot((bets + 3) % D_VOCAB, D_VOCAB)


class Chain(nn.Module):
    """Bets on the next token as one token decides it."""

    def __init__(self, solution, probabilities):
        super().__init__()
        self.config = replace(SMALL, d_vocab=len(probabilities)).config(solution)
        self.logits = nn.Parameter(torch.tensor(probabilities).log())

    def forward(self, tokens):
        return self.logits[tokens]


class Broken(Successor):
    def forward(self, tokens):
        raise RuntimeError("broken on purpose")


def continued(prompt, new):
    """What greedy continuation by Successor has to be, in plain Python."""
    tokens = list(prompt)
    for _ in range(new):
        window = tokens[-N_CTX:]
        tokens.append((sum(p * t for p, t in enumerate(window, start=1)) + 3) % D_VOCAB)
    return tokens


prompts = st.integers(1, 9).flatmap(
    lambda seq: st.lists(
        st.lists(st.integers(0, D_VOCAB - 1), min_size=seq, max_size=seq), min_size=1, max_size=3
    )
)


@example(prompt=[[1, 2, 3, 4, 5, 6, 7], [0, 10, 3, 0, 9, 9, 1]], new=4)
@example(prompt=[[2]], new=8)
@given(prompt=prompts, new=st.integers(0, 8))
def test_every_row_is_continued_from_its_last_n_ctx_tokens(solution, prompt, new):
    tokens = solution.generate(Successor(solution), torch.tensor(prompt), new, temperature=0.0)
    assert tokens.tolist() == [continued(row, new) for row in prompt]


@example(prompt=[[1, 2], [3, 4]], new=3, seed=0)
@given(prompt=prompts, new=st.integers(0, 8), seed=st.integers(0, 99))
def test_the_prompt_comes_back_with_as_many_tokens_as_asked_for(solution, prompt, new, seed):
    model, tokens = Chain(solution, [[1 / D_VOCAB] * D_VOCAB] * D_VOCAB), torch.tensor(prompt)
    before, generator = tokens.clone(), torch.Generator().manual_seed(seed)
    longer = solution.generate(model, tokens, new, generator=generator)
    assert longer.shape == (tokens.shape[0], tokens.shape[1] + new)
    assert longer.dtype == torch.long
    assert torch.equal(longer[:, : tokens.shape[1]], before)
    assert torch.equal(tokens, before)


def test_two_new_tokens_have_exactly_the_probability_of_their_chain(solution):
    step = [[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.05, 0.15, 0.8]]
    tokens = solution.generate(
        Chain(solution, step),
        torch.full((DRAWS, 1), 1),
        2,
        generator=torch.Generator().manual_seed(4),
    )
    chain = [step[1][first] * step[first][second] for first, second in product(range(3), repeat=2)]
    assert_drawn_from(chain, 3 * tokens[:, 1] + tokens[:, 2])


def test_temperature_top_k_and_top_p_are_handed_to_sample(solution):
    model, prompt = Chain(solution, [[0.1, 0.4, 0.2, 0.3]] * 4), torch.zeros(DRAWS, 1).long()
    for options, probabilities in (
        ({"temperature": 0.5}, [1 / 30, 16 / 30, 4 / 30, 9 / 30]),
        ({"top_k": 2}, [0, 4 / 7, 0, 3 / 7]),
        ({"top_p": 0.8}, [0, 4 / 9, 2 / 9, 3 / 9]),
    ):
        generator = torch.Generator().manual_seed(4)
        tokens = solution.generate(model, prompt, 1, generator=generator, **options)
        assert_drawn_from(probabilities, tokens[:, 1])


def test_greedy_generation_follows_the_most_likely_token_of_a_real_model(solution):
    model, tokens = SMALL.build(solution, "Transformer"), SMALL.tokens()
    expected = tokens
    with torch.no_grad():
        for _ in range(5):
            next_token = model(expected[:, -SMALL.n_ctx :])[:, -1].argmax(-1, keepdim=True)
            expected = torch.cat([expected, next_token], dim=1)
    assert torch.equal(solution.generate(model, tokens, 5, temperature=0.0), expected)


def test_one_seed_gives_the_same_text_again_and_another_a_different_one(solution):
    model, prompt = Chain(solution, [[0.25] * 4] * 4), torch.zeros(3, 2).long()
    one, again, other = (
        solution.generate(model, prompt, 40, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_generator_leaves_torchs_own_randomness_alone(solution):
    before = torch.get_rng_state()
    model = Chain(solution, [[0.25] * 4] * 4)
    solution.generate(model, torch.zeros(3, 2).long(), 5, generator=torch.Generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_model_runs_in_eval_mode_and_is_left_in_the_mode_it_was_in(solution):
    for training in (True, False):
        model = Successor(solution).train(training)
        solution.generate(model, torch.tensor([[1, 2]]), 3, temperature=0.0)
        assert not any(seen for seen, _ in model.seen)
        assert model.training == model.dropout.training == training


def test_the_mode_is_put_back_after_an_exception(solution):
    for training in (True, False):
        model = Broken(solution).train(training)
        with pytest.raises(RuntimeError, match="broken on purpose"):
            solution.generate(model, torch.tensor([[1, 2]]), 3)
        assert model.training == model.dropout.training == training


def test_no_gradients_are_kept_while_generating_and_they_are_on_again_afterwards(solution):
    model = Successor(solution)
    solution.generate(model, torch.tensor([[1, 2]]), 3, temperature=0.0)
    assert model.seen
    assert not any(grad for _, grad in model.seen)
    assert torch.is_grad_enabled()


def test_an_empty_prompt_is_refused(solution):
    with pytest.raises(ValueError, match=claims.error_of_the_reference("prompt")):
        solution.generate(Successor(solution), torch.zeros(2, 0, dtype=torch.long), 3)


def test_a_negative_number_of_tokens_is_refused_with_its_value(solution):
    with pytest.raises(ValueError, match=claims.error_of_the_reference("-2")):
        solution.generate(Successor(solution), torch.tensor([[1, 2]]), -2)
