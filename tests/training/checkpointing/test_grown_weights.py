"""Test grown weights: old rows unchanged, new rows similar, ties preserved."""

import pytest
import torch

from gpt2_small import binding
from gpt2_small.training.checkpointing.grown_weights import grown

SOLUTION = binding.bound()


def config(**changes: object) -> object:
    sizes = {"d_model": 16, "n_layers": 1, "n_heads": 2, "n_ctx": 8, "d_vocab": 300}
    return SOLUTION.TransformerConfig(**(sizes | changes))


def state(**changes: object) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(SOLUTION.Transformer(config(**changes)).state_dict())


@pytest.mark.parametrize("tied", [True, False])
def test_known_tokens_and_positions_keep_their_logits(tied: bool) -> None:
    before = state(tied_embeddings=tied)
    target = config(tied_embeddings=tied, d_vocab=320, n_ctx=12)
    small = SOLUTION.Transformer(config(tied_embeddings=tied))
    small.load_state_dict(before)
    large = SOLUTION.Transformer(target)
    large.load_state_dict(grown(before, target, 300))
    tokens = torch.randint(300, (2, 8))
    torch.testing.assert_close(large(tokens)[..., :300], small(tokens))
    assert (large.unembed is None) == tied


def test_new_rows_have_the_mean_and_standard_deviation_of_the_known_ones() -> None:
    before = state()
    before["embed.W_E"] = before["embed.W_E"] * torch.arange(1, 17) + torch.arange(16)
    after = grown(before, config(d_vocab=4300), 300)["embed.W_E"]
    known, new = after[:300], after[300:]
    assert torch.equal(known, before["embed.W_E"])
    spread = known.std(dim=0)
    assert ((new.mean(dim=0) - known.mean(dim=0)).abs() < 6 * spread / 4000**0.5).all()
    assert ((new.std(dim=0) / spread - 1).abs() < 0.1).all()
    assert len(torch.unique(new, dim=0)) == len(new)


def test_former_padding_rows_are_initialised_again() -> None:
    before = state()
    before["embed.W_E"][290:] = 0
    after = grown(before, config(), 290)["embed.W_E"]
    assert torch.equal(after[:290], before["embed.W_E"][:290])
    assert (after[290:].abs().amax(dim=1) > 0).all()


def test_new_positions_have_the_distribution_of_fresh_ones() -> None:
    before = state()
    after = grown(before, config(n_ctx=2008), 300)["pos_embed.W_pos"]
    assert torch.equal(after[:8], before["pos_embed.W_pos"])
    assert after[8:].std().item() == pytest.approx(0.02, rel=0.05)


def test_without_growth_the_generator_is_not_used() -> None:
    torch.manual_seed(1)
    position = torch.get_rng_state()
    before = state()
    torch.set_rng_state(position)
    assert all(
        torch.equal(before[name], each) for name, each in grown(before, config(), None).items()
    )
    assert torch.equal(torch.get_rng_state(), position)
