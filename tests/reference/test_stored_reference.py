"""Test the stored references: equal to live ones, and refused if damaged."""

import dataclasses
import shutil

import pytest
import store_references
import torch
from assert_close import assert_close

from gpt2_small import UserError
from gpt2_small.checker import stored_reference


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a copy of the stored references that a test may damage."""
    for path in stored_reference._FOLDER.glob("*.safetensors"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(stored_reference, "_FOLDER", tmp_path)
    stored_reference.stored_reference.cache_clear()
    yield tmp_path
    stored_reference.stored_reference.cache_clear()


@pytest.mark.parametrize("name", stored_reference.STORED)
def test_deriving_a_reference_again_gives_the_stored_one(name):
    stored, derived = stored_reference.stored_reference(name), store_references.derive(name)
    assert derived.config == stored.config
    assert torch.equal(derived.tokens, stored.tokens)
    assert_close(derived.logits, stored.logits, "the logits")
    assert_close(derived.loss, stored.loss, "the loss")
    for group in ("weights", "activations", "gradients", "component_gradients"):
        ours, theirs = getattr(derived, group), getattr(stored, group)
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_close(ours[key], theirs[key], f"{key} of the {group}")


def test_a_stored_reference_is_restored_exactly(folder):
    reference = stored_reference.stored_reference("tied")
    changed = dataclasses.replace(reference, loss=reference.loss + 1)
    store_references.store("tied", changed)
    stored_reference.stored_reference.cache_clear()
    again = stored_reference.stored_reference("tied")
    assert again.loss == reference.loss + 1
    assert again.versions == reference.versions
    assert torch.equal(again.gradients["embed.W_E"], reference.gradients["embed.W_E"])


def test_every_stored_reference_has_the_versions_of_its_libraries():
    for name in stored_reference.STORED:
        versions = stored_reference.stored_reference(name).versions
        assert versions.keys() == {"transformer-lens", "transformers", "torch"}


@pytest.mark.parametrize("place", [-1, -5000, 400, 9])
def test_a_reference_with_one_byte_changed_is_refused_by_name(folder, place):
    path = folder / "untied.safetensors"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"untied\.safetensors is damaged"):
        stored_reference.stored_reference("untied")


@pytest.mark.parametrize("kept", [0, 7, 1000, 400_000])
def test_a_truncated_reference_is_refused_by_name(folder, kept):
    path = folder / "untied.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"untied\.safetensors is damaged"):
        stored_reference.stored_reference("untied")


def test_a_missing_reference_is_reported_with_the_existing_ones(folder):
    with pytest.raises(UserError, match=r"nosuch\.safetensors; choose one of \['tied', 'untied'\]"):
        stored_reference.stored_reference("nosuch")


def test_converting_a_reference_to_float32_converts_every_float_and_no_token():
    rounded = stored_reference.stored_reference("tied").to(torch.float32)
    reals = [rounded.logits, rounded.loss, *rounded.weights.values(), *rounded.gradients.values()]
    reals += [*rounded.activations.values(), *rounded.component_gradients.values()]
    assert {tensor.dtype for tensor in reals} == {torch.float32}
    assert rounded.tokens.dtype == torch.int64
