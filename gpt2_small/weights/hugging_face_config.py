"""Convert configurations between Hugging Face's GPT-2 and ours."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.model_protocol import Config
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.weights.hugging_face_tensors import has_own_head

# GPT2Config's defaults for fields that config.json leaves out.
DEFAULTS: dict[str, Any] = {
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_inner": None,
    "n_positions": 1024,
    "vocab_size": 50257,
    "layer_norm_epsilon": 1e-5,
    "initializer_range": 0.02,
}
# GPT2Config.attribute_map: these names take precedence.
ALIASES = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_positions": "max_position_embeddings",
}

# The names under which transformers.activations has GELU's tanh approximation.
GELU_TANH = ("gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate")

# Fields that change GPT-2's function, and their values that do not.
SAME_FUNCTION: dict[str, tuple[Any, ...]] = {
    "activation_function": GELU_TANH,
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "quantization_config": (None,),
    "pruned_heads": (None, {}),
}

DROPOUTS = ("embd_pdrop", "attn_pdrop", "resid_pdrop")


def fields_from_config(
    config: Mapping[str, Any], state: Mapping[str, Tensor], source: str
) -> dict[str, Any]:
    """Convert a Hugging Face config, with its tensors, to the fields of a TransformerConfig.

    As in transformers 5, embeddings are tied if the config says so and `lm_head` does not differ.
    Dropout is 0 if the three rates differ.

    source: the config's file, for the message.

    Raises UserError, with the difference, for a model that is not GPT-2.
    """
    model_type = config.get("model_type")
    if model_type != "gpt2":
        raise UserError(
            f"{source} is of a model of type {model_type!r}; only those of type 'gpt2' can be used"
        )
    for name, same in SAME_FUNCTION.items():
        value = config.get(name, same[0])
        if value not in same:
            raise UserError(
                f"{source} says {name}: {json.dumps(value)}, which makes it another function than "
                f"GPT-2's; only {' or '.join(json.dumps(each) for each in same)} can be used"
            )
    given = {name: _number(config, name, source) for name in DEFAULTS}
    dropouts = [_checked(config.get(name, 0.1), name, source, whole=False) for name in DROPOUTS]
    return {
        "d_model": given["n_embd"],
        "n_layers": given["n_layer"],
        "n_heads": given["n_head"],
        "d_mlp": given["n_inner"],
        "n_ctx": given["n_positions"],
        "d_vocab": given["vocab_size"],
        "layer_norm_eps": given["layer_norm_epsilon"],
        "init_std": given["initializer_range"],
        "dropout": dropouts[0] if dropouts.count(dropouts[0]) == len(dropouts) else 0.0,
        "tied_embeddings": config.get("tie_word_embeddings", True) and not has_own_head(state),
    }


def make_config(
    config: Config, *, d_vocab: int, tokenizer: Tokenizer | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Convert a TransformerConfig to a Hugging Face config with d_vocab tokens.

    llama.cpp's converter reads `n_ctx`, transformers `n_positions`.
    """
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.d_mlp,
        "n_positions": config.n_ctx,
        "n_ctx": config.n_ctx,
        "vocab_size": d_vocab,
        "layer_norm_epsilon": config.layer_norm_eps,
        "initializer_range": config.init_std,
        **dict.fromkeys(DROPOUTS, config.dropout),
        "tie_word_embeddings": config.tied_embeddings,
        **_ends(tokenizer),
        "dtype": str(dtype).removeprefix("torch."),
    }


def make_generation_config(tokenizer: Tokenizer | None, d_vocab: int) -> dict[str, Any]:
    """Make the generation config: start and end tokens, and rows without a token to suppress.

    Role tokens are end tokens too.
    """
    config = _ends(tokenizer)
    if tokenizer is not None and tokenizer.roles is not None:
        config["eos_token_id"] = [*sorted(tokenizer.ends), *tokenizer.roles]
    nameless = [] if tokenizer is None else list(range(tokenizer.vocab_size, d_vocab))
    return config | {"suppress_tokens": nameless} if nameless else config


def _ends(tokenizer: Tokenizer | None) -> dict[str, Any]:
    if tokenizer is None:
        return {"bos_token_id": None, "eos_token_id": None}
    ends: list[int] = sorted(tokenizer.ends)
    eos = ends[0] if len(ends) == 1 else ends or None
    return {"bos_token_id": tokenizer.start_of_text, "eos_token_id": eos}


def _number(config: Mapping[str, Any], name: str, source: str) -> Any:
    """The value of a field: by its alias, else by its name, else GPT2Config's default."""
    alias = ALIASES.get(name, name)
    found = alias if alias in config else name
    if found not in config or (name == "n_inner" and config[found] is None):
        return DEFAULTS[name]
    return _checked(config[found], found, source, whole=not isinstance(DEFAULTS[name], float))


def _checked(value: Any, name: str, source: str, *, whole: bool) -> Any:
    """Return a value that is a number of the right kind. Raises UserError for another value."""
    kind = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind):
        needed = "a whole number" if whole else "a number, without quotation marks"
        raise UserError(f"{source} says {name}: {json.dumps(value)}; it must be {needed}")
    return value
