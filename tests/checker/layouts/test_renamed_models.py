"""Test models with other class, argument and field names than their layout."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checking import check_text
from torch import nn

from gpt2_small.checker.claims.observing.probes import SIZES
from gpt2_small.checker.layouts.construction import AnyConfig, construct, construct_norm

FILES = Path(__file__).parent / "files"
PARTS = ["LayerNorm", "MultiHeadAttention", "MLP", "TransformerBlock", "Transformer"]
CONFIG = SimpleNamespace(
    **SIZES, dropout=0.25, layer_norm_eps=1e-5, init_std=0.02, tied_embeddings=True
)
# Names in the layouts' files, and other names from public implementations of GPT-2.
RESPELLED = {
    "nanogpt": {
        "n_embd": "n_emb",
        "n_head": "num_heads",
        "n_layer": "num_layers",
        "block_size": "max_tokens",
        "CausalSelfAttention": "MultiheadAttention",
        "Block(": "DecoderLayer(",
        "GPT(": "TinyGPT(",
        "ln_1": "norm1",
        "wte": "token_embedding",
    },
    "llms_from_scratch": {
        "emb_dim": "n_embed",
        "drop_rate": "dropout_p",
        "context_length": "block_size",
        "num_heads": "n_head",
        "W_query": "q_proj",
        "MultiHeadAttention": "CausalMHA",
        "trf_blocks": "blocks",
        "tok_emb": "token_embs",
    },
}


def respelled(layout: str) -> str:
    text = (FILES / f"{layout}.py").read_text()
    for old, new in RESPELLED[layout].items():
        assert old in text, old
        text = text.replace(old, new)
    return text


# In the nanoGPT layout the exact GELU fails, and the parts that contain it wait.
JUDGED = {
    "nanogpt": ["passed", "passed", "failed", "waiting", "waiting"],
    "llms_from_scratch": ["passed"] * 5,
}


@pytest.mark.parametrize("layout", JUDGED)
def test_a_model_with_other_names_gets_the_same_verdict(tmp_path: Path, layout: str) -> None:
    name = layout.replace("_", "-")
    verdict = check_text(tmp_path, respelled(layout), layout=name, naming=False)
    assert {part: verdict.state_of(part) for part in verdict.parts()} == dict(
        zip(PARTS, JUDGED[layout], strict=True)
    )


@pytest.mark.parametrize("name", ["n_embd", "emb_dim", "hidden_size", "d_model"])
def test_a_configuration_has_every_usual_name_of_the_width(name: str) -> None:
    config = AnyConfig(CONFIG)
    assert getattr(config, name) == config[name] == config.get(name) == 24
    assert name in config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_emb", 24),
        ("embedding_dimension", 24),
        ("number_of_heads", 3),
        ("num_transformer_blocks", 2),
        ("max_tokens", 12),
        ("max_seq", 12),
        ("vocabulary", 29),
        ("attention_dropout_rate", 0.25),
        ("d_inner", 40),
        ("rms_norm_eps", 1e-5),
        ("hidden_dimension_factor", 40 / 24),
    ],
)
def test_a_configuration_answers_to_spellings_of_the_same_kind(name: str, value: float) -> None:
    assert AnyConfig(CONFIG)[name] == value


@pytest.mark.parametrize("name", ["model_name", "embedding", "use_heads", "layer_type", "tokens"])
def test_a_configuration_does_not_guess_what_a_name_hardly_says(name: str) -> None:
    assert name not in AnyConfig(CONFIG)


def test_a_configuration_keeps_fields_set_by_a_constructor() -> None:
    config = AnyConfig(CONFIG)
    config.window = 3
    config["stride"] = 4
    assert (config["window"], config.stride) == (3, 4)


def test_an_unknown_field_is_refused_with_a_suggestion() -> None:
    with pytest.raises(AttributeError, match="no field 'n_hedas'; did you mean n_heads"):
        _ = AnyConfig(CONFIG).n_hedas
    with pytest.raises(KeyError, match="no field 'rope_theta'"):
        _ = AnyConfig(CONFIG)["rope_theta"]
    assert not hasattr(AnyConfig(CONFIG), "rope_theta")


def test_arguments_with_usual_names_are_passed_and_others_keep_their_defaults() -> None:
    class Attention(nn.Module):
        def __init__(
            self, d_in: int, n_head: int, drop: float = 0.0, qkv_bias: bool = False, top: int = 7
        ) -> None:
            super().__init__()
            self.seen = (d_in, n_head, drop, qkv_bias, top)

    made: Any = construct(Attention, CONFIG)
    assert made.seen == (24, 3, 0.25, True, 7)


def test_a_single_required_argument_of_an_unknown_name_receives_the_configuration() -> None:
    class Block(nn.Module):
        def __init__(self, everything: Any, layer_idx: int) -> None:
            super().__init__()
            self.seen = (everything.n_embd, layer_idx)

    made: Any = construct(Block, CONFIG)
    assert made.seen == (24, 0)


def test_an_unknown_required_argument_beside_a_configuration_is_reported_as_missing() -> None:
    class Block(nn.Module):
        def __init__(self, config: Any, rotary_base: float) -> None:
            super().__init__()

    with pytest.raises(TypeError, match="rotary_base"):
        construct(Block, CONFIG)


@pytest.mark.parametrize("given", ["size", "config"])
def test_a_norm_receives_its_size_or_a_configuration(given: str) -> None:
    class Sized(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.width = size

    class Configured(nn.Module):
        def __init__(self, config: Any) -> None:
            super().__init__()
            self.width = config["n_embd"]

    made: Any = construct_norm(Sized if given == "size" else Configured, CONFIG)
    assert made.width == 24


def test_a_missing_parameter_is_reported_by_its_first_name(tmp_path: Path) -> None:
    text = (FILES / "llms_from_scratch.py").read_text().replace("norm1", "first")
    layout = "llms-from-scratch"
    verdict = check_text(tmp_path, text, "TransformerBlock", layout=layout, naming=False)
    messages = " ".join(
        one.message for one in verdict.results if one.component == "TransformerBlock"
    )
    assert "there is no parameter ln1.w, under this or another usual name" in messages
