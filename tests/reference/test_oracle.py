"""Test parts and model against TransformerLens and Hugging Face, with random weights."""

import functools

import live_oracle as live
import pytest
import torch
from against_reference import component_agrees, load, model_agrees, model_of
from assert_close import assert_close

from gpt2_small import binding, run_with_cache
from gpt2_small.checker import stored_reference

SMALL = {"d_model": 24, "n_heads": 3, "d_mlp": 40, "n_layers": 2, "n_ctx": 12, "d_vocab": 29}
UNTIED = {**SMALL, "tied_embeddings": False}
# name: fields, batch, seq
SHAPES = {
    "tied": (SMALL, 2, 11),
    "untied": (UNTIED, 2, 11),
    "tied-full-context": (SMALL, 2, 12),
    "untied-full-context": ({**UNTIED, "n_layers": 3}, 2, 12),
    "tied-one-token": (SMALL, 3, 1),
    "untied-one-token": (UNTIED, 3, 1),
    "one-head-one-layer-one-row": ({**SMALL, "n_heads": 1, "n_layers": 1}, 1, 7),
    "wide-and-large-epsilon": (
        {**UNTIED, "d_model": 40, "n_heads": 5, "layer_norm_eps": 0.1},
        3,
        5,
    ),
}
DTYPES = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64], ids=["float32", "float64"]
)
COMPONENTS = [
    pytest.param(name, marks=pytest.mark.component(name))
    for name in (
        "Embedding",
        "PositionalEmbedding",
        "LayerNorm",
        "MultiHeadAttention",
        "MLP",
        "TransformerBlock",
        "Unembedding",
        "Transformer",
    )
]


@functools.cache
def live_reference(shape: str, dtype: torch.dtype) -> stored_reference.StoredReference:
    fields, batch, seq = SHAPES[shape]
    return live.live_reference(fields, seed=len(shape), batch=batch, seq=seq, dtype=dtype)


def decides(solution, dtype):
    """Skip dtypes other than float32 for a learner's file."""
    if dtype is not torch.float32 and not binding.is_reference(solution):
        pytest.skip("a learner's file must hold in float32 only; other dtypes are remarks")


@pytest.mark.component("Transformer")
@DTYPES
@pytest.mark.parametrize("shape", SHAPES)
def test_the_model_has_transformer_lenss_activations_and_hugging_faces_gradients(
    solution, shape, dtype
):
    decides(solution, dtype)
    model_agrees(solution, live_reference(shape, dtype))


@DTYPES
@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_alone_has_the_references_activations_and_gradients(solution, component, dtype):
    decides(solution, dtype)
    for name in stored_reference.STORED:
        reference = stored_reference.stored_reference(name).to(dtype)
        for case in stored_reference.component_cases(reference):
            if case.component == component:
                component_agrees(solution, reference, case)


@pytest.mark.component("Transformer")
def test_an_untied_model_loads_transformer_lenss_weights_strictly_and_gives_its_logits(solution):
    transformer_lens = pytest.importorskip("transformer_lens.model_bridge")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        bridge = transformer_lens.TransformerBridge.boot_native(
            {**SMALL, "d_head": 8, "act_fn": "gelu_new", "normalization_type": "LN"}
        )
    model = solution.Transformer(solution.TransformerConfig(**UNTIED)).eval()
    load(model, {k: v.detach() for k, v in bridge.tl_named_parameters()})
    tokens = torch.arange(22).view(2, 11)
    with torch.no_grad():
        assert_close(model(tokens), bridge(tokens), "the logits")


@pytest.mark.component("Transformer")
def test_the_unembedding_bias_shifts_every_logit_by_itself(solution, generator):
    reference = stored_reference.stored_reference("untied").to(torch.float32)
    model, bias = model_of(solution, reference), torch.randn(29, generator=generator)
    with torch.no_grad():
        model.unembed.b_U.copy_(bias)
    assert_close(model(reference.tokens), reference.logits + bias, "the logits")


@pytest.mark.parametrize("name", stored_reference.STORED)
def test_every_occurrence_of_every_component_has_a_case(name):
    reference = stored_reference.stored_reference(name)
    layers, untied = reference.config["n_layers"], not reference.config["tied_embeddings"]
    counted = {case.component: 0 for case in stored_reference.component_cases(reference)}
    for case in stored_reference.component_cases(reference):
        counted[case.component] += 1
        assert case.output_gradient is not None
        assert case.parameters.keys() == case.parameter_gradients.keys()
        assert (case.input_gradient is None) == (not case.input.is_floating_point())
    assert counted == {
        "Embedding": 1,
        "PositionalEmbedding": 1,
        "LayerNorm": 2 * layers + 1,
        "MultiHeadAttention": layers,
        "MLP": layers,
        "TransformerBlock": layers,
        "Transformer": 1,
        **({"Unembedding": 1} if untied else {}),
    }


@pytest.mark.parametrize("name", stored_reference.STORED)
def test_a_reference_has_no_parameter_at_its_initial_value(name):
    for key, weight in stored_reference.stored_reference(name).weights.items():
        if not key.endswith("b_U"):
            assert not (weight == 0).any(), key
            assert not (weight == 1).any(), key


def test_a_reference_contains_the_first_and_last_token_and_every_activation():
    reference = stored_reference.stored_reference("untied")
    assert {0, 28} <= set(reference.tokens.flatten().tolist())
    assert reference.activations.keys() == set(stored_reference.activation_names(3))


def test_the_same_seed_gives_the_same_reference():
    first, second = (live.live_reference(SMALL, seed=5, batch=2, seq=4) for _ in range(2))
    other = live.live_reference(SMALL, seed=6, batch=2, seq=4)
    assert torch.equal(first.logits, second.logits)
    assert not torch.equal(first.logits, other.logits)


def test_transformer_lens_and_our_mapping_of_gradients_agree():
    model = live.randomised(live.hugging_face_config(UNTIED), torch.Generator().manual_seed(0))
    weights, _ = live.transformer_lens_answer(model, torch.zeros(1, 2, dtype=torch.int64))
    for parameter in model.parameters():
        parameter.grad = parameter.detach().clone()
    renamed = live.gradients_by_our_names(model)
    assert weights.keys() - renamed.keys() == {"unembed.b_U"}
    assert all(torch.equal(weights[key], value) for key, value in renamed.items())


@pytest.mark.network
@pytest.mark.component("Transformer")
def test_with_the_published_weights_every_activation_equals_transformer_lenss(
    solution, monkeypatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    transformer_lens = pytest.importorskip("transformer_lens.model_bridge")
    bridge = transformer_lens.TransformerBridge.boot_transformers("gpt2")
    model = solution.Transformer(solution.TransformerConfig()).eval()
    weights = {k: v.detach() for k, v in bridge.tl_named_parameters() if "unembed" not in k}
    model.load_state_dict(weights)
    tokens = bridge.to_tokens("The quick brown fox jumps over the lazy dog", prepend_bos=False)
    with torch.no_grad():
        logits, cache = run_with_cache(model, tokens)
        expected_logits, expected = bridge.run_with_cache(tokens)
    assert_close(logits, expected_logits, "the logits")
    for name, activation in cache.items():
        wanted = stored_reference.comparable(name, expected[name])
        assert_close(stored_reference.comparable(name, activation), wanted, name)
