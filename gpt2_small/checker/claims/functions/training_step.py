"""State the claims about train_step: accumulation, clipping, updates, two processes, refusals."""

import inspect
from functools import partial
from numbers import Real
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims import OPTIMISERS, Claim
from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.modules.transformer import TIED
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.bias_loss import final_bias, final_bias_of
from gpt2_small.checker.claims.observing.gradient_exchanges import CountingParallel
from gpt2_small.checker.claims.observing.observation import Entry, Observation
from gpt2_small.checker.claims.observing.refusals import ending
from gpt2_small.checker.claims.observing.two_processes import step_in_two_processes

PART = "train_step"
NO_CLIPPING = 1e9
_RATE = 0.3


def fresh_model(module: ModuleType, seed: int) -> nn.Module:
    """The reference's Transformer in float64, with one block."""
    return TIED.build(module, seed, n_layers=1).double().train()


def windows(seed: int, *sizes: tuple[int, int]) -> list[Tensor]:
    """Micro-batches [batch seq + 1] of these sizes."""
    return [
        probes.tokens(seed, f"window {number}", batch=batch, seq=seq)
        for number, (batch, seq) in enumerate(sizes)
    ]


def descent(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=_RATE)


def facts(result: Any) -> dict[str, Entry]:
    """The fields of a StepResult as numbers. Raises Failure if one is missing."""
    seen: dict[str, Entry] = {}
    for name in ("loss", "grad_norm", "tokens"):
        if not hasattr(result, name):
            raise Failure(
                f"train_step returns {probes.text(result)}, which has no field {name}; "
                "return a StepResult"
            )
        value = getattr(result, name)
        if not isinstance(value, Real):  # NumPy's numbers too
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
    max_grad_norm: float = NO_CLIPPING,
) -> Observation:
    """The result and the weights of a step on micro-batches of these sizes."""
    model = fresh_model(module, seed)
    optimizer = descent(model)
    result = module.train_step(model, windows(seed, *sizes), optimizer, max_grad_norm=max_grad_norm)
    return {**facts(result), **weights(model, "after the step")}


def called(module: ModuleType, seed: int) -> Observation:
    model = fresh_model(module, seed)
    facts(module.train_step(model, windows(seed, (2, 7)), descent(model)))
    return {"a step": "done"}


def one_batch(module: ModuleType, seed: int) -> Observation:
    return step(module, seed, (3, 9))


def full_window(module: ModuleType, seed: int) -> Observation:
    """A step on windows of n_ctx + 1 tokens."""
    return step(module, seed, (2, probes.SIZES["n_ctx"] + 1))


def accumulation(module: ModuleType, seed: int) -> Observation:
    """A step on micro-batches of equal size."""
    return step(module, seed, (2, 9), (2, 9), (2, 9))


def unequal(module: ModuleType, seed: int) -> Observation:
    """A step on micro-batches of different numbers of targets, which all have equal weight."""
    return step(module, seed, (1, 5), (4, 11))


def clipping(module: ModuleType, seed: int) -> Observation:
    """Steps with a norm limit far below the gradient's, and with the default of 1."""
    model = fresh_model(module, seed)
    result = module.train_step(model, windows(seed, (2, 9), (3, 6)), descent(model))
    default = {f"{name} (default clipping)": entry for name, entry in facts(result).items()}
    default |= weights(model, "after a step with the default clipping")
    return {**step(module, seed, (2, 9), (3, 6), max_grad_norm=0.05), **default}


def old_gradients(module: ModuleType, seed: int) -> Observation:
    """A step with gradients left from before, and a second step."""
    model = fresh_model(module, seed)
    for name, parameter in model.named_parameters():
        parameter.grad = torch.randn(
            parameter.shape, generator=probes.draws(seed, f"old {name}"), dtype=torch.float64
        )
    optimizer, seen = descent(model), {}
    for number, batches in enumerate([windows(seed, (2, 9)), windows(seed + 1, (2, 8), (1, 8))]):
        module.train_step(model, batches, optimizer, max_grad_norm=NO_CLIPPING)
        seen.update(weights(model, f"after step {number + 1}"))
    return seen


class CountingDescent(torch.optim.SGD):
    """Gradient descent that counts its steps."""

    steps = 0

    def step(self, closure: Any = None) -> Any:
        self.steps += 1
        return super().step(closure)


def one_update(module: ModuleType, seed: int) -> Observation:
    model = fresh_model(module, seed)
    optimizer = CountingDescent(model.parameters(), lr=_RATE)
    module.train_step(model, windows(seed, (2, 9), (2, 9), (2, 9)), optimizer)
    return {"the number of updates for three micro-batches": str(optimizer.steps)}


def with_adamw(module: ModuleType, seed: int) -> Observation:
    """Three steps of AdamW with the reference's groups."""
    model = fresh_model(module, seed)
    groups = module.parameter_groups(model, weight_decay=0.5)
    # A small epsilon would magnify rounding where gradients of micro-batches cancel.
    optimizer = torch.optim.AdamW(groups, lr=0.05, eps=1e-3, foreach=False)
    for number in range(3):
        module.train_step(model, windows(seed + number, (2, 9), (2, 6)), optimizer)
    return weights(model, "after three steps of AdamW")


def untouched(module: ModuleType, seed: int) -> Observation:
    model, batches = fresh_model(module, seed), windows(seed, (2, 9), (3, 5))
    given = list(batches)
    module.train_step(model, given, descent(model))
    seen: dict[str, Entry] = {"the number of micro-batches after the step": str(len(given))}
    return seen | {f"micro-batch {i} after the step": batch for i, batch in enumerate(batches)}


def in_training_mode(module: ModuleType, seed: int) -> Observation:
    """The mode in which a model in training mode reads the micro-batches, and its mode after."""
    model, heard = fresh_model(module, seed), list[bool]()
    model.register_forward_hook(lambda m, _i, _o: heard.append(m.training))
    module.train_step(model, windows(seed, (2, 9), (3, 5)), descent(model))
    after = all(each.training for each in model.modules())
    return {
        "the mode in which a model in training mode reads its micro-batches": _mode(all(heard)),
        "the mode after a step of a model in training mode": _mode(after),
    }


def _mode(training: bool) -> str:
    return "training" if training else "evaluation"


def not_finite(module: ModuleType, seed: int) -> Observation:
    """Steps with an infinite loss, and with an infinite gradient of a finite loss."""
    seen: dict[str, Entry] = {}
    for what in ("loss", "gradient"):
        model = fresh_model(module, seed)
        bias = final_bias_of(model)
        if what == "loss":
            bias.data[0] = torch.inf
        else:
            bias.register_hook(lambda gradient: gradient * torch.inf)
        optimizer, batches = descent(model), windows(seed, (2, 9))
        seen[f"a step whose {what} is not finite"] = ending(
            partial(module.train_step, model, batches, optimizer), FloatingPointError
        )
        seen |= weights(model, f"after a step whose {what} is not finite")
    return seen


def refusals(module: ModuleType, seed: int) -> Observation:
    model = fresh_model(module, seed)

    def go(batches: list[Tensor], norm: float) -> Any:
        return module.train_step(model, batches, descent(model), max_grad_norm=norm)

    return {
        "a step without a micro-batch": ending(lambda: go([], 1.0)),
        "a step with max_grad_norm=0.0": ending(lambda: go(windows(seed, (2, 9)), 0.0)),
        "a step with max_grad_norm=-1.0": ending(lambda: go(windows(seed, (2, 9)), -1.0)),
    }


TAKES, _MOVED = "a loss given as loss=", "the decrease of ln_final.b by the step"


def takes_a_loss(function: Any) -> bool:
    """Whether a function accepts loss=."""
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == "loss" or p.kind is p.VAR_KEYWORD for p in parameters)


def model_with_bias(module: ModuleType, seed: int) -> tuple[nn.Module, Tensor]:
    """A fresh model, and the bias of `final_bias`, filled with 0.25."""
    model = fresh_model(module, seed)
    bias = final_bias_of(model)
    with torch.no_grad():
        bias.fill_(0.25)
    return model, bias


def own_loss(module: ModuleType, seed: int) -> Observation:
    """A step with `loss=`, which a file may lack."""
    if not takes_a_loss(module.train_step):
        return {TAKES: "not taken"}
    model, bias = model_with_bias(module, seed)
    module.train_step(
        model,
        windows(seed, (2, 9), (1, 5)),
        descent(model),
        max_grad_norm=NO_CLIPPING,
        loss=final_bias,
    )
    return {_MOVED: 0.25 - bias.detach()}


def if_taken(seen: Observation) -> Observation:
    return used_as_given(ModuleType("none"), 0) if seen == {TAKES: "not taken"} else seen


def used_as_given(_reference: ModuleType, _seed: int) -> Observation:
    return {_MOVED: torch.full((probes.SIZES["d_model"],), _RATE, dtype=torch.float64)}


def two_processes(module: ModuleType, seed: int) -> Observation:
    """The weights after a step in two processes, each with half of two micro-batches' rows."""
    batches = windows(seed, (4, 9), (4, 9))
    return step_in_two_processes(module.train_step, fresh_model(module, seed), batches, _RATE)


def exchanges(module: ModuleType, seed: int) -> Observation:
    """How often a distributed model would exchange gradients in a step of three micro-batches."""
    model = CountingParallel(fresh_model(module, seed))
    module.train_step(model, windows(seed, (2, 9), (2, 9), (2, 9)), descent(model))
    number = "at most 1" if model.exchanges <= 1 else str(model.exchanges)
    return {"the number of gradient exchanges in a step of three micro-batches": number}


def one_process(reference: ModuleType, seed: int) -> Observation:
    """The weights after the same step in one process."""
    model, batches = fresh_model(reference, seed), windows(seed, (4, 9), (4, 9))
    reference.train_step(model, batches, descent(model), max_grad_norm=1.0)
    return weights(model, "after the step")


_claim = partial(Claim, PART, imports=OPTIMISERS)

CLAIMS = (
    _claim("it returns loss, grad_norm and tokens", called, gate=True),
    _claim("correct step on one micro-batch", one_batch),
    _claim("windows of n_ctx + 1 tokens train every position", full_window),
    _claim("several micro-batches equal one large batch", accumulation),
    _claim("every target counts the same across micro-batches", unequal),
    _claim("the gradient is clipped to a global norm of max_grad_norm", clipping),
    _claim("old gradients are cleared", old_gradients),
    _claim("one update for all micro-batches", one_update),
    _claim("correct steps with AdamW", with_adamw),
    _claim("loss= replaces the next-token loss", own_loss,
          summary=if_taken, expect=used_as_given, optional=True),
    _claim("the inputs are not modified in place", untouched, group="inputs"),
    _claim("it leaves training mode on", in_training_mode, group="dropout"),
    _claim("FloatingPointError before the update for a loss or gradient that is not finite",
          not_finite, group="refusals"),
    _claim("ValueError for no micro-batches and an invalid max_grad_norm", refusals,
          group="refusals"),
    _claim("two processes make the same step as one", two_processes, expect=one_process,
          seconds=20.0),
    _claim("a distributed model exchanges gradients once a step", exchanges, required=False),
)  # fmt: skip
