"""Test presets: named shapes, with fields changed by keyword."""

import dataclasses

import pytest

from gpt2_small import UserError, preset
from gpt2_small.model.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_configuration_of_the_bound_solution(solution, name):
    config = preset(name)
    assert type(config) is solution.TransformerConfig
    assert dataclasses.asdict(config).items() >= PRESETS[name].items()


def test_the_preset_gpt2_is_the_default_configuration(solution):
    assert preset("gpt2") == solution.TransformerConfig()


@pytest.mark.parametrize("name", ["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"])
def test_the_published_models_have_heads_of_width_64(name):
    assert preset(name).d_head == 64


def test_fields_of_a_preset_are_changed_by_keyword():
    config = preset("stories", n_layers=5, dropout=0.1)
    assert (config.n_layers, config.dropout, config.d_model) == (5, 0.1, 128)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("gpt2-medum", {}, r"no preset 'gpt2-medum'; did you mean gpt2-medium\?"),
        ("llama", {}, "no preset 'llama'; choose one of gpt2, gpt2-medium, "),
        ("gpt2", {"layers": 3}, "preset gpt2: .*unexpected keyword argument 'layers'"),
        ("gpt2", {"n_heads": 7}, r"preset gpt2: n_heads \* d_head is 7 \* 109 = 763, but"),
        ("gpt2", {"n_layers": 0}, "preset gpt2: n_layers is 0; give a whole number"),
    ],
)
def test_an_impossible_field_is_refused_in_one_sentence_with_the_way_out(name, changes, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        preset(name, **changes)
    assert "\n" not in str(caught.value)
