"""Convert parameters between TransformerLens's and ours, which differ in the unembedding alone."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.errors import UserError

W_E, W_U, B_U = "embed.W_E", "unembed.W_U", "unembed.b_U"

# Constants that older versions stored with the weights.
CONSTANTS = (".attn.mask", ".attn.IGNORE")


def from_transformer_lens(state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Convert TransformerLens's parameters to the fields of a TransformerConfig and our parameters.

    The embeddings are tied, and `unembed.*` is left out, only if W_U is exactly the transposed W_E
    and b_U is 0. Fields that no tensor determines (layer_norm_eps, init_std, dropout) are missing.

    Raises UserError, with the name, for a missing tensor that determines a field.
    """
    parameters = {name: value for name, value in state.items() if not name.endswith(CONSTANTS)}
    d_vocab, d_model = _shape(parameters, W_E, 2)
    n_ctx, _ = _shape(parameters, "pos_embed.W_pos", 2)
    n_heads, _, d_head = _shape(parameters, "blocks.0.attn.W_Q", 3)
    _, d_mlp = _shape(parameters, "blocks.0.mlp.W_in", 2)
    tied = _is_tied(parameters)
    if tied:
        parameters = {name: value for name, value in parameters.items() if name not in (W_U, B_U)}
    blocks = {name.split(".")[1] for name in parameters if name.startswith("blocks.")}
    fields = {
        "d_model": d_model,
        "n_layers": len(blocks),
        "n_heads": n_heads,
        "d_head": d_head,
        "d_mlp": d_mlp,
        "n_ctx": n_ctx,
        "d_vocab": d_vocab,
        "tied_embeddings": tied,
    }
    return fields, parameters


def to_transformer_lens(model: nn.Module) -> dict[str, Tensor]:
    """Convert a model's parameters to TransformerLens's, detached, with an explicit unembedding."""
    state = {name: parameter.detach() for name, parameter in model.named_parameters()}
    if W_U not in state:
        state[W_U] = state[W_E].T
        state[B_U] = state[W_E].new_zeros(state[W_E].shape[0])
    return state


def _is_tied(parameters: Mapping[str, Tensor]) -> bool:
    if W_U not in parameters and B_U not in parameters:
        return True
    if W_U in parameters and not torch.equal(parameters[W_U], parameters[W_E].T):
        return False
    return B_U not in parameters or not parameters[B_U].any()


def _shape(parameters: Mapping[str, Tensor], name: str, axes: int) -> tuple[int, ...]:
    if name not in parameters:
        raise UserError(
            f"there is no {name} among the tensors, so these are not TransformerLens's parameters; "
            "pass dict(bridge.tl_named_parameters())"
        )
    shape = tuple(parameters[name].shape)
    if len(shape) != axes:
        raise UserError(f"{name} has the shape {list(shape)}; it must have {axes} axes")
    return shape
