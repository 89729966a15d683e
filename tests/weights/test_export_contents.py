"""Test the contents of an export: rows, tokens, ends, and refused models."""

import json
import os

import pytest
import tokenizer_folders
import torch
from default_share import slowly
from processes import run_python
from small_gpt2s import hugging_face_gpt2, our_gpt2
from transformers import AutoTokenizer, GPT2LMHeadModel

from gpt2_small.errors import UserError
from gpt2_small.generation import open_model
from gpt2_small.tokenizers.registry import make_tokenizer
from gpt2_small.weights import export_hugging_face

pytestmark = pytest.mark.timeout(120)

TEXT = "one two three four five six seven eight nine ten, a b c d e f g h i j k l m<|user>"


@pytest.fixture
def fine_tune(tmp_path):
    """Write a folder with an added start, end and padding token, and two rows without a token.

    Its texts end with <|answer_end|> or with token 7.
    """
    folder = tmp_path / "theirs"
    folder.mkdir()
    tokenizer_folders.start_answer_end_and_pad_added(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    hugging_face_gpt2(vocab_size=len(tokenizer) + 2, n_positions=64).save_pretrained(folder)
    ends = {"eos_token_id": [7, tokenizer.eos_token_id]}
    (folder / "generation_config.json").write_text(json.dumps(ends))
    return folder


def test_a_run_from_a_folder_with_added_tokens_keeps_rows_tokens_and_ends(fine_tune, tmp_path):
    (tmp_path / "play.txt").write_text("The cat sat on the mat. " * 200)
    arguments = ["train", "--preset", "shakespeare-cpu", "--data", "play.txt", "--out", "run"]
    arguments += ["--init-from", "theirs", "--max-steps", "1", "--device", "cpu"]
    done = run_python("-m", "gpt2_small", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = export_hugging_face(tmp_path / "run", tmp_path / "out")
    theirs, again = map(AutoTokenizer.from_pretrained, (fine_tune, folder))
    text = "<|startoftext|>The cat<|answer_end|> <|pad|> sat  "
    assert again(text)["input_ids"] == theirs(text)["input_ids"]
    assert again.special_tokens_map == theirs.special_tokens_map
    model = GPT2LMHeadModel.from_pretrained(folder)
    assert model.config.vocab_size == len(theirs) + 2
    assert sorted(model.generation_config.eos_token_id) == [7, theirs.eos_token_id]
    assert model.generation_config.suppress_tokens == [len(theirs), len(theirs) + 1]
    assert model.generation_config.bos_token_id == theirs.bos_token_id
    assert open_model(folder).tokenizer.to_dict() == open_model(fine_tune).tokenizer.to_dict()


def test_a_folder_with_fewer_rows_than_tokens_is_exported_unchanged(tmp_path):
    (tmp_path / "theirs").mkdir()
    tokenizer_folders.pad_alone_added(tmp_path / "theirs")
    size = len(AutoTokenizer.from_pretrained(tmp_path / "theirs"))
    hugging_face_gpt2(vocab_size=size - 1).save_pretrained(tmp_path / "theirs")
    loaded = open_model(tmp_path / "theirs")
    export_hugging_face(loaded.model, tmp_path / "out", tokenizer=loaded.tokenizer)
    assert GPT2LMHeadModel.from_pretrained(tmp_path / "out").config.vocab_size == size - 1
    assert AutoTokenizer.from_pretrained(tmp_path / "out").pad_token == "[PAD]"


@pytest.mark.parametrize("name", ["bpe:270-chat", "byte-chat", "char-chat", slowly("gpt2-chat")])
def test_a_model_with_roles_is_exported_with_every_row(tmp_path, name):
    tokenizer = make_tokenizer(name, TEXT)
    rows = max(tokenizer.vocab_size + 5, tokenizer.d_vocab)
    model = our_gpt2(d_vocab=rows, n_layers=1)
    export_hugging_face(model, tmp_path / "out", tokenizer=tokenizer)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    exported = GPT2LMHeadModel.from_pretrained(tmp_path / "out")
    assert exported.config.vocab_size == rows
    nameless = list(range(tokenizer.vocab_size, rows))
    assert exported.generation_config.suppress_tokens == nameless
    roles = theirs.convert_tokens_to_ids(["<|user|>", "<|assistant|>"])
    assert roles == list(tokenizer.roles)
    ends = [tokenizer.end_of_text, *tokenizer.roles]
    assert exported.generation_config.eos_token_id == ends
    assert theirs.eos_token_id == tokenizer.end_of_text
    turn = "<|user|>two<|endoftext|><|assistant|>"
    ids = theirs(turn, add_special_tokens=False)["input_ids"]
    assert ids == tokenizer.encode_special(turn)
    assert open_model(tmp_path / "out").tokenizer.to_dict() == tokenizer.to_dict()


def test_a_row_without_a_token_is_never_drawn_by_transformers(tmp_path):
    tokenizer = make_tokenizer("byte-chat")
    nameless = tokenizer.vocab_size
    model = our_gpt2(d_vocab=nameless + 1, n_ctx=32)
    with torch.no_grad():
        hidden = torch.linalg.pinv(model.embed.W_E[:nameless]) @ torch.full((nameless,), 9.0)
        model.ln_final.b += hidden
        model.embed.W_E[nameless] = 50 * hidden / hidden.norm()
    folder = export_hugging_face(model, tmp_path / "out", tokenizer=tokenizer)
    exported, tokens = GPT2LMHeadModel.from_pretrained(folder), torch.tensor([[1, 2, 3]])
    assert exported(tokens).logits[0, -1].argmax() == nameless
    drawn = exported.generate(tokens, max_new_tokens=20, do_sample=False, pad_token_id=0)
    assert nameless not in drawn


class ReluMLP(torch.nn.Module):
    """An MLP that differs from GPT-2's."""

    def __init__(self, mlp):
        super().__init__()
        for name, parameter in mlp.named_parameters():
            setattr(self, name, parameter)

    def forward(self, x):
        return torch.relu(x @ self.W_in + self.b_in) @ self.W_out + self.b_out


def test_a_model_other_than_gpt2_is_not_exported(tmp_path):
    model = our_gpt2()
    model.blocks[1].mlp = ReluMLP(model.blocks[1].mlp)
    with pytest.raises(UserError, match=r"is no GPT-2: its logits differ by up to \d"):
        export_hugging_face(model, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_replaced_method_is_detected_before_an_export(tmp_path):
    model = our_gpt2()
    model.blocks[0].attn.forward = lambda x: 0.9 * x
    with pytest.raises(UserError, match="is no GPT-2"):
        export_hugging_face(model, tmp_path / "out")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_rounding_does_not_prevent_an_export(tmp_path, dtype):
    export_hugging_face(our_gpt2(n_layers=12).to(dtype), tmp_path / "out")


def test_an_export_leaves_the_training_mode_unchanged(tmp_path):
    model = our_gpt2(dropout=0.5).train()
    export_hugging_face(model, tmp_path / "out")
    assert model.training


# Fields and files that ggml-org/llama.cpp reads of a GPT2LMHeadModel (conversion/gpt2.py, base.py).
GGUF_KEYS = ("n_layer", "n_ctx", "n_embd", "n_head", "layer_norm_epsilon", "vocab_size")


def test_an_export_has_the_files_and_fields_of_llama_cpps_converter(tmp_path):
    tokenizer = make_tokenizer("gpt2")
    model = our_gpt2(d_vocab=50304, n_layers=1)
    export_hugging_face(model, tmp_path / "out", tokenizer=tokenizer)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["architectures"] == ["GPT2LMHeadModel"]
    assert all(isinstance(config[key], (int, float)) for key in GGUF_KEYS)
    assert config["n_ctx"] == config["n_positions"] == model.config.n_ctx
    assert config["n_inner"] == 4 * config["n_embd"]  # assumed by the converter
    theirs = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert max(theirs.vocab.values()) < config["vocab_size"]
