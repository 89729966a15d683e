"""Test that weights of other models, damaged and unsafe weights are refused."""

import json
import pickle
import re
import struct
from pathlib import Path

import pytest
import torch
from pretrained_folders import change_config, change_tensors, saved
from small_gpt2s import hugging_face_gpt2

import gpt2_small
from gpt2_small.errors import UserError


def test_an_untied_model_needs_both_tensors(tmp_path):
    theirs = hugging_face_gpt2(tie_word_embeddings=False)
    change_tensors(saved(tmp_path, theirs), lambda t: t.pop("transformer.wte.weight"))
    with pytest.raises(UserError, match=r"missing: transformer\.wte\.weight"):
        gpt2_small.load_pretrained(tmp_path)


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
def test_another_architecture_is_refused_with_the_differences(tmp_path, changes, sentence):
    change_config(saved(tmp_path), **changes)
    with pytest.raises(UserError, match=sentence):
        gpt2_small.load_pretrained(tmp_path)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.ckpt"])
def test_a_pickle_is_refused_with_the_reason_and_not_loaded(tmp_path, name):
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


def test_weights_without_read_permission_are_not_reported_as_missing(tmp_path, monkeypatch):
    saved(tmp_path)
    original = Path.open

    def forbidden(path, *how, **more):
        if path.suffix == ".safetensors":
            raise PermissionError(13, "Permission denied")
        return original(path, *how, **more)

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(UserError, match=r"model\.safetensors cannot be read: Permission denied"):
        gpt2_small.load_pretrained(tmp_path)


def test_a_missing_shard_of_weights_is_named(tmp_path):
    saved(tmp_path, max_shard_size="8KB")
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(UserError, match=re.escape(f"there is no file {shard}")):
        gpt2_small.load_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda names: {}, r"index\.json is damaged, it has no weight_map"),
        (
            lambda names: dict.fromkeys(names, "../model.safetensors"),
            "not a safetensors file beside",
        ),
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


def test_a_folder_without_config_or_weights_is_refused_with_the_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"has no config\.json"):
        gpt2_small.load_pretrained(tmp_path)
    (saved(tmp_path) / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"has no weights; it needs model\.safetensors, or"):
        gpt2_small.load_pretrained(tmp_path)
