"""Observe the functions of the measuring lesson, and compute expected results independently."""

import math
from functools import partial
from types import ModuleType

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.probes import draws, text
from gpt2_small.checker.claims.observing.refusals import ending


def number(given: object, what: str) -> Tensor:
    """Return a number as float64. Raises Failure for anything else."""
    try:
        return torch.tensor(float(given), dtype=torch.float64)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise Failure(f"{what} gives {text(given)}, not a number") from None


SCHEDULE = {"peak": 0.8, "warmup_steps": 4, "decay_steps": 5, "total_steps": 14}

SCHEDULES = {
    "with a warm-up of 4 and a decay of 5": SCHEDULE,
    "without a warm-up": SCHEDULE | {"warmup_steps": 0},
    "without a decay": SCHEDULE | {"decay_steps": 0},
    "whose decay follows the warm-up": SCHEDULE | {"warmup_steps": 9},
}


def rates(module: ModuleType, _seed: int) -> Observation:
    return {
        f"the rates of 17 steps {name}": torch.stack(
            [number(module.trapezoid(step, **given), "trapezoid") for step in range(17)]
        )
        for name, given in SCHEDULES.items()
    }


def rates_by_torch(_reference: ModuleType, _seed: int) -> Observation:
    """Return the rates of torch's joined schedulers: linear up, constant, linear down."""
    from torch.optim.lr_scheduler import ConstantLR, LinearLR, SequentialLR

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    rising = LinearLR(optimizer, start_factor=1 / 4, end_factor=1.0, total_iters=3)
    level = ConstantLR(optimizer, factor=1.0, total_iters=0)
    falling = LinearLR(optimizer, start_factor=1.0, end_factor=1e-300, total_iters=5)
    schedule = SequentialLR(optimizer, [rising, level, falling], milestones=[4, 8])
    found = []
    for _ in range(17):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    rates = torch.tensor(found, dtype=torch.float64)
    return {"the rates of 17 steps with a warm-up of 4 and a decay of 5": rates}


def rate_refusals(module: ModuleType, _seed: int) -> Observation:
    given = SCHEDULE | {"warmup_steps": 10}
    return {"a warm-up of 10 and a decay of 5 in 14 steps": ending(
        partial(module.trapezoid, 0, **given))}  # fmt: skip


class Line(nn.Module):
    """A small model with two parameters."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = draws(seed, "line")
        self.weight = nn.Parameter(torch.randn(4, 4, generator=generator, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(4, generator=generator, dtype=torch.float64))

    def forward(self, tokens: Tensor) -> Tensor:
        return (self.weight[tokens] + self.bias).tanh()


def mean_of_rows(model: nn.Module, batch: Tensor) -> Tensor:
    """Return the mean loss over the rows."""
    return (model(batch[:, :-1]) - batch[:, 1:, None]).square().mean()


def micro_batches(seed: int) -> list[Tensor]:
    """Return micro-batches of 2, 5 and 1 rows."""
    rows = torch.randint(0, 4, (8, 6), generator=draws(seed, "rows"))
    return list(rows.split([2, 5, 1]))


def gradients(model: nn.Module) -> Observation:
    return {
        f"the gradient of the {name}": torch.zeros_like(each) if each.grad is None else each.grad
        for name, each in model.named_parameters()
    }


def accumulated(module: ModuleType, seed: int) -> Observation:
    model = Line(seed)
    made = module.accumulate(model, micro_batches(seed), mean_of_rows)
    return {"the loss it returns": number(made, "accumulate"), **gradients(model)}


def accumulated_at_once(_reference: ModuleType, seed: int) -> Observation:
    """Return the gradient of all rows in one batch."""
    model = Line(seed)
    loss = mean_of_rows(model, torch.cat(micro_batches(seed)))
    loss.backward()
    return {"the loss it returns": loss.detach(), **gradients(model)}


def accumulated_again(module: ModuleType, seed: int) -> Observation:
    """Accumulate while gradients of an earlier step still exist."""
    model = Line(seed)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    module.accumulate(model, micro_batches(seed), mean_of_rows)
    return {f"{name} after an earlier step": each for name, each in gradients(model).items()}


def parameters_kept(module: ModuleType, seed: int) -> Observation:
    model, before = Line(seed), Line(seed).state_dict()
    module.accumulate(model, micro_batches(seed), mean_of_rows)
    kept = all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    return {"the parameters afterwards": "as before" if kept else "changed"}


def accumulate_refusals(module: ModuleType, seed: int) -> Observation:
    return {"no micro-batch": ending(partial(module.accumulate, Line(seed), [], mean_of_rows))}


def results(seed: int, count: int) -> list[float]:
    drawn = torch.randn(count, generator=draws(seed, f"results {count}"), dtype=torch.float64)
    return (2.5 + 0.3 * drawn).tolist()


def bounds(given: object, count: int) -> Tensor:
    """Return two numbers. Raises Failure for anything else."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise Failure(f"interval gives {text(given)}, not two numbers")
    return torch.stack([number(each, f"an end of the interval of {count}") for each in given])


def intervals(module: ModuleType, seed: int) -> Observation:
    return {
        f"the interval of {count} values": bounds(module.interval(results(seed, count)), count)
        for count in (2, 3, 5, 10)
    }


def intervals_by_hand(_reference: ModuleType, seed: int) -> Observation:
    """Return intervals of 3 values, with Student's quantile for 2 degrees in closed form."""
    a, b, c = results(seed, 3)
    middle = (a + b + c) / 3
    variance = ((a - middle) ** 2 + (b - middle) ** 2 + (c - middle) ** 2) / 2
    share = 2 * 0.025
    quantile = round((1 - share) * math.sqrt(2 / (share * (2 - share))), 4)
    half = quantile * math.sqrt(variance / 3)
    ends = torch.tensor([middle - half, middle + half], dtype=torch.float64)
    return {"the interval of 3 values": ends}


def equal_values(module: ModuleType, _seed: int) -> Observation:
    return {"the interval of 4 equal values": bounds(module.interval([1.5] * 4), 4)}


def interval_refusals(module: ModuleType, _seed: int) -> Observation:
    return {"one value": ending(partial(module.interval, [2.0]))}


TEXT = "naïve café, 東京 🙂 and plain words"


def log_probs(seed: int, count: int, name: str = "log-probabilities") -> Tensor:
    drawn = torch.rand(count, generator=draws(seed, name), dtype=torch.float64)
    return -4 * drawn - 0.05


def bits(module: ModuleType, seed: int) -> Observation:
    found = {"a text with letters of several bytes": (log_probs(seed, 12), TEXT),
             "a plain text": (log_probs(seed, 3), "plain words")}  # fmt: skip
    return {
        f"the bits per byte of {name}": number(module.bits_per_byte(*given), "bits_per_byte")
        for name, given in found.items()
    }


def bits_of_the_harness(_reference: ModuleType, seed: int) -> Observation:
    """lm-evaluation-harness: -sum of log-likelihoods / sum of bytes / ln 2."""
    total, size = log_probs(seed, 12).sum().item(), len(TEXT.encode("utf-8"))
    value = -1 / math.log(2) * (total / size)
    name = "the bits per byte of a text with letters of several bytes"
    return {name: torch.tensor(value, dtype=torch.float64)}


def a_guess(module: ModuleType, _seed: int) -> Observation:
    """Score a uniform model of bytes, which needs 8 bits for each."""
    even = torch.full((4,), -math.log(256), dtype=torch.float64)
    return {"the bits per byte of a guess": number(module.bits_per_byte(even, "four"), "it")}


def bits_refusals(module: ModuleType, _seed: int) -> Observation:
    call = partial(module.bits_per_byte, torch.zeros(0), "")
    return {"an empty text": ending(call)}


def questions(seed: int) -> list[tuple[list[Tensor], list[str]]]:
    """Return endings whose lengths in tokens and in characters are uncorrelated."""
    generator = draws(seed, "questions")
    found = []
    for question in range(60):
        tokens = torch.randint(1, 7, (4,), generator=generator).tolist()
        letters = torch.randint(1, 30, (4,), generator=generator).tolist()
        given = [log_probs(seed, count, f"{question} {n}") for n, count in enumerate(tokens)]
        found.append((given, ["éx"[n % 2] * count for n, count in enumerate(letters)]))
    return found


def chosen(module: ModuleType, seed: int) -> Observation:
    return {
        f"the endings by {by} of 60 questions": torch.tensor(
            [int(module.best_ending(*question, by)) for question in questions(seed)]
        )
        for by in ("sum", "token", "character")
    }


def chosen_by_the_harness(_reference: ModuleType, seed: int) -> Observation:
    """Return the argmax of the sums, of the means, and of the sums over the endings' lengths."""
    rows: dict[str, list[int]] = {"sum": [], "token": [], "character": []}
    for given, endings in questions(seed):
        sums = torch.stack([each.sum() for each in given])
        lengths = torch.tensor([float(len(ending)) for ending in endings])
        rows["sum"].append(int(sums.argmax()))
        rows["token"].append(int(torch.stack([each.mean() for each in given]).argmax()))
        rows["character"].append(int((sums / lengths).argmax()))
    return {f"the endings by {by} of 60 questions": torch.tensor(row) for by, row in rows.items()}


def a_tie(module: ModuleType, _seed: int) -> Observation:
    equal = [torch.tensor([-1.0, -1.0])] * 3
    return {
        f"of equal ones by {by}": str(int(module.best_ending(equal, ["one", "two", "six"], by)))
        for by in ("sum", "token", "character")
    }


def choice_refusals(module: ModuleType, _seed: int) -> Observation:
    call = partial(module.best_ending, [torch.tensor([-1.0])] * 2, ["a", "b"], "bytes")
    return {"the definition 'bytes'": ending(call)}
