"""Grow weights: more rows of the vocabulary, and a longer context."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gpt2_small.model_protocol import Config

# The parameters that have a row (or, of W_U, a column) for each token.
OF_TOKENS = {"embed.W_E": 0, "unembed.W_U": 1, "unembed.b_U": 0}
OF_POSITIONS = "pos_embed.W_pos"


def grown(
    weights: Mapping[str, Tensor], config: Config, known_tokens: int | None
) -> dict[str, Tensor]:
    """Weights for a model of this config, which may have more tokens and positions.

    A new token's row is drawn from a normal distribution with the mean and the standard deviation
    of the known tokens' rows, dimension by dimension; so it is as large as they are, and unlike
    each of them. Rows that were padding are drawn anew. A new position's row is drawn as a fresh
    model's is. The numbers come from torch's global generator.

    Args:
        known_tokens: rows that stand for tokens of the weights' own tokenizer; None for weights
            whose vocabulary stays as it is.
    """
    result = dict(weights)
    for name, axis in OF_TOKENS.items():
        if known_tokens is not None and name in result:
            result[name] = _more_tokens(result[name], config.d_vocab, known_tokens, axis)
    positions = result[OF_POSITIONS]
    new = config.n_ctx - len(positions)
    if new > 0:
        drawn = torch.randn(new, positions.shape[1]) * config.init_std
        result[OF_POSITIONS] = torch.cat([positions, drawn.to(positions)])
    return result


def _more_tokens(parameter: Tensor, d_vocab: int, known_tokens: int, axis: int) -> Tensor:
    if parameter.shape[axis] == d_vocab == known_tokens:
        return parameter
    known = parameter.narrow(axis, 0, known_tokens)
    shape = list(parameter.shape)
    shape[axis] = d_vocab - known_tokens
    mean = known.mean(dim=axis, keepdim=True)
    spread = known.std(dim=axis, keepdim=True)
    return torch.cat([known, mean + spread * torch.randn(shape).to(parameter)], dim=axis)
