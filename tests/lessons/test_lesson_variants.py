"""Test lesson 05's claims against its measurements, and its functions against variants."""

from types import ModuleType
from typing import Any

import pytest
import torch
from default_share import slowly
from lesson_values import Values, values_fixture
from measure_lessons import LESSONS, experiment

import gpt2_small
from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.exercise_sets import find_lesson
from gpt2_small.model.eligibility import stands_in_for

values = values_fixture("05_variants")
variants = experiment("05_variants")
small_models = gpt2_small.load(LESSONS / "small_models.py")


@pytest.fixture
def lesson() -> ModuleType:
    return reference(find_lesson("variants"))


def above_gpt2(values: Values, name: str) -> Any:
    """Return the interval of the mean difference from GPT-2 with the same seed."""
    return small_models.interval(variants.differences(values)[name])


ZERO = small_models.Interval(0, 0)
# A model that has learned only the characters' frequencies ends this close to their entropy.
NOTHING_MORE = 0.03


def block_of(name: str) -> Any:
    """Return a block of a variant in which no parameter is 0 or 1."""
    torch.manual_seed(1)
    module = variants.module_of(name)
    block = module.TransformerBlock(module.TransformerConfig(d_vocab=9, **variants.SHAPE))
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return block


def test_every_variant_is_measured(values: Values) -> None:
    assert tuple(values) == tuple(variants.VARIANTS)


@pytest.mark.parametrize("name", ["sinusoids", "no residual"])
def test_two_variants_learn_only_the_frequencies(values: Values, name: str) -> None:
    assert min(values[name]) > variants.frequency_loss() - NOTHING_MORE
    assert ZERO.is_below(above_gpt2(values, name))


def test_larger_embeddings_let_sinusoids_learn_but_not_as_well(values: Values) -> None:
    pairs = zip(values["sinusoids"], values["sinusoids, √d"], strict=True)
    gained = small_models.interval([plain - scaled for plain, scaled in pairs])
    assert ZERO.is_below(gained)
    assert ZERO.is_below(above_gpt2(values, "sinusoids, √d"))


def test_sinusoids_are_many_times_larger_than_the_embeddings() -> None:
    model = variants.model_of("sinusoids", 0, 65)
    assert model.pos_embed.waves.std() > 10 * model.embed.W_E.std()


def test_with_norms_after_the_sum_some_seeds_learn_only_the_frequencies(values: Values) -> None:
    found = values["norms after"]
    assert max(found) > variants.frequency_loss() - NOTHING_MORE
    assert not above_gpt2(values, "norms after").is_below(ZERO)


def test_rotary_positions_end_with_a_lower_loss_than_learned_ones(values: Values) -> None:
    assert above_gpt2(values, "rotary").is_below(ZERO)


@pytest.mark.parametrize("name", ["no positions", "ReLU", "RMS norm", "learned, √d"])
def test_the_lesson_claims_no_effect_for_intervals_that_contain_zero(
    values: Values, name: str
) -> None:
    found = above_gpt2(values, name)
    assert not found.is_below(ZERO)
    assert not ZERO.is_below(found)


def test_the_lessons_sinusoids_equal_the_variants(lesson: ModuleType) -> None:
    in_file = variants.module_of("sinusoids").sinusoids(64, 64)
    assert torch.equal(in_file, lesson.sinusoids(64, 64))


def test_the_lessons_rotation_equals_the_variants(lesson: ModuleType) -> None:
    vectors = torch.randn(2, 10, 4, 16)
    in_file = variants.module_of("rotary").rotated(vectors)
    assert torch.allclose(in_file, lesson.rotary(vectors), rtol=0, atol=1e-6)


def test_the_lessons_rotation_equals_that_of_transformers(lesson: ModuleType) -> None:
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

    config = LlamaConfig(hidden_size=64, num_attention_heads=4, max_position_embeddings=64)
    query, key = torch.randn(2, 10, 4, 16), torch.randn(2, 10, 4, 16)
    cos, sin = LlamaRotaryEmbedding(config)(query, torch.arange(10)[None])
    theirs = apply_rotary_pos_emb(query.transpose(1, 2), key.transpose(1, 2), cos, sin)
    for mine, other in zip((query, key), theirs, strict=True):
        assert torch.allclose(lesson.rotary(mine), other.transpose(1, 2), rtol=0, atol=1e-5)


def test_the_lessons_norm_equals_the_variants(lesson: ModuleType) -> None:
    norm, residual = block_of("RMS norm").ln1, torch.randn(2, 5, 64)
    ours = lesson.rms_norm(residual, norm.w, norm.eps)
    assert torch.allclose(ours, norm(residual), rtol=0, atol=1e-5)


def test_the_lessons_block_equals_the_variants(lesson: ModuleType) -> None:
    block, residual = block_of("norms after"), torch.randn(2, 5, 64)
    ours = lesson.post_norm_block(residual, block.attn, block.ln1, block.mlp, block.ln2)
    assert torch.allclose(ours, block(residual), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, edits in variants.VARIANTS.items() if edits])
def test_the_twin_trains_no_variant(name: str) -> None:
    assert not stands_in_for(variants.model_of(name, 0, 9))


def test_the_twin_trains_gpt2() -> None:
    assert stands_in_for(variants.model_of("GPT-2", 0, 9))


def test_the_two_forms_of_gelu_differ_by_less_than_a_thousandth(lesson: ModuleType) -> None:
    x = torch.linspace(-4, 4, 4001)
    difference = (lesson.gelu(x) - torch.nn.functional.gelu(x)).abs().max()
    assert 1e-4 < difference < 1e-3


@pytest.mark.parametrize("seed", [0, slowly(1), slowly(2)])
def test_at_initialisation_gradients_are_equal_over_layers_and_far_smaller_with_norms_after_the_sum(
    seed: int,
) -> None:
    sizes = {name: variants.gradient_sizes(name, seed) for name in ("GPT-2", "norms after")}
    for each in sizes.values():
        assert 0.7 < each[-1] / each[0] < 1.3
    assert min(sizes["GPT-2"]) > 10 * max(sizes["norms after"])
