"""Test a run's folder: reading it back, and one sentence for each kind of damage."""

import json
import os
import resource
import sys
from dataclasses import asdict

import pytest
import torch
from small_gpt2s import characters, logits_of, our_gpt2, saved_run

import gpt2_small
from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.runs import (
    append_log,
    create_run,
    load_model,
    read_log,
    read_run,
    save_checkpoint,
)

pytestmark = pytest.mark.timeout(60)


def files_under(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_loaded_run_has_the_logits_of_the_saved_model(tmp_path):
    model = our_gpt2()
    saved_run(tmp_path / "run", model)
    assert torch.equal(logits_of(load_model(tmp_path / "run")), logits_of(model))


def test_an_untied_run_is_loaded_with_its_own_unembedding(tmp_path):
    model = our_gpt2(tied_embeddings=False)
    saved_run(tmp_path / "run", model)
    again = load_model(tmp_path / "run")
    assert torch.equal(again.unembed.b_U, model.unembed.b_U)
    assert torch.equal(logits_of(again), logits_of(model))


def test_a_loaded_model_is_in_eval_mode_and_needs_no_gradient_switch_to_train(tmp_path):
    saved_run(tmp_path / "run", our_gpt2(dropout=0.5))
    model = load_model(tmp_path / "run")
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_run_has_its_config_tokenizer_and_checkpoints_in_order(tmp_path):
    model = our_gpt2()
    saved_run(tmp_path / "run", model, step=9)
    save_checkpoint(tmp_path / "run", 10, model)
    run = read_run(tmp_path / "run")
    assert run.model_fields == asdict(model.config)
    assert run.settings == {"seed": 1}
    assert run.load_tokenizer().decode([0, 1]) == characters().decode([0, 1])
    assert [checkpoint.step for checkpoint in run.checkpoints] == [9, 10]
    assert run.latest_checkpoint().step == 10


def test_config_json_has_the_documented_format(tmp_path):
    model = our_gpt2()
    saved_run(tmp_path / "run", model)
    content = json.loads((tmp_path / "run" / "config.json").read_text())
    assert content["format"] == "gpt2-small-run/1"
    assert content["model"] == asdict(model.config)
    assert content["tokenizer"] == "char"
    assert content["run"] == {"seed": 1}


def test_an_earlier_checkpoint_can_be_requested(tmp_path):
    early, late = our_gpt2(), our_gpt2()
    with torch.no_grad():
        late.embed.W_E.add_(1)
    saved_run(tmp_path / "run", early, step=1)
    save_checkpoint(tmp_path / "run", 2, late)
    assert torch.equal(load_model(tmp_path / "run", step=1).embed.W_E, early.embed.W_E)
    with pytest.raises(UserError, match=r"no checkpoint of step 7; it has: 1, 2"):
        load_model(tmp_path / "run", step=7)


def test_a_checkpoint_can_contain_other_files_beside_the_weights(tmp_path):
    model = our_gpt2()
    run = saved_run(tmp_path / "run", model)
    state = {"exp_avg": torch.arange(6.0).view(2, 3).T}
    save_checkpoint(run.folder, 5, model, {"optimizer.safetensors": state, "rng.bin": b"\x01\x02"})
    checkpoint = read_run(run.folder).latest_checkpoint()
    assert torch.equal(checkpoint.tensors("optimizer.safetensors")["exp_avg"], state["exp_avg"])
    assert checkpoint.file("rng.bin").read_bytes() == b"\x01\x02"


def test_saving_a_step_again_replaces_its_checkpoint_without_leftovers(tmp_path):
    model = our_gpt2()
    run = saved_run(tmp_path / "run", model, step=3)
    with torch.no_grad():
        model.embed.W_E.mul_(2)
    save_checkpoint(run.folder, 3, model)
    assert torch.equal(load_model(run.folder).embed.W_E, model.embed.W_E)
    assert os.listdir(run.folder / "checkpoints") == ["step-3"]


def test_a_full_disk_leaves_the_earlier_checkpoint_and_no_partial_one(tmp_path):
    run = saved_run(tmp_path / "run", our_gpt2(), step=3)
    before = files_under(run.folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(UserError, match=r"cannot write .*step-3 \(File too large.*nothing was"):
            save_checkpoint(run.folder, 3, our_gpt2())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_under(run.folder) == before
    assert os.listdir(run.folder / "checkpoints") == ["step-3"]


def test_a_folder_left_by_a_killed_process_does_not_count_as_a_checkpoint(tmp_path):
    run = saved_run(tmp_path / "run", our_gpt2(), step=3)
    aside = run.folder / "checkpoints" / ".step-4.unfinished"
    aside.mkdir()
    (aside / "model.safetensors").write_bytes(b"half")
    assert [checkpoint.step for checkpoint in read_run(run.folder).checkpoints] == [3]
    save_checkpoint(run.folder, 4, our_gpt2())
    assert read_run(run.folder).latest_checkpoint().step == 4
    assert not aside.exists()


def test_a_run_with_checkpoints_is_not_overwritten(tmp_path):
    model = our_gpt2()
    run = saved_run(tmp_path / "run", model)
    before = files_under(run.folder)
    with pytest.raises(UserError, match=r"up to step 3; resume it with .* --resume"):
        create_run(run.folder, model_fields={}, tokenizer=characters(), run={})
    assert files_under(run.folder) == before


def test_a_folder_with_other_files_is_refused_for_a_run(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is not empty and holds no run"):
        create_run(tmp_path, model_fields={}, tokenizer=characters(), run={})
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_a_run_without_a_checkpoint_restarts_with_an_empty_log(tmp_path):
    fields = asdict(our_gpt2().config)
    create_run(tmp_path / "run", model_fields=fields, tokenizer=characters(), run={"seed": 1})
    append_log(tmp_path / "run", {"step": 1})
    create_run(tmp_path / "run", model_fields=fields, tokenizer=characters(), run={"seed": 2})
    assert read_run(tmp_path / "run").settings == {"seed": 2}
    assert read_log(tmp_path / "run") == []


def test_a_vocabulary_too_small_for_the_tokenizer_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"d_vocab is 5, but tokenizer 'char' has 61 tokens"):
        create_run(tmp_path / "run", model_fields={"d_vocab": 5}, tokenizer=characters(), run={})
    assert not (tmp_path / "run").exists()


def corrupt(path, content):
    path.unlink() if content is None else path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "change", "sentence"),
    [
        ("config.json", lambda data: None, r"there is no .*config\.json"),
        ("config.json", lambda data: data[:40], r"config\.json is damaged, it is not JSON"),
        (
            "config.json",
            lambda data: b"[]",
            r"config\.json is damaged, it does not hold a JSON obj",
        ),
        ("config.json", lambda data: b"\xff\xfe", r"config\.json is damaged"),
        (
            "config.json",
            lambda data: data.replace(b"run/1", b"run/9"),
            r"format 'gpt2-small-run/9'",
        ),
        ("config.json", lambda data: data.replace(b"d_mlp", b"d_mpl"), r"did you mean d_mlp\?"),
        (
            "config.json",
            lambda data: data.replace(b'"n_heads": 3', b'"n_heads": 5'),
            r"SHA-256 differs",
        ),
        (
            "config.json",
            lambda data: data.replace(b'"run"', b'"ran"'),
            r"unknown field 'ran'; did you mean run",
        ),
        ("model.safetensors", lambda data: None, r"model\.safetensors is missing"),
        (
            "model.safetensors",
            lambda data: data[:-9],
            r"model\.safetensors was changed after it was written",
        ),
        (
            "model.safetensors",
            lambda data: data[:-1] + b"\x7f",
            r"was changed after it was written",
        ),
        ("manifest.json", lambda data: None, r"there is no .*manifest\.json"),
        (
            "manifest.json",
            lambda data: data.replace(b"model.", b"modem."),
            r"does not list model\.",
        ),
    ],
)
def test_damage_is_reported_in_one_sentence_that_names_the_file(tmp_path, file, change, sentence):
    run = saved_run(tmp_path / "run", our_gpt2())
    folder = run.folder if file == "config.json" else run.folder / "checkpoints" / "step-3"
    corrupt(folder / file, change((folder / file).read_bytes()))
    with pytest.raises(UserError, match=sentence) as caught:
        load_model(run.folder)
    assert "\n" not in str(caught.value)


def test_a_damaged_latest_checkpoint_is_refused_and_the_previous_one_suggested(tmp_path):
    run = saved_run(tmp_path / "run", our_gpt2(), step=3)
    late = save_checkpoint(run.folder, 5, our_gpt2())
    corrupt(late / "model.safetensors", b"cut")
    with pytest.raises(UserError, match=r"move .*step-5 away, and the checkpoint of step 3 is"):
        load_model(run.folder)
    late.rename(tmp_path / "away")
    assert load_model(run.folder).config == our_gpt2().config


def test_weights_whose_shape_differs_from_the_config_are_listed_by_name(tmp_path):
    saved_run(tmp_path / "run", our_gpt2())
    config = tmp_path / "run" / "config.json"
    content = json.loads(config.read_text())
    del content["sha256"]
    content["model"]["d_mlp"] = 44
    config.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"blocks\.0\.mlp\.W_in \[12, 48\] instead of \[12, 44\]"):
        load_model(tmp_path / "run")


def test_a_missing_folder_and_a_run_without_checkpoints_are_reported(tmp_path):
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        read_run(tmp_path / "nowhere")
    fields = asdict(our_gpt2().config)
    create_run(tmp_path / "run", model_fields=fields, tokenizer=characters(), run={})
    with pytest.raises(UserError, match="has no checkpoint yet"):
        load_model(tmp_path / "run")


LEARNERS_WAY = """        self.mask = torch.ones(config.n_ctx, config.n_ctx).tril()
        self.register_buffer("positions", torch.arange(config.n_ctx))
        self.W_Q = nn.Parameter(config.init_std * torch.randn(heads, d_model, d_head))
"""


def test_loading_a_model_that_draws_buffers_does_not_advance_the_global_generator(
    tmp_path, monkeypatch
):
    model = our_gpt2()
    saved_run(tmp_path / "run", model)
    line = "        self.W_Q = normal_parameter(heads, d_model, d_head, std=config.init_std)\n"
    source = binding.reference_path().read_text()
    assert line in source
    learners = tmp_path / "my_gpt2.py"
    learners.write_text(source.replace(line, LEARNERS_WAY))
    monkeypatch.setitem(sys.modules, binding.BOUND_MODULE, binding.load(learners))
    before = torch.random.get_rng_state()
    again = gpt2_small.load_pretrained(tmp_path / "run")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert type(again) is not type(model)
    assert torch.equal(again.blocks[0].attn.mask, torch.ones(16, 16).tril())
    assert torch.equal(logits_of(again), logits_of(model))


def test_an_unavailable_device_is_refused_in_one_sentence(tmp_path):
    saved_run(tmp_path / "run", our_gpt2())
    with pytest.raises(UserError, match=r"device 'cuda:77' cannot be used .*; try cpu"):
        load_model(tmp_path / "run", device="cuda:77")


def test_a_run_can_be_loaded_in_bfloat16(tmp_path):
    model = our_gpt2()
    saved_run(tmp_path / "run", model)
    half = load_model(tmp_path / "run", dtype=torch.bfloat16)
    assert torch.equal(half.embed.W_E, model.embed.W_E.bfloat16())
