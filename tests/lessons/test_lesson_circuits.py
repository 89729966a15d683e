"""Test the circuits lesson against TransformerLens, and its claims over seeds."""

import copy
from types import ModuleType
from typing import Any

import pytest
import torch
from assert_close import assert_close
from lesson_values import Values, values_fixture
from live_oracle import hugging_face_config, randomised
from measure_lessons import experiment
from torch import Tensor, nn

import gpt2_small
from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.exercise_sets import find_lesson

values = values_fixture("06_circuits")
SHAPE = {"d_model": 24, "n_heads": 3, "d_head": 8, "d_mlp": 40, "n_ctx": 12, "d_vocab": 29}


@pytest.fixture(scope="module")
def lesson() -> ModuleType:
    return reference(find_lesson("circuits"))


@pytest.fixture(scope="module")
def bridge() -> Any:
    """Return TransformerLens around a small GPT-2 with random weights."""
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    generator = torch.Generator().manual_seed(4)
    config = hugging_face_config({**SHAPE, "n_layers": 2, "tied_embeddings": False})
    model = randomised(config, generator).double()
    return build_bridge_from_module(copy.deepcopy(model), "GPT2LMHeadModel", hf_config=config)


@pytest.fixture(scope="module")
def model(bridge: Any) -> nn.Module:
    """Return our model with the same weights."""
    config = gpt2_small.TransformerConfig(**SHAPE, n_layers=2, tied_embeddings=False)
    ours: nn.Module = gpt2_small.Transformer(config).double().eval()
    ours.load_state_dict({key: weight.detach() for key, weight in bridge.tl_named_parameters()})
    return ours


@pytest.fixture(scope="module")
def tokens() -> tuple[Tensor, Tensor]:
    """Return clean and corrupted tokens [2 10]."""
    clean = torch.randint(0, 29, (2, 10), generator=torch.Generator().manual_seed(8))
    corrupted = clean.clone()
    corrupted[:, 3] = (corrupted[:, 3] + 5) % 29
    return clean, corrupted


def score(logits: Tensor) -> Tensor:
    return logits[:, -1, 7].sum() - logits[:, -1, 11].sum()


def test_patched_logits_are_transformer_lens_run_with_hooks(lesson, bridge, model, tokens) -> None:
    value = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def patch(activation: Tensor, hook: object) -> Tensor:
        activation = activation.clone()
        activation[:, 4] = value
        return activation

    name = "blocks.1.attn.hook_z"
    expected = bridge.run_with_hooks(tokens[0], fwd_hooks=[(name, patch)])
    with torch.no_grad():
        assert_close(lesson.patched_logits(model, tokens[0], name, 4, value), expected, "logits")


def test_the_patching_map_is_transformer_lens_activation_patching(
    lesson, bridge, model, tokens
) -> None:
    from transformer_lens import patching

    clean, corrupted = tokens
    with torch.no_grad():
        best_logits, cache = bridge.run_with_cache(clean)
        worst, best = score(bridge(corrupted)), score(best_logits)
        expected = patching.get_act_patch_resid_pre(
            bridge, corrupted, cache, lambda logits: (score(logits) - worst) / (best - worst)
        )
    ours = lesson.patching_map(model, clean, corrupted, score)
    assert_close(ours.float(), expected, "the map")  # their results are float32


def test_the_logit_lens_is_transformer_lens_norm_and_unembedding(
    lesson, bridge, model, tokens
) -> None:
    with torch.no_grad():
        _, theirs = bridge.run_with_cache(tokens[0])
        streams, _ = theirs.accumulated_resid(incl_mid=False, return_labels=True)
        expected = torch.stack([bridge.unembed(bridge.ln_final(each)) for each in streams])
        _, ours = lesson.run_with_cache(model, tokens[0])
        assert_close(lesson.logit_lens(model, ours), expected, "the lens")


def test_induction_scores_use_transformer_lens_detection_pattern(lesson) -> None:
    from transformer_lens.head_detector import get_induction_head_detection_pattern

    generator = torch.Generator().manual_seed(6)
    row = torch.randint(0, 6, (1, 14), generator=generator)
    future = torch.ones(14, 14, dtype=torch.bool).triu(diagonal=1)
    noise = torch.randn(1, 4, 14, 14, generator=generator).masked_fill(future, -torch.inf)
    pattern = noise.softmax(dim=-1)
    detected = get_induction_head_detection_pattern(row).float()
    asked = sum(int(token in row[0, :place]) for place, token in enumerate(row[0]))
    expected = (pattern[0] * detected).sum(dim=(1, 2)) / asked
    assert_close(lesson.induction_scores(pattern, row), expected, "the scores")


def test_a_text_repeats_one_word() -> None:
    found = experiment("06_circuits")
    tokens, is_known = found.repeated_words(40, torch.Generator().manual_seed(2))
    for row, known in zip(tokens.tolist(), is_known.tolist(), strict=True):
        length = 1 + known.index(True) - 1
        assert found.SHORTEST <= length <= found.LONGEST
        assert len(set(row[:length])) == length
        assert all(row[place] == row[place - length] for place in range(length, len(row)))


def test_two_layers_learn_to_continue_the_word_and_one_does_not(values: Values) -> None:
    assert min(values["two layers"]) > 0.95
    assert max(values["one layer"]) < 0.45


def test_without_the_attention_of_either_layer_few_answers_are_right(values: Values) -> None:
    for layer in (0, 1):
        assert max(values[f"without the attention of layer {layer}"]) < 0.2


def test_a_head_of_the_second_layer_is_an_induction_head_and_none_of_the_first(
    values: Values,
) -> None:
    assert min(values["induction score, layer 1"]) > 0.8
    assert max(values["induction score, layer 0"]) < 0.15
    assert max(values["induction score by chance"]) == pytest.approx(0.0918, abs=1e-3)


def test_the_mlps_are_not_needed(values: Values) -> None:
    assert min(values["without the MLPs"]) > 0.9


def test_the_first_layer_moves_the_queried_token_one_position_on(values: Values) -> None:
    assert min(values["brought back, layer 0, at the token"]) > 0.8
    assert min(values["brought back, layer 1, at the one after"]) > 0.8
    assert max(values["brought back, layer 1, at the token"]) < 0.2


def test_the_logit_lens_reads_the_answer_after_the_second_layer_only(values: Values) -> None:
    assert max(values["logit lens after 0 layers"] + values["logit lens after 1 layers"]) < 0.2
    assert values["logit lens after 2 layers"] == values["two layers"]
