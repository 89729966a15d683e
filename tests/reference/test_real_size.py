"""Test GPT-2 small at full size: activations, initial loss and parameter count."""

import live_oracle
import pytest
import torch
from against_reference import model_agrees

from gpt2_small import preset


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
@pytest.mark.component("Transformer")
def test_gpt2_small_has_the_references_activations_and_gradients(solution):
    model_agrees(
        solution, live_oracle.live_reference({}, seed=0, batch=1, seq=32, dtype=torch.float32)
    )


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
@pytest.mark.component("Transformer", "next_token_loss")
def test_a_fresh_gpt2_small_starts_at_a_loss_of_10_978(solution, generator):
    """ln V plus half the variance of the logits, whose standard deviation is 0.02 sqrt(768)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = solution.Transformer(solution.TransformerConfig()).eval()
    windows = torch.randint(50257, (8, 1, 513), generator=generator)
    with torch.no_grad():
        losses = [solution.next_token_loss(model(window[:, :-1]), window) for window in windows]
    assert torch.stack(losses).mean().item() == pytest.approx(10.978, abs=0.03)


# Number of GPT-2's weights; an untied model has W_U and a bias in addition.
COUNTS = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
}


@pytest.mark.component("Transformer")
@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_a_preset_has_as_many_parameters_as_the_published_model(solution, name, count):
    with torch.device("meta"):
        model = solution.Transformer(preset(name))
    assert sum(p.numel() for p in model.parameters()) == count
    assert not [key for key in model.state_dict() if key.startswith("unembed")]


@pytest.mark.component("Transformer")
def test_an_untied_gpt2_small_has_the_parameters_of_its_unembedding_in_addition(solution):
    with torch.device("meta"):
        model = solution.Transformer(preset("gpt2", tied_embeddings=False))
    extra = 768 * 50257 + 50257
    assert sum(p.numel() for p in model.parameters()) == COUNTS["gpt2"] + extra
