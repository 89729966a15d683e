"""Test exported folders: equal logits elsewhere, and atomic writes."""

import json
import os
import re
import resource

import pytest
import torch
from processes import ROOT
from safetensors.torch import load_file
from small_gpt2s import (
    PROPORTIONS,
    PUBLISHED,
    characters,
    hugging_face_gpt2,
    logits_of,
    our_gpt2,
    saved_run,
)
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoTokenizer, GPT2LMHeadModel

import gpt2_small
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.registry import CharTokenizer, make_tokenizer
from gpt2_small.weights import export_hugging_face, load_hugging_face

pytestmark = pytest.mark.timeout(120)

LOGIT_TOLERANCE = 1e-5  # float32, logits of magnitude 1, up to 48 blocks summed in another order
PAGE = ROOT / "docs" / "transformer-lens.md"


def assert_same_logits(left, right):
    torch.testing.assert_close(left, right, rtol=0, atol=LOGIT_TOLERANCE)


@pytest.mark.parametrize("name", PUBLISHED)
def test_transformers_loads_each_published_shape_in_small_with_our_logits(tmp_path, name):
    n_layers, n_heads = PROPORTIONS[name]
    model = our_gpt2(n_layers=n_layers, n_heads=n_heads, d_model=4 * n_heads)
    export_hugging_face(model, tmp_path / "out")
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path / "out")
    assert_same_logits(logits_of(theirs), logits_of(model))


@pytest.mark.parametrize(
    "changes", [{"d_mlp": 20}, {"layer_norm_eps": 0.3}, {"tied_embeddings": False}]
)
def test_variations_of_the_config_are_exported(tmp_path, changes):
    model = our_gpt2(**changes)
    if model.unembed is not None:
        model.unembed.b_U.data.zero_()
    theirs = GPT2LMHeadModel.from_pretrained(export_hugging_face(model, tmp_path / "out"))
    assert_same_logits(logits_of(theirs), logits_of(model))


def test_transformer_lens_loads_an_export_with_our_logits(tmp_path):
    model = our_gpt2()
    bridge = TransformerBridge.boot_transformers(str(export_hugging_face(model, tmp_path / "out")))
    assert_same_logits(logits_of(bridge), logits_of(model))


def test_transformer_lens_reads_text_of_an_alphabet_without_its_test_letter(tmp_path):
    model, tokenizer = our_gpt2(), characters()
    assert "a" in tokenizer.characters
    tokenizer = CharTokenizer(tokenizer.characters.replace("a", "\n"))
    folder = export_hugging_face(model, tmp_path / "out", tokenizer=tokenizer)
    bridge = TransformerBridge.boot_transformers(str(folder))
    tokens = torch.tensor([tokenizer.encode("HELLO\n")])
    assert torch.equal(bridge.to_tokens("HELLO\n", prepend_bos=False), tokens)
    assert_same_logits(bridge(tokens), model(tokens))


@pytest.mark.parametrize("tied", [True, False])
def test_loading_an_export_restores_every_bit(tmp_path, tied):
    model = our_gpt2(tied_embeddings=tied, dropout=0.1)
    if not tied:
        model.unembed.b_U.data.zero_()
    again = gpt2_small.load_pretrained(export_hugging_face(model, tmp_path / "out"))
    assert again.config == model.config
    for name, parameter in model.named_parameters():
        assert torch.equal(again.get_parameter(name), parameter), name


def test_importing_and_exporting_a_hugging_face_model_restores_every_bit(tmp_path):
    theirs = hugging_face_gpt2()
    theirs.save_pretrained(tmp_path / "theirs")
    export_hugging_face(load_hugging_face(tmp_path / "theirs"), tmp_path / "ours")
    before = load_file(tmp_path / "theirs" / "model.safetensors")
    after = load_file(tmp_path / "ours" / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_bfloat16_model_is_exported_as_bfloat16(tmp_path):
    export_hugging_face(our_gpt2().bfloat16(), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    tensors = load_file(tmp_path / "out" / "model.safetensors").values()
    assert {tensor.dtype for tensor in tensors} == {torch.bfloat16}


def test_a_run_is_exported_with_its_tokenizer(tmp_path):
    text = "one two three four five six seven eight nine ten, a b c d e f g h i j k l m"
    tokenizer = make_tokenizer("bpe:270", text)
    saved_run(tmp_path / "run", our_gpt2(d_vocab=270), tokenizer)
    export_hugging_face(tmp_path / "run", tmp_path / "out")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert theirs(text)["input_ids"] == tokenizer.encode(text)
    assert theirs.eos_token_id == tokenizer.end_of_text
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["eos_token_id"] == tokenizer.end_of_text


@pytest.mark.parametrize("tied", [True, False])
def test_a_padded_vocabulary_is_trimmed_to_the_tokenizers(tmp_path, tied):
    model = our_gpt2(d_vocab=64, tied_embeddings=tied)
    if not tied:
        model.unembed.b_U.data[:61] = 0
    saved_run(tmp_path / "run", model, characters(61))
    theirs = GPT2LMHeadModel.from_pretrained(
        export_hugging_face(tmp_path / "run", tmp_path / "out")
    )
    assert theirs.config.vocab_size == 61
    assert_same_logits(logits_of(theirs), logits_of(model)[..., :61])


def test_a_bias_that_hugging_face_cannot_hold_is_refused(tmp_path):
    model = our_gpt2(tied_embeddings=False)
    with pytest.raises(UserError, match=r"has a bias b_U \(up to 0\.1.*set b_U to 0"):
        export_hugging_face(model, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_empty_is_refused_and_left_as_it_was(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is not empty; give a new folder"):
        export_hugging_face(our_gpt2(), tmp_path)
    with pytest.raises(UserError, match=r"thesis\.txt is not a folder; give a new folder"):
        export_hugging_face(our_gpt2(), tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert os.listdir(tmp_path) == ["thesis.txt"]


@pytest.mark.parametrize("limit", [100, 4096])
def test_a_full_disk_is_reported_in_one_sentence_and_leaves_no_partial_export(tmp_path, limit):
    saved_run(tmp_path / "run", our_gpt2())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(UserError, match=r"cannot write .*out \(File too large\); nothing was"):
            export_hugging_face(tmp_path / "run", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["run"]


def test_a_failure_in_the_last_file_leaves_no_partial_export(tmp_path, monkeypatch):
    def fail(tokenizer, folder, **how):
        raise UserError("this tokenizer cannot be written")

    monkeypatch.setattr("gpt2_small.weights.export.write_tokenizer_files", fail)
    with pytest.raises(UserError, match="this tokenizer cannot be written"):
        export_hugging_face(our_gpt2(), tmp_path / "out", tokenizer=characters())
    assert os.listdir(tmp_path) == []


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_flipped_byte_in_an_export_is_found_by_its_hash(tmp_path, name):
    export_hugging_face(our_gpt2(), tmp_path / "out")
    flip_a_byte(tmp_path / "out" / name)
    with pytest.raises(UserError, match=rf"{re.escape(name)} was changed after it was written"):
        gpt2_small.load_pretrained(tmp_path / "out")


def test_the_manifest_lists_every_other_file_of_an_export(tmp_path):
    export_hugging_face(our_gpt2(), tmp_path / "out", tokenizer=characters())
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert {*manifest["files"], "manifest.json"} == set(os.listdir(tmp_path / "out"))


def test_the_code_of_the_page_about_transformer_lens_runs(tmp_path, monkeypatch):
    text = "".join(map(chr, range(32, 127)))
    tokenizer = make_tokenizer("char", text)
    saved_run(tmp_path / "runs" / "play", our_gpt2(d_vocab=95, n_ctx=32), tokenizer)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    assert len(blocks) == 6
    exec(compile("\n".join(blocks), str(PAGE), "exec"), {})


@pytest.mark.slow
def test_at_the_real_size_export_and_import_give_the_same_logits(tmp_path):
    theirs = hugging_face_gpt2(12, 12, n_embd=768, n_positions=1024, vocab_size=50257)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = gpt2_small.load_pretrained(tmp_path / "theirs")
    assert sum(parameter.numel() for parameter in ours.parameters()) == 124_439_808
    assert_relative(logits_of(ours), logits_of(theirs))
    again = GPT2LMHeadModel.from_pretrained(export_hugging_face(ours, tmp_path / "ours"))
    assert_relative(logits_of(again), logits_of(ours))


def assert_relative(left, right):
    scale = max(1.0, right.abs().max().item())
    torch.testing.assert_close(left, right, rtol=0, atol=LOGIT_TOLERANCE * scale)
