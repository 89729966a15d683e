"""Faults planted in the reference, each caught by the comparison with the oracle that should."""

import pytest
from against_reference import component_agrees, edited_reference, model_agrees

import gpt2_small
from gpt2_small.checker import oracle

# A component, the reference's text, what it is replaced by, what gives it away.
FAULTS = {
    "epsilon outside the square root": (
        "LayerNorm",
        "(variance + self.eps).sqrt()",
        "variance.sqrt() + self.eps",
        "hook_(scale|normalized) of LayerNorm",
    ),
    "no key bias, which the softmax hides": (
        "MultiHeadAttention",
        "self.W_K, project) + self.b_K",
        "self.W_K, project)",
        "hook_(k|attn_scores) of MultiHeadAttention",
    ),
    "the exact GELU": ("MLP", 'approximate="tanh"', 'approximate="none"', "hook_post of MLP"),
    "an embedding that never learns": (
        "Embedding",
        "return self.W_E[tokens]",
        "return (self.W_E.detach() + 0 * self.W_E)[tokens]",
        "the gradient of W_E of Embedding",
    ),
    "a tied unembedding that never learns": (
        "Transformer",
        "final @ tied_W_U",
        "final @ self.embed.W_E.T.detach()",
        "the gradient of embed.W_E of Transformer",
    ),
    "attention that sees the next token": (
        "MultiHeadAttention",
        "triu(diagonal=1)",
        "triu(diagonal=2)",
        "hook_(pattern|z) of MultiHeadAttention",
    ),
}
# What a wrong component makes wrong above it.
CONTAINERS = {"TransformerBlock", "Transformer"}


def failing_components(module) -> dict[str, str]:
    """The components of a loaded solution that differ from the stored tied reference, with how."""
    reference, found = oracle.stored_reference("tied"), {}
    for case in oracle.component_cases(reference):
        try:
            component_agrees(module, reference, case)
        except AssertionError as error:
            found.setdefault(case.component, str(error))
    return found


def test_an_unchanged_copy_of_the_reference_passes(tmp_path):
    assert failing_components(gpt2_small.load(edited_reference(tmp_path))) == {}


@pytest.mark.parametrize(("component", "old", "new", "clue"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_found_in_its_component(tmp_path, component, old, new, clue):
    wrong = gpt2_small.load(edited_reference(tmp_path, (old, new)))
    found = failing_components(wrong)
    assert component in found
    assert found.keys() <= {component, *CONTAINERS}
    with pytest.raises(AssertionError, match=clue):
        raise AssertionError(found[component])
    with pytest.raises(AssertionError):
        model_agrees(wrong, oracle.stored_reference("tied"))
