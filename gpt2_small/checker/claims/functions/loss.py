"""State the claims about next_token_loss: values, gradients, large logits, simple cases."""

import math
from functools import partial
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.refusals import ending

PART = "next_token_loss"
# At 3 rows of 11 tokens every token of the vocabulary is a target.
_SIZES = ((2, 11, 0), (3, 11, 0), (2, 11, 1), (1, 5, 1), (3, 2, 0), (3, 1, 1))
# The loss for a wrong token of probability near 1: the difference of the logits.
_SURE = 30.0


def logits(seed: int, name: str, *, batch: int = 2, seq: int = 11, size: float = 2.0) -> Tensor:
    """Random float32 logits [batch seq d_vocab] with different means."""
    generator = probes.draws(seed, name)
    shape = (batch, seq, probes.SIZES["d_vocab"])
    return (size * torch.randn(shape, generator=generator, dtype=torch.float64) + 0.7).float()


def loss_of(module: ModuleType, given: Tensor, targets: Tensor) -> Tensor:
    """The loss as float32; a float64 loss is correct too."""
    loss = probes.tensor(module.next_token_loss(given, targets), "the loss")
    return loss.float() if loss.is_floating_point() else loss


def called(module: ModuleType, seed: int) -> Observation:
    loss = module.next_token_loss(logits(seed, "call"), probes.tokens(seed))
    return {"the shape of the loss": str(list(probes.tensor(loss, "the loss").shape))}


def _cases(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Logits, with equally many tokens or one more."""
    found = {}
    for batch, seq, longer in _SIZES:
        given = logits(seed, f"{batch} x {seq}", batch=batch, seq=seq)
        targets = probes.tokens(seed, f"{batch} x {seq}", batch=batch, seq=seq + longer)
        name = f"the loss for logits at {seq} positions and {seq + longer} tokens"
        found[name if name not in found else f"{name}, {batch} rows"] = given, targets
    return found


def values(module: ModuleType, seed: int) -> Observation:
    """The loss for as many tokens as logits, and for one more."""
    return {name: loss_of(module, *case) for name, case in _cases(seed).items()}


def values_by_torch(_reference: ModuleType, seed: int) -> Observation:
    return {name: _by_torch(*case).float() for name, case in _cases(seed).items()}


def _by_torch(given: Tensor, tokens: Tensor) -> Tensor:
    """Torch's cross-entropy in float64."""
    predictions = given.double()[:, : tokens.shape[1] - 1].flatten(0, 1)
    return F.cross_entropy(predictions, tokens[:, 1:].flatten())


def shifted(module: ModuleType, seed: int) -> Observation:
    """The loss for logits shifted by a constant at each position."""
    given, targets = logits(seed, "shifted"), probes.tokens(seed, "shifted")
    return {
        f"the loss for logits moved by {shift:+g}": loss_of(module, given + shift, targets)
        for shift in (100.0, -100.0)
    }


def whole_vocabulary(module: ModuleType, seed: int) -> Observation:
    """The loss with token 50256, GPT-2's <|endoftext|>, as a target."""
    generator = probes.draws(seed, "whole vocabulary")
    given = torch.randn((1, 5, 50257), generator=generator)
    targets = torch.tensor([[3, 50256, 7, 50256, 50255]])
    return {"the loss for targets of which some are 50256": loss_of(module, given, targets)}


def gradients(module: ModuleType, seed: int) -> Observation:
    given = logits(seed, "gradients").requires_grad_()
    loss_of(module, given, probes.tokens(seed)).backward()
    return {"the gradient of the logits": "none" if given.grad is None else given.grad}


def gradients_by_torch(_reference: ModuleType, seed: int) -> Observation:
    given = logits(seed, "gradients").requires_grad_()
    _by_torch(given, probes.tokens(seed)).backward()
    assert given.grad is not None
    return {"the gradient of the logits": given.grad}


def large_logits(module: ModuleType, seed: int) -> Observation:
    """The loss for logits in the thousands, whose exponentials overflow."""
    given = logits(seed, "large", size=2000.0)
    return {"the loss for logits in the thousands": loss_of(module, given, probes.tokens(seed))}


_EQUAL = f"the loss of equal logits (ln d_vocab is {math.log(probes.SIZES['d_vocab']):.4f})"
_RIGHT = "the loss of logits that are sure of the next token"
_WRONG = "the loss of logits that are sure of a wrong token"


def chance(module: ModuleType, seed: int) -> Observation:
    targets, d_vocab = probes.tokens(seed, "chance"), probes.SIZES["d_vocab"]
    following = F.one_hot(targets.roll(-1, dims=1), d_vocab).float()
    return {
        _EQUAL: loss_of(module, torch.zeros_like(following), targets),
        _RIGHT: loss_of(module, _SURE * following, targets),
        _WRONG: loss_of(module, _SURE * following.roll(1, dims=-1), targets),
    }


def what_chance_costs(_reference: ModuleType, _seed: int) -> Observation:
    """ln d_vocab for equal logits, 0 for a certain right token, the difference for a wrong one."""
    costs = {_EQUAL: math.log(probes.SIZES["d_vocab"]), _RIGHT: 0.0, _WRONG: _SURE}
    return {name: torch.tensor(cost) for name, cost in costs.items()}


def untouched(module: ModuleType, seed: int) -> Observation:
    given, targets = logits(seed, "untouched"), probes.tokens(seed)
    module.next_token_loss(given, targets)
    return {"the logits after the call": given, "the tokens after the call": targets}


def strided(module: ModuleType, seed: int) -> Observation:
    given = logits(seed, "strided").transpose(0, 1).contiguous().transpose(0, 1)
    targets = probes.tokens(seed, "strided", seq=12)
    turned = targets.t().contiguous().t()
    return {"the loss for logits stored seq first": loss_of(module, given, turned)}


def refusals(module: ModuleType, _seed: int) -> Observation:
    """The errors for mismatched lengths and for no targets."""
    found = {}
    for batch, seq, seq_tokens in [(2, 5, 7), (2, 5, 4), (2, 5, 3), (2, 1, 1), (0, 4, 5)]:
        given = torch.zeros(batch, seq, probes.SIZES["d_vocab"])
        targets = torch.zeros(batch, seq_tokens, dtype=torch.int64)
        name = f"{batch} rows of logits at {_counted(seq, 'position')}"
        name += f" with {_counted(seq_tokens, 'token')}"
        found[name] = ending(partial(module.next_token_loss, given, targets))
    return found


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


CLAIMS = (
    Claim(PART, "it returns one number for logits and tokens", called, gate=True),
    Claim(PART, "every position is scored against the next token", values,
          also=(values_by_torch,)),
    Claim(PART, "correct gradient of the logits", gradients, also=(gradients_by_torch,),
          group="gradient"),
    Claim(PART, "uniform logits cost ln d_vocab, certain ones 0", chance,
          also=(what_chance_costs,)),
    Claim(PART, "adding a constant to all logits changes nothing", shifted),
    Claim(PART, "very large logits do not overflow", large_logits),
    Claim(PART, "token 50256 is not ignored", whole_vocabulary),
    Claim(PART, "same loss for non-contiguous logits and tokens", strided,
          group="inputs"),
    Claim(PART, "the inputs are not modified in place", untouched, group="inputs"),
    Claim(PART, "ValueError for mismatched lengths and for nothing to predict",
          refusals, group="refusals"),
)  # fmt: skip
