"""Convert tensors between Hugging Face's GPT-2 and ours.

Hugging Face stores query, key and value in one matrix, merges the head axes, and stores the
unembedding as [d_vocab d_model].
"""

import re
from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.model.building import check_shapes
from gpt2_small.model_protocol import Config

PREFIX = "transformer."
LM_HEAD = "lm_head.weight"
TOKEN_EMBEDDING = "transformer.wte.weight"

# Causal masks that old versions saved with the weights.
MASKS = re.compile(r"transformer\.h\.\d+\.attn\.(bias|masked_bias)")


def _block_names(block: int) -> dict[str, str]:
    """Our names and theirs, for the tensors of a block that differ in name alone."""
    theirs = {
        "ln1.w": "ln_1.weight",
        "ln1.b": "ln_1.bias",
        "attn.b_O": "attn.c_proj.bias",
        "ln2.w": "ln_2.weight",
        "ln2.b": "ln_2.bias",
        "mlp.W_in": "mlp.c_fc.weight",
        "mlp.b_in": "mlp.c_fc.bias",
        "mlp.W_out": "mlp.c_proj.weight",
        "mlp.b_out": "mlp.c_proj.bias",
    }
    return {f"blocks.{block}.{ours}": f"{PREFIX}h.{block}.{name}" for ours, name in theirs.items()}


def _names(n_layers: int) -> dict[str, str]:
    """Our names and theirs, for all tensors that differ in name alone."""
    names = {
        "embed.W_E": TOKEN_EMBEDDING,
        "pos_embed.W_pos": "transformer.wpe.weight",
        "ln_final.w": "transformer.ln_f.weight",
        "ln_final.b": "transformer.ln_f.bias",
    }
    for block in range(n_layers):
        names |= _block_names(block)
    return names


def from_hugging_face(
    state: Mapping[str, Tensor], config: Config, source: str
) -> dict[str, Tensor]:
    """Convert the state of a GPT2LMHeadModel or a GPT2Model to our parameters, mostly as views.

    Strict, except for the causal masks of old versions. With tied embeddings `lm_head` is ignored,
    or replaces a missing embedding (`safetensors.torch.save_model` writes one of two tied tensors);
    otherwise it becomes W_U, and b_U is 0.

    config: the model's TransformerConfig.

    Raises UserError with every tensor that is missing, unexpected or of the wrong shape.
    """
    state = with_embedding(with_prefix(state)) if config.tied_embeddings else with_prefix(state)
    if config.tied_embeddings:
        state.pop(LM_HEAD, None)
    check_shapes(_shapes(config), state, source)
    ours = {our: state[their] for our, their in _names(config.n_layers).items()}
    heads = {"head": config.n_heads}
    for block in range(config.n_layers):
        attn, c_attn = f"blocks.{block}.attn.", f"{PREFIX}h.{block}.attn.c_attn."
        weights = state[c_attn + "weight"].chunk(3, dim=1)
        biases = state[c_attn + "bias"].chunk(3)
        for name, weight, bias in zip("QKV", weights, biases, strict=True):
            split = "d_model (head d_head) -> head d_model d_head"
            ours[f"{attn}W_{name}"] = rearrange(weight, split, **heads)
            ours[f"{attn}b_{name}"] = rearrange(bias, "(head d_head) -> head d_head", **heads)
        c_proj = state[f"{PREFIX}h.{block}.attn.c_proj.weight"]
        split = "(head d_head) d_model -> head d_head d_model"
        ours[f"{attn}W_O"] = rearrange(c_proj, split, **heads)
    if not config.tied_embeddings:
        ours["unembed.W_U"] = state[LM_HEAD].T
        ours["unembed.b_U"] = torch.zeros(config.d_vocab)
    return ours


def to_hugging_face(
    state: Mapping[str, Tensor], config: Config, *, d_vocab: int
) -> dict[str, Tensor]:
    """Convert our parameters to the state of a GPT2LMHeadModel with the first d_vocab tokens.

    Raises UserError for a b_U that is not 0, since a GPT2LMHeadModel has none.
    """
    theirs = {their: state[our] for our, their in _names(config.n_layers).items()}
    theirs[TOKEN_EMBEDDING] = theirs[TOKEN_EMBEDDING][:d_vocab]
    for block in range(config.n_layers):
        attn, their_attn = f"blocks.{block}.attn.", f"{PREFIX}h.{block}.attn."
        weights = [state[f"{attn}W_{name}"] for name in "QKV"]
        biases = [state[f"{attn}b_{name}"] for name in "QKV"]
        merge = "qkv head d_model d_head -> d_model (qkv head d_head)"
        theirs[their_attn + "c_attn.weight"] = rearrange(weights, merge)
        theirs[their_attn + "c_attn.bias"] = rearrange(
            biases, "qkv head d_head -> (qkv head d_head)"
        )
        merge = "head d_head d_model -> (head d_head) d_model"
        theirs[their_attn + "c_proj.weight"] = rearrange(state[f"{attn}W_O"], merge)
    if not config.tied_embeddings:
        b_U = state["unembed.b_U"][:d_vocab]
        if b_U.any():
            raise UserError(
                f"the unembedding has a bias b_U (up to {b_U.abs().max():.2g}), which "
                "Hugging Face's GPT-2 cannot hold; set b_U to 0, or train with tied embeddings"
            )
        theirs[LM_HEAD] = state["unembed.W_U"].T[:d_vocab]
    return {name: tensor.contiguous() for name, tensor in theirs.items()}


def with_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state to a GPT2LMHeadModel's names, without the masks of old versions."""
    bare = not any(name.startswith(PREFIX) for name in state)
    named = {
        PREFIX + name if bare and name != LM_HEAD else name: tensor
        for name, tensor in state.items()
    }
    return {name: tensor for name, tensor in named.items() if not MASKS.fullmatch(name)}


def with_embedding(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy `lm_head` to a missing token embedding, for a tied model."""
    if TOKEN_EMBEDDING in state or LM_HEAD not in state:
        return dict(state)
    return {**state, TOKEN_EMBEDDING: state[LM_HEAD]}


def has_own_head(state: Mapping[str, Tensor]) -> bool:
    """Whether the unembedding differs from the token embedding."""
    state = with_prefix(state)
    return LM_HEAD in state and not torch.equal(
        state[LM_HEAD], state.get(TOKEN_EMBEDDING, state[LM_HEAD])
    )


def _shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a GPT2LMHeadModel's tensors."""
    d_model, d_mlp = config.d_model, config.d_mlp
    shapes: dict[str, tuple[int, ...]] = {
        TOKEN_EMBEDDING: (config.d_vocab, d_model),
        "transformer.wpe.weight": (config.n_ctx, d_model),
        "transformer.ln_f.weight": (d_model,),
        "transformer.ln_f.bias": (d_model,),
    }
    block_shapes: dict[str, tuple[int, ...]] = {
        "ln_1.weight": (d_model,),
        "ln_1.bias": (d_model,),
        "attn.c_attn.weight": (d_model, 3 * d_model),
        "attn.c_attn.bias": (3 * d_model,),
        "attn.c_proj.weight": (d_model, d_model),
        "attn.c_proj.bias": (d_model,),
        "ln_2.weight": (d_model,),
        "ln_2.bias": (d_model,),
        "mlp.c_fc.weight": (d_model, d_mlp),
        "mlp.c_fc.bias": (d_mlp,),
        "mlp.c_proj.weight": (d_mlp, d_model),
        "mlp.c_proj.bias": (d_model,),
    }
    for block in range(config.n_layers):
        shapes |= {f"{PREFIX}h.{block}.{name}": shape for name, shape in block_shapes.items()}
    if not config.tied_embeddings:
        shapes[LM_HEAD] = (config.d_vocab, d_model)
    return shapes
