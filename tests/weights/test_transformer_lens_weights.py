"""Test conversion of weights to and from TransformerLens's names."""

import pytest
import torch
from small_gpt2s import hugging_face_gpt2, logits_of, our_gpt2

import gpt2_small
from gpt2_small.errors import UserError
from gpt2_small.weights.transformer_lens import from_transformer_lens, to_transformer_lens


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_survive_conversion_to_transformer_lens_and_back(tied):
    model = our_gpt2(tied_embeddings=tied)
    fields, parameters = from_transformer_lens(to_transformer_lens(model))
    config = gpt2_small.TransformerConfig(**fields)
    assert config == model.config
    again = gpt2_small.Transformer(config).eval()
    again.load_state_dict(parameters)
    assert torch.equal(logits_of(again), logits_of(model))


@pytest.mark.parametrize("name", ["unembed.b_U", "unembed.W_U"])
def test_transformer_lens_weights_are_tied_only_when_nothing_is_lost(name):
    state = to_transformer_lens(our_gpt2())
    assert from_transformer_lens(state)[0]["tied_embeddings"]
    state[name] = state[name].clone()
    state[name][3] += 1e-6
    fields, parameters = from_transformer_lens(state)
    assert not fields["tied_embeddings"]
    assert torch.equal(parameters[name], state[name])


def test_the_constant_buffers_of_old_transformer_lens_are_ignored():
    state = to_transformer_lens(our_gpt2())
    old = {"blocks.1.attn.mask": torch.ones(16, 16), "blocks.1.attn.IGNORE": torch.tensor(-1e5)}
    assert from_transformer_lens(state | old)[1].keys() == from_transformer_lens(state)[1].keys()


def test_other_tensors_are_refused_with_the_first_missing_name():
    with pytest.raises(UserError, match=r"there is no embed\.W_E among the tensors"):
        from_transformer_lens(hugging_face_gpt2().state_dict())
