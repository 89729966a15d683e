"""Test that known mistakes fail the comparison with their oracle."""

import pytest
from against_reference import component_agrees, edited_reference, model_agrees
from checking import wrong_text

import gpt2_small
from gpt2_small.checker import stored_reference
from gpt2_small.checker.mistakes import mistake

# A mistake's id, and the name that its report must contain.
FAULTS = {
    "layer-norm-epsilon-outside": "hook_(scale|normalized) of LayerNorm",
    "attention-b-k-unused": "hook_(k|attn_scores) of MultiHeadAttention",
    "mlp-exact-gelu": "hook_post of MLP",
    "embedding-half-detached": "the gradient of W_E of Embedding",
    "transformer-tie-detached": "the gradient of embed.W_E of Transformer",
    "attention-mask-diagonal": "hook_(attn_scores|pattern|z) of MultiHeadAttention",
}
# Components that are wrong because a component inside them is.
CONTAINERS = {"TransformerBlock", "Transformer"}


def failing_components(module) -> dict[str, str]:
    """Return the components that differ from the stored tied reference, with the differences."""
    reference, found = stored_reference.stored_reference("tied"), {}
    for case in stored_reference.component_cases(reference):
        try:
            component_agrees(module, reference, case)
        except AssertionError as error:
            found.setdefault(case.component, str(error))
    return found


def test_an_unchanged_copy_of_the_reference_passes(tmp_path):
    assert failing_components(gpt2_small.load(edited_reference(tmp_path))) == {}


@pytest.mark.parametrize("name", FAULTS)
def test_a_mistake_is_found_in_its_component(tmp_path, name):
    known = mistake.find(name)
    path = tmp_path / "wrong.py"
    path.write_text(wrong_text(known))
    wrong = gpt2_small.load(path)
    found = failing_components(wrong)
    assert known.component in found
    assert found.keys() <= {known.component, *CONTAINERS}
    with pytest.raises(AssertionError, match=FAULTS[name]):
        raise AssertionError(found[known.component])
    with pytest.raises(AssertionError):
        model_agrees(wrong, stored_reference.stored_reference("tied"))
