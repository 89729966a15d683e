"""Run a part in every case, and record traces.

Nothing is compared here, in the learner's file's process; the judge compares (`mistakes.lines`).
"""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims import claims_of
from gpt2_small.checker.claims.functions import generation_inputs, loss
from gpt2_small.checker.claims.judging import token_distribution
from gpt2_small.checker.claims.modules.transformer import UNTIED
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.subject import Subject
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.tracing.call_recorder import CallRecorder
from gpt2_small.checker.sandbox.tracing.function_effects import generating, scheduling
from gpt2_small.checker.sandbox.tracing.group_effects import grouping
from gpt2_small.checker.sandbox.tracing.line_watcher import watching_lines
from gpt2_small.checker.sandbox.tracing.schedule_cases import SCHEDULES
from gpt2_small.checker.sandbox.tracing.trace import Effect, Event, Trace
from gpt2_small.checker.sandbox.tracing.training_effects import stepping, training

__all__ = ["SAMPLING", "SCHEDULES", "cases_of", "record", "sampled"]

# An epsilon that differs from constants in code.
_CHANGES: dict[str, dict[str, Any]] = {"LayerNorm": {"layer_norm_eps": 0.001}}
# Settings in which both cuts and the temperature matter.
SAMPLING: dict[str, Any] = {"temperature": 1.7, "top_k": 4, "top_p": 0.85}
# The case in which a part is not recorded in float64; only what rounding spoils differs in it.
FLOAT32 = "float32"
# Operations that draw random numbers.
DRAWS = ("multinomial", "exponential_", "rand", "rand_like", "uniform_", "randn", "gumbel_softmax",
         "bernoulli", "sample")  # fmt: skip
# The case of sample at temperature 0.
GREEDY = "greedy"
# The case of sample without a generator.
NO_GENERATOR = "no generator"
UNUSED_GENERATOR = "a draw that leaves the given generator unused"
_LONG = probes.SIZES["n_ctx"] + 2


def draws_of(trace: Trace) -> list[Event]:
    """The events that draw random numbers."""
    return [event for event in trace.events if event.operation in DRAWS]


Record = Callable[[ModuleType, str, int], Trace]


def cases_of(part: str) -> tuple[str, ...]:
    """The names of a part's cases, the default case first."""
    if part not in PARTS:  # a lesson's
        return ("",)
    if part in _FUNCTIONS:
        return tuple(_FUNCTIONS[part])
    own = {"Transformer": ("untied", "too long"), "PositionalEmbedding": ("too long",)}
    return ("", *own.get(part, ()), "dropout", FLOAT32)


def record(module: ModuleType, part: str, seed: int, case: str = "") -> Trace:
    """Run and record a part of a module; if it raises, the record ends there.

    case: one of `cases_of`.
    """
    file = str(module.__file__)
    if part in _FUNCTIONS:
        return _FUNCTIONS[part][case](module, file, seed)
    return _module(module, file, part, seed, case)


def _module(module: ModuleType, file: str, part: str, seed: int, case: str) -> Trace:
    built = model_and_input(module, part, seed, case)
    if built is None:
        return Trace()
    model, given = built
    recorder = CallRecorder(file, [given, *model.parameters()])
    lines: list[int] = []
    try:
        with recorder.watching(model), watching_lines(file, lines=lines), recorder:
            recorder.ends_with(model(given))
    except Exception:
        pass
    recorder.trace.last_lines = lines[-_LAST:]
    return recorder.trace


_LAST = 12


def model_and_input(
    module: ModuleType, part: str, seed: int, case: str = ""
) -> tuple[nn.Module, Tensor] | None:
    """The recorded part of a module, and its input; None for functions."""
    subject = UNTIED if case == "untied" else _subject(part)
    if subject is None:
        return None
    changes = {"dropout": 0.3} if case == "dropout" else _CHANGES.get(part, {})
    model = subject.build(module, seed, **changes)
    return model if case == FLOAT32 else model.double(), _input(subject, seed, case)


def _subject(part: str) -> Subject | None:
    if part not in PARTS:  # a lesson's
        return None
    observe = getattr(claims_of(part)[0].observe, "args", ())
    return observe[0] if observe and isinstance(observe[0], Subject) else None


def _input(subject: Subject, seed: int, case: str) -> Tensor:
    """An input that requires gradients; for LayerNorm, with a row so small that epsilon matters."""
    length = {"seq": _LONG} if case == "too long" else {}
    dtype = torch.float32 if case == FLOAT32 else torch.float64
    given = subject.values(seed, "diagnosis", dtype, **length)
    if subject.name == "LayerNorm":
        given[1] *= 3e-4
    return given.requires_grad_().clone() if given.is_floating_point() else given


def _loss(module: ModuleType, file: str, seed: int, *, longer: int = 0, spread: float = 1) -> Trace:
    logits = loss.logits(seed, "diagnosis").double() * spread
    tokens = probes.tokens(seed, "diagnosis", seq=logits.shape[1] + longer)
    recorder = CallRecorder(file, [logits, tokens])
    lines: list[int] = []
    try:
        with watching_lines(file, lines=lines), recorder:
            recorder.ends_with(module.next_token_loss(logits, tokens))
    except Exception:
        pass
    recorder.trace.last_lines = lines[-_LAST:]
    return recorder.trace


def sampled(seed: int) -> Tensor:
    """The recorded sample's logits, with more rows than tokens [24 d_vocab].

    The last row is neither the least nor the greatest.
    """
    return token_distribution.cases(seed).double().repeat(8, 1).roll(-1, dims=0)


def _sample(module: ModuleType, file: str, seed: int, *, settings: dict[str, Any]) -> Trace:
    logits = sampled(seed)
    recorder = CallRecorder(file, [logits])
    settings = {"generator": probes.draws(seed, "diagnosis"), **settings}
    effects, generator = recorder.trace.effects, settings["generator"]
    lines: list[int] = []
    before = None if generator is None else generator.get_state()
    try:
        with watching_lines(file, effects, given=generator, lines=lines), recorder:
            recorder.ends_with(module.sample(logits, **settings))
    except Exception:
        pass
    recorder.trace.last_lines = lines[-_LAST:]
    if before is not None and torch.equal(before, generator.get_state()):
        effects += [Effect(event.line, UNUSED_GENERATOR) for event in draws_of(recorder.trace)]
    return recorder.trace


def _generate(module: ModuleType, file: str, seed: int) -> Trace:
    model = generation_inputs.model_of(module, seed).double()
    tokens = generation_inputs.prompt(seed, generation_inputs.N_CTX - 1)
    recorder = CallRecorder(file, [tokens])
    whole = nn.ModuleList([model])
    try:
        with recorder.watching(whole), recorder:
            recorder.ends_with(module.generate(model, tokens, 3, temperature=0.0))
    except Exception:
        pass
    return recorder.trace


_FUNCTIONS: dict[str, dict[str, Record]] = {
    "next_token_loss": {
        "": _loss,
        "one token more": partial(_loss, longer=1),
        "sure logits": partial(_loss, spread=30.0),
    },
    "sample": {
        "": partial(_sample, settings=SAMPLING),
        GREEDY: partial(_sample, settings={"temperature": 0.0}),
        NO_GENERATOR: partial(_sample, settings={"generator": None}),
    },
    "generate": {"": _generate, "options": generating},
    "learning_rate": {"": scheduling},
    "parameter_groups": {"": grouping},
    "train_step": {
        "": stepping,
        "infinite loss": partial(stepping, fault="loss"),
        "infinite gradient": partial(stepping, fault="gradient"),
    },
    "train": {"": training},
}
