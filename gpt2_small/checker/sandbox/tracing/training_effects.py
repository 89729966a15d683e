"""Record the effects of train_step and train: gradients, updates, reads and calls."""

from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims.functions import training as claims
from gpt2_small.checker.claims.functions import training_step
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.bias_loss import final_bias_of
from gpt2_small.checker.sandbox.tracing.call_recorder import CallRecorder, line_in
from gpt2_small.checker.sandbox.tracing.line_watcher import watching_lines
from gpt2_small.checker.sandbox.tracing.trace import Effect, Trace

GRADIENT, WEIGHTS, READS, LEFT = "gradient", "weights", "reads", "micro-batches left"
TAKES, UPDATES = "takes a step from the iterable", "an update outside of train_step"
# Of each parameter group.
RATES = ("the learning rate of the step", "the second group's learning rate of the step")
_SIZES = ((1, 5), (4, 11), (2, 8))
_NORM = 0.05
_STEPS = 3


class ModelDigest:
    """Identifies a model's gradients and weights by a few numbers each."""

    def __init__(self, model: nn.Module, seed: int) -> None:
        self._parameters = list(model.parameters())
        generator = probes.draws(seed, "state")
        self._directions = [
            torch.randn((3, p.numel()), generator=generator, dtype=torch.float64)
            for p in self._parameters
        ]

    def gradient(self) -> tuple[float, ...]:
        return self._in_numbers([p.grad for p in self._parameters])

    def weights(self) -> tuple[float, ...]:
        return self._in_numbers([p.detach() for p in self._parameters])

    def _in_numbers(self, values: Sequence[Tensor | None]) -> tuple[float, ...]:
        total = torch.zeros(3, dtype=torch.float64)
        for value, directions in zip(values, self._directions, strict=True):
            if value is not None:
                total += directions @ value.detach().double().flatten()
        return tuple(total.tolist())


def stepping(module: ModuleType, file: str, seed: int, *, fault: str | None = None) -> Trace:
    """Record a step on three micro-batches of unequal sizes, with old gradients and a tight norm.

    fault: "loss" or "gradient", whichever is not finite.
    """
    model = training_step.fresh_model(module, seed)
    batches = training_step.windows(seed, *_SIZES)
    _leave_gradients(model, seed)
    _spoil(model, fault)
    state, given = ModelDigest(model, seed), list(batches)
    recorder = CallRecorder(file, [*batches, *model.parameters()])
    effects = recorder.trace.effects
    before = {GRADIENT: state.gradient(), WEIGHTS: state.weights(), LEFT: (float(len(given)),)}

    def look(line: int) -> None:
        with recorder.pausing():
            now = {GRADIENT: state.gradient(), WEIGHTS: state.weights()}
        for what, numbers in (now | {LEFT: (float(len(given)),)}).items():
            if str(numbers) != str(before[what]):
                effects.append(Effect(line, what, numbers))
                before[what] = numbers

    def note_reading(_model: nn.Module, read: tuple[Tensor, ...]) -> None:
        with recorder.pausing():
            found = [n for n, b in enumerate(batches) if torch.equal(b[:, :-1], read[0])]
        line = line_in(file, function="train_step") or 0
        effects.append(Effect(line, READS, (float(found[0] if found else -1),)))

    model.register_forward_pre_hook(note_reading)
    lines: list[int] = []
    try:
        with (
            recorder.watching(nn.ModuleList([model])),
            watching_lines(file, effects, lines=lines, after=look),
            recorder,
        ):
            optimizer = training_step.descent(model)
            optimizer.register_step_pre_hook(recorder.stop)
            optimizer.register_step_post_hook(recorder.go_on)
            result = module.train_step(model, given, optimizer, max_grad_norm=_NORM)
        for name in ("loss", "grad_norm", "tokens"):
            effects.append(Effect(lines[-1], f"the {name}", (float(getattr(result, name)),)))
    except Exception:
        pass
    recorder.trace.last_lines = lines
    return recorder.trace


def _leave_gradients(model: nn.Module, seed: int) -> None:
    generator = probes.draws(seed, "old gradients")
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.grad = noise


def _spoil(model: nn.Module, fault: str | None) -> None:
    bias = final_bias_of(model)
    if fault == "loss":
        bias.data[0] = torch.inf
    elif fault == "gradient":
        bias.register_hook(lambda gradient: gradient * torch.inf)


class _Group(dict[str, Any]):
    """A parameter group that records assignments of its rate."""

    file, effects = "", list[Effect]()

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        if key == "lr":
            self.effects.append(Effect(line_in(self.file, 2) or 0, "sets", (float(value),)))


def training(module: ModuleType, file: str, seed: int) -> Trace:
    """Record three steps of train, on a model in evaluation mode before each."""
    model = training_step.fresh_model(module, seed).eval()
    plan, trace = claims.plan(seed)[:_STEPS], Trace()
    first, *rest = model.parameters()
    optimizer = torch.optim.SGD([{"params": [first]}, {"params": rest}], lr=9.0)
    _watch_rates(optimizer, file, trace.effects)
    inside: list[bool] = []
    optimizer.register_step_post_hook(lambda *_: None if inside else note(UPDATES))
    taken: list[int] = []

    def note(what: str, *numbers: float) -> None:
        trace.effects.append(Effect(line_in(file, 2) or 0, what, numbers))

    def steps() -> Iterator[list[Tensor]]:
        for number, batches in enumerate(plan):
            taken.append(number)
            note(TAKES, float(number))
            yield batches

    def schedule(step: int) -> float:
        note("asks the schedule for step", float(step))
        return claims.rate_of(step)

    original, lines = module.train_step, list[int]()
    module.train_step = _noting(original, model, optimizer, plan, note, inside)  # type: ignore[attr-defined]
    try:
        with watching_lines(file, trace.effects, lines=lines):
            options: dict[str, Any] = {"schedule": schedule, "max_grad_norm": _NORM}
            for number, record in enumerate(module.train(model, steps(), optimizer, **options)):
                given = Effect(
                    lines[-1], "steps done when a record is yielded", (float(len(taken)),)
                )
                trace.effects.append(given)
                for name in ("step", "loss", "grad_norm", "learning_rate", "tokens"):
                    value = float(getattr(record, name))
                    trace.effects.append(Effect(lines[-1], f"the {name} of a record", (value,)))
                model.eval()
                assert number < _STEPS
    except Exception:
        pass
    finally:
        module.train_step = original  # type: ignore[attr-defined]
    return trace


def _noting(
    original: Callable[..., Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    plan: Sequence[Sequence[Tensor]],
    note: Callable[..., None],
    inside: list[bool],
) -> Callable[..., Any]:
    """train_step, which notes what it is given.

    inside: is not empty while it runs.
    """

    def step(used: nn.Module, batches: Any, own: Any, **options: Any) -> Any:
        same = [n for n, b in enumerate(plan) if _holds_the_same(batches, b)]
        note("the step passed to train_step", float(same[0] if same else -1))
        note("the micro-batches passed to train_step", float(len(batches)))
        note("max_grad_norm of train_step", float(options.get("max_grad_norm", 1.0)))
        note("training mode during the step", float(model.training))
        for what, group in zip(RATES, optimizer.param_groups, strict=True):
            note(what, float(group["lr"]))
        inside.append(True)
        try:
            return original(used, batches, own, **options)
        finally:
            inside.pop()

    return step


def _watch_rates(optimizer: torch.optim.Optimizer, file: str, effects: list[Effect]) -> None:
    kind = type("Group", (_Group,), {"file": file, "effects": effects})
    optimizer.param_groups[:] = [kind(group) for group in optimizer.param_groups]


def _holds_the_same(given: Any, wanted: Sequence[Tensor]) -> bool:
    return len(given) == len(wanted) and all(
        a is b or torch.equal(a, b) for a, b in zip(given, wanted, strict=True)
    )
