"""Enlarge weights: a larger vocabulary and a longer context."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gpt2_small.model_protocol import Config

# The parameters with an axis of tokens, and the number of that axis.
OF_TOKENS = {"embed.W_E": 0, "unembed.W_U": 1, "unembed.b_U": 0}
OF_POSITIONS = "pos_embed.W_pos"


def grown(
    weights: Mapping[str, Tensor], config: Config, known_tokens: int | None
) -> dict[str, Tensor]:
    """Weights for a model of this config, which may have more tokens and positions.

    The rows of new tokens, and of padding, are drawn from a normal distribution with the mean and
    the standard deviation of the known tokens' rows in each dimension. The rows of new positions
    are initialised as in a new model. The numbers come from torch's global generator.

    Args:
        known_tokens: the size of the weights' own tokenizer; None if the vocabulary is unchanged.
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
