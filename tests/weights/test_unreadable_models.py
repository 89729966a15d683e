"""Test that other files and folders are refused with their kind."""

import json
import pickle
import struct
import zipfile

import pytest
import torch
from small_gpt2s import hugging_face_gpt2, our_gpt2, saved_run

import gpt2_small
from gpt2_small.errors import UserError


def refusal_of(path):
    with pytest.raises(UserError) as caught:
        gpt2_small.load_pretrained(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "first", "sentence"),
    [
        ("model.gguf", b"GGUF" + bytes(60), "is a GGUF file of llama.cpp, which is not read"),
        ("model.bin", b"lmgg" + bytes(60), "is a file of an old llama.cpp (ggml)"),
        ("model.bin", b"tjgg" + bytes(60), "is a file of an old llama.cpp (ggjt)"),
        ("gpt2_124M.bin", struct.pack("<ii", 20240326, 3), "is a checkpoint of llm.c"),
        ("val.bin", struct.pack("<ii", 20240520, 1), "is a shard of tokens of llm.c"),
        ("model.bin", b"version https://git-lfs.github.com", "is a Git LFS pointer"),
        ("model.bin", bytes(64), "is neither safetensors nor another known format"),
        ("model.bin", b"", "is neither safetensors nor another known format"),
        ("model.dat", pickle.dumps({"a": 1}), "is a pickle, which can run any program"),
        ("model.safetensors", bytes(64), "is a file; give the folder it is in"),
    ],
)
def test_a_file_format_is_recognised_by_its_first_bytes(tmp_path, name, first, sentence):
    (tmp_path / name).write_bytes(first)
    assert sentence in refusal_of(tmp_path / name)


def test_a_torch_archive_is_recognised_as_a_pickle_under_any_name(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "ckpt")
    assert zipfile.is_zipfile(tmp_path / "ckpt")
    assert "ckpt is a pickle" in refusal_of(tmp_path / "ckpt")


def test_a_folder_of_gguf_files_is_recognised(tmp_path):
    (tmp_path / "gpt2.Q4_K_M.gguf").write_bytes(b"GGUF" + bytes(60))
    assert "gpt2.Q4_K_M.gguf is a GGUF file of llama.cpp" in refusal_of(tmp_path)
    hugging_face_gpt2().save_pretrained(tmp_path / "more")
    (tmp_path / "more" / "model.safetensors").rename(tmp_path / "more" / "model.gguf")
    (tmp_path / "more" / "model.gguf").write_bytes(b"GGUF")
    assert "model.gguf is a GGUF file of llama.cpp" in refusal_of(tmp_path / "more")


@pytest.mark.parametrize("with_config", [True, False])
def test_an_adapter_is_recognised_with_its_base_model(tmp_path, with_config):
    (tmp_path / "adapter_model.safetensors").write_bytes(bytes(16))
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "openai-community/gpt2"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter))
    if with_config:
        (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    assert (
        "holds a PEFT adapter to openai-community/gpt2, not a whole model; merge it"
        in refusal_of(tmp_path)
    )


def test_a_trainers_output_folder_is_refused_with_its_last_checkpoint(tmp_path):
    for step in (500, 1500, 1000):
        hugging_face_gpt2().save_pretrained(tmp_path / f"checkpoint-{step}")
    (tmp_path / "runs").mkdir()
    sentence = f"holds 3 checkpoints of a Trainer; give {tmp_path / 'checkpoint-1500'}"
    assert sentence in refusal_of(tmp_path)
    gpt2_small.load_pretrained(tmp_path / "checkpoint-1500")


def test_a_trainers_other_files_are_not_taken_for_weights(tmp_path):
    hugging_face_gpt2().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    for name in ("training_args.bin", "optimizer.pt", "pytorch_model.bin"):
        (tmp_path / name).write_bytes(pickle.dumps({}))
    assert "pytorch_model.bin is a pickle" in refusal_of(tmp_path)


def test_the_hubs_cache_folder_is_refused_with_the_path_or_name_to_use(tmp_path):
    model = tmp_path / "models--openai-community--gpt2"
    snapshot = model / "snapshots" / "607a30d783dfa663caf39e06633721c8d4cfcd7e"
    hugging_face_gpt2().save_pretrained(snapshot)
    assert f"is a model in the Hub's cache; give {snapshot}" in refusal_of(model)
    assert "is the Hub's cache; give a model by its name: openai-community/gpt2" in refusal_of(
        tmp_path
    )


def test_a_folder_of_runs_is_refused_with_one_of_them(tmp_path):
    saved_run(tmp_path / "play", our_gpt2())
    assert f"is a folder of runs; give one of them: {tmp_path / 'play'}" in refusal_of(tmp_path)


@pytest.mark.parametrize(
    ("file", "framework"), [("tf_model.h5", "TensorFlow"), ("flax_model.msgpack", "Flax")]
)
def test_weights_of_other_frameworks_are_recognised(tmp_path, file, framework):
    hugging_face_gpt2().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / file)
    assert f"holds only weights of {framework}; save them as safetensors" in refusal_of(tmp_path)


def test_a_dangling_link_is_recognised(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert f"link is a link to {tmp_path / 'gone'}, which is not there" in refusal_of(
        tmp_path / "link"
    )
    hugging_face_gpt2().save_pretrained(tmp_path / "snapshot")
    weights = tmp_path / "snapshot" / "model.safetensors"
    weights.unlink()
    weights.symlink_to("../../blobs/abc")
    assert "is a link to ../../blobs/abc, which is not there; download" in refusal_of(
        tmp_path / "snapshot"
    )
