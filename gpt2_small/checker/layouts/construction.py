"""Construct another author's class from a TransformerConfig under other argument names."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

from torch import nn

from gpt2_small.errors import did_you_mean
from gpt2_small.model_protocol import Config

# Spellings of the fields of a TransformerConfig in public implementations of GPT-2.
_SPELLINGS = {
    "d_model": (
        "d_model n_embd n_embed emb_dim embd_dim embed_dim embedding_dim emb_size embd_size "
        "embed_size embedding_size hidden_size model_dim dim_model dmodel d_emb d_embed d_embd dim "
        "ndim n_dim d_in d_out dim_in dim_out in_dim out_dim nx features num_features"
    ),
    "d_mlp": (
        "d_mlp d_ff dff ff_dim ffn_dim ffw_dim mlp_dim d_hidden hidden_dim mlp_hidden_dim n_inner "
        "inner_dim dim_feedforward d_feedforward intermediate_size ffn_hidden n_state"
    ),
    "n_heads": (
        "n_heads n_head num_heads num_head nhead nheads heads n_attn_heads num_attention_heads "
        "n_kv_head n_kv_heads num_kv_heads"
    ),
    "n_layers": (
        "n_layers n_layer num_layers num_layer nlayers n_blocks num_blocks depth num_hidden_layers"
    ),
    "d_head": "d_head head_dim head_size dim_head d_k d_q d_v d_key d_value",
    "n_ctx": (
        "n_ctx block_size context_length context_len context_size context_window ctx_len ctx_size "
        "max_seq_len max_seq_length max_sequence_length seq_len seq_length sequence_length max_len "
        "max_length max_context_length n_positions max_position_embeddings"
    ),
    "d_vocab": "d_vocab vocab_size n_vocab num_vocab vocabulary_size vocab_len num_embeddings",
    "dropout": (
        "dropout drop p pdrop p_drop dropout_p dropout_rate dropout_prob drop_rate drop_prob "
        "drop_out attn_pdrop resid_pdrop embd_pdrop attn_drop resid_drop emb_drop attn_dropout "
        "attention_dropout resid_dropout residual_dropout embd_dropout emb_dropout embed_dropout "
        "hidden_dropout_prob mlp_dropout ff_dropout"
    ),
    "layer_norm_eps": "layer_norm_eps layer_norm_epsilon norm_eps ln_eps eps epsilon",
    "init_std": "init_std init_range initializer_range",
    "tied_embeddings": (
        "tied_embeddings tie_embeddings tie_weights weight_tying tie_word_embeddings"
    ),
}
_FIELDS = {name: field for field, names in _SPELLINGS.items() for name in names.split()}
# Further spellings of the same fields.
_PATTERNS = {
    "dropout": r".*drop(out)?(_?(p|rate|prob|probability|ratio))?",
    "layer_norm_eps": r".*(eps|epsilon)",
    "d_vocab": r"((n|num|size)_?)?vocab(ulary)?_?(size|len|length|dim|dimension)?",
    "n_heads": r"(n|num|number_of|no_of)_?((attn|attention)_?)?heads?",
    "n_layers": r"(n|num|number_of|no_of)_?(\w+_)?(layers?|blocks?)",
    "n_ctx": (
        r"(max_?)?(context|ctx|seq|sequence|block|pos|position|input|token)s?_?"
        r"(length|len|size|window|tokens)|max_?(tokens|positions|context|seq|len|length)"
    ),
    "d_mlp": (
        r"(d|n|dim)_?(ff|ffn|ffw|mlp|feed_?forward|inner|intermediate|hidden)|"
        r"(ff|ffn|ffw|mlp|feed_?forward|inner|intermediate)_?(dim|size|width|hidden|dimension)"
    ),
    "d_model": (
        r"(d|n|dim|num)_?(emb|embd|embed|embedding|embeddings|model)|"
        r"(emb|embd|embed|embedding|embeddings|model)_?(dim|dims|dimension|size|width|channels)"
    ),
}
# Other fields of such classes, with GPT-2's value.
_CONSTANTS = {
    **dict.fromkeys(
        ("bias", "use_bias", "qkv_bias", "qvk_bias", "attn_bias", "attention_bias", "mlp_bias"),
        True,
    ),
    **dict.fromkeys(("layer_idx", "layer_id", "layer_index", "layer_num"), 0),
    **dict.fromkeys(("debug", "output_attentions", "output_hidden_states"), False),
    "activation_function": "gelu_new",
    "device": "cpu",
    "model_type": None,
    "use_cache": True,
}
_CONFIGURATIONS = {
    *("config", "cfg", "conf", "configuration", "args", "params", "hparams", "model_config"),
    *("gpt_config", "model_args", "settings"),
}
_RATIOS = {"mlp_ratio", "ff_mult", "ffn_mult", "mlp_mult", "expansion_factor"}
_RATIO = r"(mlp|ff|ffn|feed_?forward|hidden|expansion|width)\w*_(ratio|factor|mult|multiplier)"


class AnyConfig:
    """A configuration with all usual field names, as attributes and items."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __getitem__(self, name: str) -> Any:
        """Raises KeyError for a field that GPT-2 does not have."""
        if name in vars(self):
            return vars(self)[name]
        field = _field(name.lower())
        if field is not None:
            return getattr(self._config, field)
        if name in _RATIOS or re.fullmatch(_RATIO, name):
            return self._config.d_mlp / self._config.d_model
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        hint = did_you_mean(name, _FIELDS, otherwise=f"there are {', '.join(_SPELLINGS)}")
        raise KeyError(f"the configuration has no field {name!r}; {hint}")

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __contains__(self, name: str) -> bool:
        return hasattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(_SPELLINGS)

    def keys(self) -> list[str]:
        """The contract's names, without other spellings."""
        return list(_SPELLINGS)

    def get(self, name: str, default: Any = None) -> Any:
        """A field, or the default."""
        return getattr(self, name, default)


def _field(name: str) -> str | None:
    """The field of a TransformerConfig that a name means."""
    if name in _FIELDS or name in _CONSTANTS or name in _RATIOS:
        return _FIELDS.get(name)
    return next((f for f, pattern in _PATTERNS.items() if re.fullmatch(pattern, name)), None)


def construct(
    made: type[nn.Module], settings: Config, /, unknown: Any = None, **given: Any
) -> nn.Module:
    """Construct a module from the arguments of its constructor, by their usual names.

    unknown: the value of one required argument of another name; default: a configuration.
    given: arguments with exactly these names.

    Raises what the constructor raises.
    """
    anything = AnyConfig(settings)
    configuration = given.get("config", anything)
    found: dict[str, Any] = {}
    others: list[str] = []
    for name, parameter in inspect.signature(made).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in given:
            found[name] = given[name]
        elif name.lower() in _CONFIGURATIONS:
            found[name] = configuration
        elif name in anything:
            found[name] = anything[name]
        elif parameter.default is parameter.empty:
            others.append(name)
    if len(others) == 1 and not any(name.lower() in _CONFIGURATIONS for name in found):
        found[others[0]] = configuration if unknown is None else unknown
    return made(**found)


def construct_norm(made: type[nn.Module], config: Config) -> nn.Module:
    """Construct a norm, whose only argument is its size under any name."""
    return construct(made, config, unknown=config.d_model)
