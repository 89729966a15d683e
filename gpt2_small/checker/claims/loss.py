"""next_token_loss: values and gradients in every shape, large logits, what chance costs."""

import math
from types import ModuleType

import torch
from torch import Tensor

from gpt2_small.checker.claims import Check, probes
from gpt2_small.checker.claims.observation import Observation

PART = "next_token_loss"


def logits(seed: int, name: str, *, batch: int = 2, seq: int = 11, size: float = 2.0) -> Tensor:
    """Random logits [batch seq d_vocab] in float64, of unequal mean."""
    generator = probes.draws(seed, name)
    shape = (batch, seq, probes.SIZES["d_vocab"])
    return size * torch.randn(shape, generator=generator, dtype=torch.float64) + 0.7


def loss_of(module: ModuleType, given: Tensor, targets: Tensor) -> Tensor:
    """The loss in float64; to compute it in float32 throughout is right too."""
    loss = probes.tensor(module.next_token_loss(given, targets), "the loss")
    return loss.double() if loss.is_floating_point() else loss


def called(module: ModuleType, seed: int) -> Observation:
    loss = module.next_token_loss(logits(seed, "call").float(), probes.tokens(seed))
    return {"the shape of the loss": str(list(probes.tensor(loss, "the loss").shape))}


def values(module: ModuleType, seed: int) -> Observation:
    """The loss for tokens as long as the logits, and one longer."""
    seen = {}
    for batch, seq, longer in [(2, 11, 0), (2, 11, 1), (1, 5, 1), (3, 2, 0), (3, 1, 1)]:
        given = logits(seed, f"{batch} x {seq}", batch=batch, seq=seq)
        targets = probes.tokens(seed, f"{batch} x {seq}", batch=batch, seq=seq + longer)
        name = f"the loss for logits at {seq} positions and {seq + longer} tokens"
        seen[name] = loss_of(module, given, targets)
    return seen


def gradients(module: ModuleType, seed: int) -> Observation:
    given = logits(seed, "gradients").requires_grad_()
    loss_of(module, given, probes.tokens(seed)).backward()
    return {"the gradient of the logits": "none" if given.grad is None else given.grad}


def large_logits(module: ModuleType, seed: int) -> Observation:
    """Logits in the thousands, whose exponentials no float holds."""
    given = logits(seed, "large", size=2000.0).float()
    return {
        "the loss for logits in the thousands": module.next_token_loss(given, probes.tokens(seed))
    }


def chance(module: ModuleType, seed: int) -> Observation:
    """Equal logits know nothing: the loss is ln d_vocab. Sure and right, it is nearly 0."""
    targets, d_vocab = probes.tokens(seed, "chance"), probes.SIZES["d_vocab"]
    following = torch.nn.functional.one_hot(targets.roll(-1, dims=1), d_vocab).double()
    known = f"the loss of equal logits (ln d_vocab is {math.log(d_vocab):.4f})"
    return {
        known: loss_of(module, torch.zeros_like(following), targets),
        "the loss of logits that are sure of the next token": loss_of(
            module, 30 * following, targets
        ),
    }


def untouched(module: ModuleType, seed: int) -> Observation:
    given, targets = logits(seed, "untouched"), probes.tokens(seed)
    module.next_token_loss(given, targets)
    return {"the logits after the call": given, "the tokens after the call": targets}


def strided(module: ModuleType, seed: int) -> Observation:
    given = logits(seed, "strided").transpose(0, 1).contiguous().transpose(0, 1)
    targets = probes.tokens(seed, "strided", seq=12)
    turned = targets.t().contiguous().t()
    return {"the loss for logits stored seq first": loss_of(module, given, turned)}


CHECKS = (
    Check(PART, "It is called with logits and tokens, and gives one number", called, gate=True),
    Check(PART, "It scores every position against the token after it", values),
    Check(PART, "The logits get the right gradient", gradients, group="gradient"),
    Check(PART, "Knowing nothing costs ln d_vocab, and knowing all costs nothing", chance),
    Check(PART, "Logits in the thousands overflow nothing", large_logits),
    Check(PART, "Logits and tokens that are not contiguous give the same", strided),
    Check(PART, "Its inputs are left unchanged", untouched, group="inputs"),
)
