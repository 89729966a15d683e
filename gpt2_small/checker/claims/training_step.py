"""train_step: accumulation, clipping, old gradients, the update, and two processes."""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims import Check, probes
from gpt2_small.checker.claims.failure import Failure
from gpt2_small.checker.claims.observation import Entry, Observation
from gpt2_small.checker.claims.transformer import TIED
from gpt2_small.checker.claims.two_processes import step_in_two_processes
from gpt2_small.checker.mistakes.mistake import reference

PART = "train_step"
_NO_CLIPPING = 1e9
_RATE = 0.3


def fresh_model(seed: int) -> nn.Module:
    """The reference with random parameters, in float64, with one block."""
    return TIED.build(reference(), seed, n_layers=1).double().train()


def windows(seed: int, *sizes: tuple[int, int]) -> list[Tensor]:
    """Micro-batches [batch seq+1] of these sizes."""
    return [
        probes.tokens(seed, f"window {number}", batch=batch, seq=seq)
        for number, (batch, seq) in enumerate(sizes)
    ]


def descent(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=_RATE)


def facts(result: Any) -> dict[str, Entry]:
    """The fields of a StepResult, as numbers. Raises Failure when one is missing."""
    seen: dict[str, Entry] = {}
    for name in ("loss", "grad_norm", "tokens"):
        if not hasattr(result, name):
            raise Failure(f"train_step returns {probes.text(result)}, which has no {name}")
        value = getattr(result, name)
        if not isinstance(value, (int, float)):
            raise Failure(f"the {name} of the step is {probes.text(value)}, not a number")
        kind = torch.int64 if name == "tokens" else torch.float32
        seen[f"the {name} of the step"] = torch.tensor(value, dtype=kind)
    return seen


def weights(model: nn.Module, when: str) -> dict[str, Entry]:
    return {f"{name} {when}": p.detach().clone() for name, p in model.named_parameters()}


def step(
    module: ModuleType,
    seed: int,
    *sizes: tuple[int, int],
    max_grad_norm: float = _NO_CLIPPING,
) -> Observation:
    """What a step on micro-batches of these sizes tells and does."""
    model = fresh_model(seed)
    optimizer = descent(model)
    result = module.train_step(model, windows(seed, *sizes), optimizer, max_grad_norm=max_grad_norm)
    return {**facts(result), **weights(model, "after the step")}


def called(module: ModuleType, seed: int) -> Observation:
    model = fresh_model(seed)
    facts(module.train_step(model, windows(seed, (2, 7)), descent(model)))
    return {"a step": "done"}


def one_batch(module: ModuleType, seed: int) -> Observation:
    return step(module, seed, (3, 9))


def full_window(module: ModuleType, seed: int) -> Observation:
    """Windows are one token longer than what the model reads, which may be n_ctx."""
    return step(module, seed, (2, probes.SIZES["n_ctx"] + 1))


def accumulation(module: ModuleType, seed: int) -> Observation:
    """Micro-batches of equal size."""
    return step(module, seed, (2, 9), (2, 9), (2, 9))


def unequal(module: ModuleType, seed: int) -> Observation:
    """Micro-batches whose numbers of targets differ: every target counts the same."""
    return step(module, seed, (1, 5), (4, 11))


def clipping(module: ModuleType, seed: int) -> Observation:
    """A global norm far below the gradient's, and the default of 1."""
    model = fresh_model(seed)
    result = module.train_step(model, windows(seed, (2, 9), (3, 6)), descent(model))
    default = {f"{name} (clipping left as it is)": entry for name, entry in facts(result).items()}
    default |= weights(model, "after a step with the default clipping")
    return {**step(module, seed, (2, 9), (3, 6), max_grad_norm=0.05), **default}


def old_gradients(module: ModuleType, seed: int) -> Observation:
    """Gradients that lie around from before, and a second step after the first."""
    model = fresh_model(seed)
    for name, parameter in model.named_parameters():
        parameter.grad = torch.randn(
            parameter.shape, generator=probes.draws(seed, f"old {name}"), dtype=torch.float64
        )
    optimizer, seen = descent(model), {}
    for number, batches in enumerate([windows(seed, (2, 9)), windows(seed + 1, (2, 8), (1, 8))]):
        module.train_step(model, batches, optimizer, max_grad_norm=_NO_CLIPPING)
        seen.update(weights(model, f"after step {number + 1}"))
    return seen


class CountingDescent(torch.optim.SGD):
    """Counts its steps."""

    steps = 0

    def step(self, closure: Any = None) -> Any:
        self.steps += 1
        return super().step(closure)


def one_update(module: ModuleType, seed: int) -> Observation:
    model = fresh_model(seed)
    optimizer = CountingDescent(model.parameters(), lr=_RATE)
    module.train_step(model, windows(seed, (2, 9), (2, 9), (2, 9)), optimizer)
    return {"the number of updates for three micro-batches": str(optimizer.steps)}


def with_adamw(module: ModuleType, seed: int) -> Observation:
    """Three steps of AdamW with the reference's groups, whose decay is its own affair."""
    model = fresh_model(seed)
    groups = reference().parameter_groups(model, weight_decay=0.5)
    optimizer = torch.optim.AdamW(groups, lr=0.05, foreach=False)
    for number in range(3):
        module.train_step(model, windows(seed + number, (2, 9), (2, 6)), optimizer)
    return weights(model, "after three steps of AdamW")


def untouched(module: ModuleType, seed: int) -> Observation:
    model, batches = fresh_model(seed), windows(seed, (2, 9), (3, 5))
    given = list(batches)
    module.train_step(model, given, descent(model))
    seen: dict[str, Entry] = {"the number of micro-batches after the step": str(len(given))}
    return seen | {f"micro-batch {i} after the step": batch for i, batch in enumerate(batches)}


def not_finite(module: ModuleType, seed: int) -> Observation:
    """A loss that is not finite, and one that is while its gradient is not.

    A step that refuses neither is let be, as one that does not refuse other bad input is.
    """
    seen: dict[str, Entry] = {}
    outcomes = []
    for what in ("loss", "gradient"):
        model = fresh_model(seed)
        bias = dict(model.named_parameters())["ln_final.b"]
        if what == "loss":
            bias.data[0] = torch.inf
        else:
            bias.register_hook(lambda gradient: gradient * torch.inf)
        try:
            module.train_step(model, windows(seed, (2, 9)), descent(model))
            outcome = "goes on"
        except Exception:
            outcome = "raises an error"
        outcomes.append(outcome)
        seen[f"a step whose {what} is not finite"] = outcome
        seen |= weights(model, f"after a step whose {what} is not finite")
    return seen if "raises an error" in outcomes else not_finite(reference(), seed)


def two_processes(module: ModuleType, seed: int) -> Observation:
    """The weights after two processes each took half of the rows of two micro-batches."""
    batches = windows(seed, (4, 9), (4, 9))
    return step_in_two_processes(module.train_step, fresh_model(seed), batches, _RATE)


def one_process(_reference: ModuleType, seed: int) -> Observation:
    """The weights after one process took them all."""
    model, batches = fresh_model(seed), windows(seed, (4, 9), (4, 9))
    reference().train_step(model, batches, descent(model), max_grad_norm=1.0)
    return weights(model, "after the step")


CHECKS = (
    Check(PART, "It is called, and tells loss, grad_norm and tokens", called, gate=True),
    Check(PART, "A step on one micro-batch is right", one_batch),
    Check(PART, "Windows of n_ctx + 1 tokens train every position", full_window),
    Check(PART, "Several micro-batches give the step of one large batch", accumulation),
    Check(PART, "Every target counts the same, whatever micro-batch it is in", unequal),
    Check(PART, "The gradient is clipped to a global norm of max_grad_norm", clipping),
    Check(PART, "Old gradients are forgotten", old_gradients),
    Check(PART, "There is one update for all micro-batches", one_update),
    Check(PART, "AdamW goes the same way", with_adamw),
    Check(PART, "Its inputs are left unchanged", untouched, group="inputs"),
    Check(PART, "What is not finite is refused before the update, if it is refused", not_finite,
          group="refusals"),
    Check(PART, "A step of two processes is that of one", two_processes, expect=one_process,
          seconds=20.0),
)  # fmt: skip
