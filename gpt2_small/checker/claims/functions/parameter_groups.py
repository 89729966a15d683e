"""State the claims about parameter_groups: each parameter once, decay for matrices only."""

from collections import Counter
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import torch
from torch import nn

from gpt2_small.checker.claims import OPTIMISERS, Claim
from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.modules.transformer import TIED, UNTIED
from gpt2_small.checker.claims.observing.observation import Entry, Observation

PART = "parameter_groups"


def models(module: ModuleType, seed: int) -> dict[str, nn.Module]:
    """The reference's Transformer, tied and untied.

    The tied one's W_pos is smaller than its b_in, so size does not distinguish matrices.
    """
    return {"a tied": TIED.build(module, seed, n_ctx=1), "an untied": UNTIED.build(module, seed)}


def groups(module: ModuleType, model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The groups, with their parameters as lists. Raises Failure for another type."""
    found = module.parameter_groups(model, weight_decay=weight_decay)
    found = list(found) if isinstance(found, Iterator) else found
    if problem := _problem(found):
        raise Failure(
            "it should return a list of dictionaries with 'params' and 'weight_decay'; "
            f"it returns {problem}"
        )
    try:
        listed = [{**group, "params": list(group["params"])} for group in found]
    except TypeError as error:
        raise Failure("'params' of each group should be a list of parameters") from error
    others = [p for group in listed for p in group["params"] if not isinstance(p, torch.Tensor)]
    if others:
        raise Failure(
            "'params' should hold the model's parameters themselves; "
            f"it holds a {type(others[0]).__name__}"
        )
    return listed


def _problem(found: object) -> str:
    """The first reason why these are no groups; empty if they are."""
    if not isinstance(found, (list, tuple)):
        return _with_article(type(found).__name__)
    for group in found:
        if not isinstance(group, Mapping):
            return f"a {type(found).__name__} that holds a {type(group).__name__}"
        if "params" not in group:
            keys = " and ".join(repr(key) for key in group) or "nothing"
            return f"a dictionary with {keys}"
    return ""


def _with_article(word: str) -> str:
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def called(module: ModuleType, seed: int) -> Observation:
    groups(module, TIED.build(module, seed), 0.1)
    return {"groups": "given"}


def each_once(module: ModuleType, seed: int) -> Observation:
    """The number of groups that contain each parameter."""
    seen: dict[str, Entry] = {}
    for kind, model in models(module, seed).items():
        times = Counter(id(p) for group in groups(module, model, 0.1) for p in group["params"])
        own = {id(parameter): name for name, parameter in model.named_parameters()}
        for identity, name in own.items():
            seen[f"the times that {name} of {kind} model is in a group"] = str(times[identity])
        strangers = sum(count for identity, count in times.items() if identity not in own)
        seen[f"the parameters in the groups that {kind} model does not have"] = str(strangers)
    return seen


def decays(module: ModuleType, seed: int) -> Observation:
    """The weight decay of every parameter, as text."""
    seen: dict[str, Entry] = {}
    for kind, model in models(module, seed).items():
        decay = {
            id(parameter): group.get("weight_decay", "not given")
            for group in groups(module, model, 0.3)
            for parameter in group["params"]
        }
        for name, parameter in model.named_parameters():
            size = list(parameter.shape)
            label = f"the weight decay of {name} {size} of {kind} model"
            value = decay.get(id(parameter), "not given")
            seen[label] = f"{value:g}" if isinstance(value, (int, float)) else str(value)
    return seen


def usable(module: ModuleType, seed: int) -> Observation:
    """Whether AdamW accepts the groups, and a step with zero gradients shrinks decayed weights.

    As `train` does, it sets the learning rate of every group, which may have one of its own.
    """
    model = TIED.build(module, seed).double()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(module.parameter_groups(model, weight_decay=0.5))
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return {
        f"{name} after a step of pure decay": p.detach() - before[name]
        for name, p in model.named_parameters()
    }


CLAIMS = (
    Claim(PART, "it returns groups for a model", called, gate=True),
    Claim(PART, "every parameter is in exactly one group", each_once),
    Claim(PART, "weight decay on matrices, none on gains and biases", decays),
    Claim(PART, "a step of AdamW decays the matrices alone", usable, imports=OPTIMISERS),
)
