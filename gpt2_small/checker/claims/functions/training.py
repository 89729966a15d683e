"""State the claims about train: records, schedule, order, and learning with all parts."""

import contextlib
import io
import math
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims import OPTIMISERS, Claim
from gpt2_small.checker.claims.functions.training_step import (
    NO_CLIPPING,
    TAKES,
    descent,
    fresh_model,
    model_with_bias,
    takes_a_loss,
    weights,
    windows,
)
from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.bias_loss import final_bias
from gpt2_small.checker.claims.observing.observation import Entry, Estimate, Observation
from gpt2_small.checker.claims.observing.refusals import ending
from gpt2_small.checker.parts import PARTS

PART = "train"
_FIELDS = ("step", "loss", "grad_norm", "learning_rate", "tokens")


def rate_of(step: int) -> float:
    return 0.2 / (step + 1)


def plan(seed: int) -> list[list[Tensor]]:
    """The micro-batches of four steps."""
    sizes = [[(2, 9), (2, 9)], [(3, 7)], [(1, 11), (2, 5)], [(2, 8)]]
    return [windows(seed + step, *micro) for step, micro in enumerate(sizes)]


def run(module: ModuleType, seed: int, model: nn.Module, **options: Any) -> list[Any]:
    steps = module.train(model, plan(seed), descent(model), **{"schedule": rate_of, **options})
    try:
        return list(steps)
    except TypeError as error:
        if isinstance(steps, Iterator):
            raise
        raise Failure(f"train returns {probes.text(steps)}, which gives no records") from error


def fields(records: list[Any], name: str) -> Tensor:
    """One field of all records."""
    found = []
    for record in records:
        if not hasattr(record, name):
            raise Failure(
                f"a record is {probes.text(record)}, which has no field {name}; yield a TrainRecord"
            )
        value = getattr(record, name)
        found.append(value.item() if isinstance(value, Tensor) else value)
    kind = torch.int64 if name in ("step", "tokens") else torch.float32
    return torch.tensor(found, dtype=kind)


def called(module: ModuleType, seed: int) -> Observation:
    return {
        "the number of records for four steps": str(
            len(run(module, seed, fresh_model(module, seed)))
        )
    }


def records(module: ModuleType, seed: int) -> Observation:
    found = run(module, seed, fresh_model(module, seed))
    return {f"{name} in the records": fields(found, name) for name in _FIELDS}


def training(module: ModuleType, seed: int) -> Observation:
    """The final weights, with the default clipping and a tight one."""
    seen: dict[str, Entry] = {}
    for name, options in [("", {}), (" with max_grad_norm=0.05", {"max_grad_norm": 0.05})]:
        model = fresh_model(module, seed)
        run(module, seed, model, **options)
        seen |= weights(model, f"after four steps{name}")
    return seen


def schedule(module: ModuleType, seed: int) -> Observation:
    """The steps passed to the schedule, and the rates of all groups at each update; one is 0.

    Asking for later steps too changes no rate: torch's LambdaLR asks one step ahead.
    """
    steps, asked = plan(seed), set()
    model = fresh_model(module, seed)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.SGD([{"params": matrices, "lr": 9.0}, {"params": vectors, "lr": 4.0}])
    used: list[list[float]] = []
    optimizer.register_step_pre_hook(
        lambda o, *_: used.append([float(group["lr"]) for group in o.param_groups])
    )

    def asking(step: int) -> float:
        asked.add(step)
        return 0.0 if step == 2 else rate_of(step)

    list(module.train(model, steps, optimizer, schedule=asking))
    return {
        "the steps given to the schedule": str(sorted(step for step in asked if step < len(steps))),
        "the learning rate of both groups at each update": torch.tensor(used, dtype=torch.float64),
    }


def lazily(module: ModuleType, seed: int) -> Observation:
    """The numbers of steps read and done when the second record is yielded."""
    taken: list[int] = []
    made: list[int] = []

    def giving() -> Iterator[list[Tensor]]:
        for number, batches in enumerate(plan(seed)):
            taken.append(number)
            yield batches

    model = fresh_model(module, seed)
    optimizer = descent(model)
    optimizer.register_step_post_hook(lambda *_: made.append(1))
    iterator = iter(module.train(model, giving(), optimizer, schedule=rate_of))
    next(iterator), next(iterator)
    return {
        "the steps taken from the iterable when the second record is yielded": str(len(taken)),
        "the updates made when the second record is yielded": str(len(made)),
    }


def in_training_mode(module: ModuleType, seed: int) -> Observation:
    """The model's mode in every step, also if the caller changes it in between."""
    model = fresh_model(module, seed).eval()
    heard: list[bool] = []
    model.register_forward_hook(lambda m, _i, _o: heard.append(m.training))
    for _ in module.train(model, plan(seed), descent(model), schedule=rate_of):
        model.eval()
    return {"the number of micro-batches run in training mode": f"{sum(heard)} of {len(heard)}"}


def silently(module: ModuleType, seed: int) -> Observation:
    heard = io.StringIO()
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
        run(module, seed, fresh_model(module, seed))
    return {"what train prints": "something" if heard.getvalue() else "nothing"}


def not_finite(module: ModuleType, seed: int) -> Observation:
    """Training whose loss is not finite: train_step's error should reach the caller."""
    model, bias = model_with_bias(module, seed)
    bias.data[0] = torch.inf
    ends = ending(lambda: run(module, seed, model), FloatingPointError)
    return {"a training whose loss is not finite": ends}


_NOISE = "the late losses on random tokens"
_BELOW = "the gap between the entropy of random tokens and the loss"
_MOVED = "what training subtracts from ln_final.b"
_LEARNING = {"d_model": 16, "n_heads": 2, "d_head": 8, "d_mlp": 32, "d_vocab": 8, "n_layers": 1}
_STEPS = 40


def losses(module: ModuleType, seed: int, draw: Any) -> list[float]:
    """The losses of a small model, trained with all parts of the file."""
    torch.default_generator.manual_seed(seed)
    model = module.Transformer(module.TransformerConfig(**_LEARNING, n_ctx=16, init_std=0.1))
    optimizer = torch.optim.AdamW(
        module.parameter_groups(model, weight_decay=0.01), lr=1.0, foreach=False
    )

    def schedule(step: int) -> float:
        return float(module.learning_rate(step, peak=0.02, warmup_steps=5, total_steps=_STEPS))

    steps = ([draw(step)] for step in range(_STEPS))
    return [float(r.loss) for r in module.train(model, steps, optimizer, schedule=schedule)]


def learns(module: ModuleType, seed: int) -> Observation:
    """The losses on sequences that count up from a random start, near 0 after 40 steps."""

    def counting(step: int) -> Tensor:
        starts = torch.randint(0, 8, (12, 1), generator=probes.draws(seed, f"count {step}"))
        return (starts + torch.arange(17)) % 8

    last = sum(losses(module, seed, counting)[-5:]) / 5
    low = "below 0.3" if last < 0.3 else f"{last:.3f}"
    return {"the loss after 40 steps of learning to count to 8 (at first 2.1)": low}


def cannot_beat_chance(module: ModuleType, seed: int) -> Observation:
    """The losses on random tokens; one below ln 8 means that targets leak into the input."""

    def noise(step: int) -> Tensor:
        return torch.randint(0, 8, (32, 17), generator=probes.draws(seed, f"noise {step}"))

    return {_NOISE: torch.tensor(losses(module, seed, noise)[-15:])}


def below_entropy(seen: Observation) -> Observation:
    late = seen[_NOISE]
    assert isinstance(late, Tensor)
    error = 0.1 / math.sqrt(15 * 32 * 16)
    below = min(0.0, late.double().mean().item() - math.log(8))
    return {_BELOW: Estimate(below, error)}


def nothing_below(_reference: ModuleType, _seed: int) -> Observation:
    return {_BELOW: Estimate(0.0)}


def own_loss(module: ModuleType, seed: int) -> Observation:
    """Training with `loss=`, which a file may lack."""
    if not takes_a_loss(module.train):
        return {TAKES: "not taken"}
    model, bias = model_with_bias(module, seed)
    steps = module.train(
        model,
        plan(seed),
        descent(model),
        schedule=rate_of,
        max_grad_norm=NO_CLIPPING,
        loss=final_bias,
    )
    list(steps)
    return {_MOVED: 0.25 - bias.detach()}


def if_taken(seen: Observation) -> Observation:
    return used_as_given(ModuleType("none"), 0) if seen == {TAKES: "not taken"} else seen


def used_as_given(_reference: ModuleType, seed: int) -> Observation:
    total = sum(rate_of(step) for step in range(len(plan(seed))))
    return {_MOVED: torch.full((probes.SIZES["d_model"],), total, dtype=torch.float64)}


_claim = partial(Claim, PART, imports=OPTIMISERS)

CLAIMS = (
    _claim("it yields a record for each step", called, gate=True),
    _claim("records count from 1 and hold each step's results", records),
    _claim("correct weights after the steps", training),
    _claim("the schedule is called with each step, from 0, before its update", schedule),
    _claim("each record is yielded before the next step", lazily),
    _claim("every step runs in training mode", in_training_mode),
    _claim("it prints nothing", silently),
    _claim("train_step's FloatingPointError reaches the caller", not_finite, required=False,
          group="refusals"),
    _claim("loss= replaces the next-token loss", own_loss,
          summary=if_taken, expect=used_as_given, optional=True),
    _claim("all parts of the file together learn to count", learns, together=PARTS),
    _claim("all parts together cannot predict random tokens", cannot_beat_chance,
          summary=below_entropy, expect=nothing_below, together=PARTS),
)  # fmt: skip
