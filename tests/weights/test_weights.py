"""Test weights of Hugging Face folders against transformers."""

import json

import pytest
import torch
from pretrained_folders import change_config, change_tensors, saved
from safetensors.torch import load_file, save_model
from small_gpt2s import D_VOCAB, PROPORTIONS, PUBLISHED, hugging_face_gpt2, logits_of
from transformers import GPT2Config
from transformers.activations import ACT2FN

import gpt2_small
from gpt2_small.errors import UserError

pytestmark = pytest.mark.timeout(60)

LOGIT_TOLERANCE = 1e-5  # float32, logits of magnitude 1, up to 48 blocks summed in another order


def assert_same_function(ours, theirs):
    torch.testing.assert_close(logits_of(ours), logits_of(theirs), rtol=0, atol=LOGIT_TOLERANCE)


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_published_shape_in_small_gives_transformers_logits(tmp_path, name):
    theirs = hugging_face_gpt2(*PROPORTIONS[name])
    assert_same_function(gpt2_small.load_pretrained(saved(tmp_path, theirs)), theirs)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_inner": 20},
        {"layer_norm_epsilon": 0.3},
        {"activation_function": "gelu_pytorch_tanh"},
        {"reorder_and_upcast_attn": True},
        {"tie_word_embeddings": False},
    ],
)
def test_variations_of_the_config_are_respected(tmp_path, changes):
    theirs = hugging_face_gpt2(**changes)
    ours = gpt2_small.load_pretrained(saved(tmp_path, theirs))
    assert_same_function(ours, theirs)
    assert ours.config.tied_embeddings == changes.get("tie_word_embeddings", True)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("n_embd", "hidden_size"),
        ("n_layer", "num_hidden_layers"),
        ("n_head", "num_attention_heads"),
        ("n_positions", "max_position_embeddings"),
    ],
)
def test_an_alias_takes_precedence_over_its_full_name(tmp_path, name, alias, first):
    theirs = hugging_face_gpt2()
    path = saved(tmp_path, theirs) / "config.json"
    config = json.loads(path.read_text())
    right = config.pop(name)
    both = [(alias, right), (name, right * 2)]
    path.write_text(json.dumps(config | dict(both if first else reversed(both))))
    assert getattr(GPT2Config.from_pretrained(tmp_path), name) == right
    assert_same_function(gpt2_small.load_pretrained(tmp_path), theirs)


def test_an_alias_alone_is_respected(tmp_path):
    theirs = hugging_face_gpt2(n_head=6, n_embd=12)
    path = saved(tmp_path, theirs) / "config.json"
    config = json.loads(path.read_text())
    config["num_attention_heads"] = config.pop("n_head")
    path.write_text(json.dumps(config))
    ours = gpt2_small.load_pretrained(tmp_path)
    assert ours.config.n_heads == 6
    assert_same_function(ours, theirs)


@pytest.mark.parametrize("name", sorted({*ACT2FN} - {"prelu", "xielu"}))
def test_only_activations_equal_to_gelus_tanh_form_are_accepted(tmp_path, name):
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    same = torch.allclose(ACT2FN[name](grid), ACT2FN["gelu_new"](grid), rtol=0, atol=1e-9)
    change_config(saved(tmp_path), activation_function=name)
    if same:
        gpt2_small.load_pretrained(tmp_path)
    else:
        with pytest.raises(UserError, match="makes it another function"):
            gpt2_small.load_pretrained(tmp_path)


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_one_of_two_tied_tensors_is_enough(tmp_path, prefix):
    theirs = hugging_face_gpt2()
    save_model(theirs, saved(tmp_path, theirs) / "model.safetensors")

    def rename(tensors):
        for name in [name for name in tensors if name.startswith("transformer.")]:
            tensors[prefix + name.removeprefix("transformer.")] = tensors.pop(name)

    assert "transformer.wte.weight" not in load_file(tmp_path / "model.safetensors")
    assert_same_function(type(theirs).from_pretrained(tmp_path), theirs)
    change_tensors(tmp_path, rename)
    ours = gpt2_small.load_pretrained(tmp_path)
    assert ours.config.tied_embeddings
    assert_same_function(ours, theirs)


def test_sharded_weights_are_loaded_by_their_index(tmp_path):
    theirs = hugging_face_gpt2()
    saved(tmp_path, theirs, max_shard_size="8KB")
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 1
    assert_same_function(gpt2_small.load_pretrained(tmp_path), theirs)


def test_tensor_names_without_a_prefix_are_accepted(tmp_path):
    theirs = hugging_face_gpt2()
    saved(tmp_path, theirs.transformer)
    assert "wte.weight" in load_file(tmp_path / "model.safetensors")
    assert_same_function(gpt2_small.load_pretrained(tmp_path), theirs)


def test_the_causal_masks_of_old_versions_are_ignored(tmp_path):
    theirs = hugging_face_gpt2()
    mask = {"transformer.h.0.attn.bias": torch.ones(1, 1, 16, 16).tril()}
    mask["transformer.h.0.attn.masked_bias"] = torch.tensor(-1e4)
    change_tensors(saved(tmp_path, theirs), lambda tensors: tensors.update(mask))
    assert_same_function(gpt2_small.load_pretrained(tmp_path), theirs)


def test_a_head_that_equals_the_embedding_is_tied(tmp_path):
    theirs = hugging_face_gpt2()
    wte = theirs.transformer.wte.weight.detach().clone()
    change_tensors(saved(tmp_path, theirs), lambda tensors: tensors.update({"lm_head.weight": wte}))
    ours = gpt2_small.load_pretrained(tmp_path)
    assert ours.config.tied_embeddings
    assert_same_function(ours, theirs)


def test_a_separate_head_unties_the_embeddings_as_in_transformers(tmp_path):
    head = {"lm_head.weight": torch.randn(D_VOCAB, 12)}
    change_tensors(saved(tmp_path), lambda tensors: tensors.update(head))
    ours = gpt2_small.load_pretrained(tmp_path)
    assert not ours.config.tied_embeddings
    assert_same_function(ours, type(hugging_face_gpt2()).from_pretrained(tmp_path))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_become_float32_by_default(tmp_path, dtype):
    theirs = hugging_face_gpt2().to(dtype)
    saved(tmp_path, theirs)
    assert_same_function(gpt2_small.load_pretrained(tmp_path), theirs.float())
    assert gpt2_small.load_pretrained(tmp_path, dtype=dtype).pos_embed.W_pos.dtype == dtype
