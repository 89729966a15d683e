"""Test generate: a prompt continued token by token."""

import pytest
import torch
from claims_as_tests import claims_about
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import SMALL

test_it_keeps_the_claim = claims_about("generate")

prompts = st.integers(1, 2 * SMALL.n_ctx)


@pytest.mark.component("generate")
@example(length=SMALL.n_ctx - 1, new=4, seed=0)
@given(length=prompts, new=st.integers(0, 6), seed=st.integers(0, 99))
def test_greedy_generation_continues_any_prompt_with_the_most_likely_tokens(
    solution, length, new, seed
):
    case = SMALL.fit_for(solution)
    model = case.build(solution, "Transformer")
    generator = torch.Generator().manual_seed(seed)
    prompt = torch.randint(SMALL.d_vocab, (2, length), generator=generator)
    expected = prompt
    with torch.no_grad():
        for _ in range(new):
            following = model(expected[:, -SMALL.n_ctx :])[:, -1].argmax(-1, keepdim=True)
            expected = torch.cat([expected, following], dim=1)
    assert torch.equal(solution.generate(model, prompt, new, temperature=0.0), expected)
