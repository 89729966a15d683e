"""Weights from elsewhere: exactly GPT-2's function, strictly, and nothing that could run code."""

import json
import pickle
import re
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from small_gpt2s import D_VOCAB, PROPORTIONS, hugging_face_gpt2, logits_of, our_gpt2
from transformers import GPT2Config
from transformers.activations import ACT2FN

import gpt2_small
from gpt2_small.errors import UserError
from gpt2_small.weights.transformer_lens import from_transformer_lens, to_transformer_lens

pytestmark = pytest.mark.timeout(60)

LOGIT_TOLERANCE = 1e-5  # float32, logits of the order 1, up to 48 blocks summed in another order


def saved(folder, model=None, **how):
    (model or hugging_face_gpt2()).save_pretrained(folder, **how)
    return folder


def change_tensors(folder, change):
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def assert_same_function(ours, theirs):
    torch.testing.assert_close(logits_of(ours), logits_of(theirs), rtol=0, atol=LOGIT_TOLERANCE)


@pytest.mark.parametrize("name", PROPORTIONS)
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
def test_what_the_config_may_vary_is_heeded(tmp_path, changes):
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
def test_an_alias_counts_before_the_name_it_stands_for(tmp_path, name, alias, first):
    theirs = hugging_face_gpt2()
    path = saved(tmp_path, theirs) / "config.json"
    config = json.loads(path.read_text())
    right = config.pop(name)
    both = [(alias, right), (name, right * 2)]
    path.write_text(json.dumps(config | dict(both if first else reversed(both))))
    assert getattr(GPT2Config.from_pretrained(tmp_path), name) == right
    assert_same_function(gpt2_small.load_pretrained(tmp_path), theirs)


def test_an_alias_alone_is_heeded(tmp_path):
    theirs = hugging_face_gpt2(n_head=6, n_embd=12)
    path = saved(tmp_path, theirs) / "config.json"
    config = json.loads(path.read_text())
    config["num_attention_heads"] = config.pop("n_head")
    path.write_text(json.dumps(config))
    ours = gpt2_small.load_pretrained(tmp_path)
    assert ours.config.n_heads == 6
    assert_same_function(ours, theirs)


@pytest.mark.parametrize("name", sorted({*ACT2FN} - {"prelu", "xielu"}))
def test_an_activation_is_accepted_just_where_it_is_gelus_tanh_form(tmp_path, name):
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


def test_an_untied_model_needs_both_tensors(tmp_path):
    theirs = hugging_face_gpt2(tie_word_embeddings=False)
    change_tensors(saved(tmp_path, theirs), lambda t: t.pop("transformer.wte.weight"))
    with pytest.raises(UserError, match=r"missing: transformer\.wte\.weight"):
        gpt2_small.load_pretrained(tmp_path)


def test_weights_in_shards_are_put_together_from_their_index(tmp_path):
    theirs = hugging_face_gpt2()
    saved(tmp_path, theirs, max_shard_size="8KB")
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 1
    assert_same_function(gpt2_small.load_pretrained(tmp_path), theirs)


def test_names_without_a_prefix_are_known(tmp_path):
    theirs = hugging_face_gpt2()
    saved(tmp_path, theirs.transformer)
    assert "wte.weight" in load_file(tmp_path / "model.safetensors")
    assert_same_function(gpt2_small.load_pretrained(tmp_path), theirs)


def test_the_causal_masks_of_old_versions_are_passed_over(tmp_path):
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


def test_a_head_of_its_own_unties_the_embeddings_as_it_does_in_transformers(tmp_path):
    head = {"lm_head.weight": torch.randn(D_VOCAB, 12)}
    change_tensors(saved(tmp_path), lambda tensors: tensors.update(head))
    ours = gpt2_small.load_pretrained(tmp_path)
    assert not ours.config.tied_embeddings
    assert_same_function(ours, type(hugging_face_gpt2()).from_pretrained(tmp_path))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_precision_source_becomes_float32_unless_asked_otherwise(tmp_path, dtype):
    theirs = hugging_face_gpt2().to(dtype)
    saved(tmp_path, theirs)
    assert_same_function(gpt2_small.load_pretrained(tmp_path), theirs.float())
    assert gpt2_small.load_pretrained(tmp_path, dtype=dtype).pos_embed.W_pos.dtype == dtype


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop("transformer.ln_f.bias"), r"missing: transformer\.ln_f\.bias$"),
        (lambda t: t.update(extra=torch.ones(1)), r"unexpected: extra$"),
        (
            lambda t: t.update({"transformer.wpe.weight": torch.ones(9, 12)}),
            r"wrong shape: transformer\.wpe\.weight \[9, 12\] instead of \[16, 12\]$",
        ),
        (
            lambda t: t.update({"transformer.ln_f.bias": torch.ones(12, dtype=torch.int32)}),
            r"not of floating-point numbers: transformer\.ln_f\.bias \(int32\)$",
        ),
        (
            lambda t: [t.pop(name) for name in list(t) if ".h.1." in name],
            r"missing: transformer\.h\.1\.\S+(, \S+){7} and 4 more$",
        ),
    ],
)
def test_every_tensor_that_does_not_fit_is_named_in_one_sentence(tmp_path, change, sentence):
    change_tensors(saved(tmp_path), change)
    with pytest.raises(UserError, match=sentence) as caught:
        gpt2_small.load_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_type": "llama"}, "type 'llama'; only those of type 'gpt2'"),
        ({"activation_function": "gelu"}, 'activation_function: "gelu"'),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx: true"),
        ({"scale_attn_weights": False}, "scale_attn_weights: false"),
        ({"add_cross_attention": True}, "add_cross_attention: true"),
        ({"quantization_config": {"bits": 4}}, "quantization_config:"),
        ({"n_head": 5}, r"n_heads \* d_head is 5 \* 2"),
        ({"n_embd": "wide"}, 'n_embd: "wide"; it must be a whole number'),
        ({"hidden_size": None}, "hidden_size: null; it must be a whole number"),
        ({"vocab_size": True}, "vocab_size: true; it must be a whole number"),
        ({"layer_norm_epsilon": "1e-5"}, r'epsilon: "1e-5"; it must be a number, without quotat'),
        ({"resid_pdrop": "0.1"}, r'resid_pdrop: "0\.1"; it must be a number'),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads:"),
        ({"tie_word_embeddings": False}, r"missing: lm_head\.weight"),
    ],
)
def test_another_architecture_is_refused_with_what_differs(tmp_path, changes, sentence):
    change_config(saved(tmp_path), **changes)
    with pytest.raises(UserError, match=sentence):
        gpt2_small.load_pretrained(tmp_path)


class Trap:
    """Unpickling this touches a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.ckpt"])
def test_a_pickle_is_refused_unread_with_the_reason(tmp_path, name):
    saved(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    for source in (tmp_path, tmp_path / name):
        with pytest.raises(UserError, match=rf"{name} is a pickle, which can run any program"):
            gpt2_small.load_pretrained(source)
    assert not (tmp_path / "sprung").exists()


LONG_HEADER = struct.pack("<Q", 2**60)


@pytest.mark.parametrize(
    ("file", "change", "sentence"),
    [
        ("model.safetensors", lambda data: data[:-7], r"model\.safetensors is damaged"),
        ("model.safetensors", lambda data: data[:5], r"model\.safetensors is damaged"),
        ("model.safetensors", lambda data: b"", r"model\.safetensors is damaged"),
        ("model.safetensors", lambda data: LONG_HEADER + data[8:], r"is damaged"),
        ("model.safetensors", lambda data: data.replace(b'{"', b"{\x07", 1), r"is damaged"),
        ("model.safetensors", lambda data: b"version https://git-lfs.github", r"Git LFS pointer"),
        ("config.json", lambda data: data[:30], r"config\.json is damaged, it is not JSON"),
        ("config.json", lambda data: b"{}", r"config\.json has no model_type"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, file, change, sentence):
    path = saved(tmp_path) / file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=sentence):
        gpt2_small.load_pretrained(tmp_path)


def test_weights_that_may_not_be_read_are_not_said_to_be_missing(tmp_path, monkeypatch):
    saved(tmp_path)
    whole = Path.open

    def forbidden(path, *how, **more):
        if path.suffix == ".safetensors":
            raise PermissionError(13, "Permission denied")
        return whole(path, *how, **more)

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(UserError, match=r"model\.safetensors cannot be read: Permission denied"):
        gpt2_small.load_pretrained(tmp_path)


def test_a_shard_that_is_not_there_is_named(tmp_path):
    saved(tmp_path, max_shard_size="8KB")
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(UserError, match=re.escape(f"there is no file {shard}")):
        gpt2_small.load_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda names: {}, r"index\.json is damaged, it has no weight_map"),
        (lambda names: dict.fromkeys(names, "../model.safetensors"), "no safetensors file beside"),
        (
            lambda names: dict.fromkeys(names, min(names.values())),
            r"lacks transformer\..*copy both",
        ),
    ],
)
def test_an_index_that_does_not_fit_its_shards_is_refused(tmp_path, change, sentence):
    path = saved(tmp_path, max_shard_size="8KB") / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps(index | {"weight_map": change(index["weight_map"])}))
    with pytest.raises(UserError, match=sentence):
        gpt2_small.load_pretrained(tmp_path)


def test_a_folder_without_config_or_weights_says_what_it_lacks(tmp_path):
    with pytest.raises(UserError, match=r"has no config\.json"):
        gpt2_small.load_pretrained(tmp_path)
    (saved(tmp_path) / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"has no weights; it needs model\.safetensors, or"):
        gpt2_small.load_pretrained(tmp_path)


@pytest.mark.parametrize("tied", [True, False])
def test_our_parameters_survive_the_way_to_transformer_lens_and_back(tied):
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


def test_the_constants_of_old_transformer_lens_are_passed_over():
    state = to_transformer_lens(our_gpt2())
    old = {"blocks.1.attn.mask": torch.ones(16, 16), "blocks.1.attn.IGNORE": torch.tensor(-1e5)}
    assert from_transformer_lens(state | old)[1].keys() == from_transformer_lens(state)[1].keys()


def test_tensors_that_are_not_transformer_lens_are_refused_by_the_first_missing_name():
    with pytest.raises(UserError, match=r"there is no embed\.W_E among the tensors"):
        from_transformer_lens(hugging_face_gpt2().state_dict())
