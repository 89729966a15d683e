"""Define a loss whose gradient is known: the sum of one bias."""

from torch import Tensor, nn


def final_bias_of(model: nn.Module) -> nn.Parameter:
    """The bias of the final norm; of an attention layer, in a variant whose norms have none."""
    named = dict(model.named_parameters())
    return named["ln_final.b" if "ln_final.b" in named else "blocks.0.attn.b_O"]


def final_bias(model: nn.Module, _batch: Tensor) -> Tensor:
    """A loss with equal gradients for all elements of one bias, and gradients of 0 elsewhere.

    It reaches every parameter, so that each has a gradient, as after a model's own loss.
    """
    others = sum(parameter.sum() for parameter in model.parameters())
    return final_bias_of(model).sum() + 0.0 * others
