"""Record the effects of generate and learning_rate with their lines."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims.functions import generation_inputs
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.token_models import fixed
from gpt2_small.checker.sandbox.tracing.call_recorder import CallRecorder, line_in
from gpt2_small.checker.sandbox.tracing.line_watcher import NAMED, watching_lines
from gpt2_small.checker.sandbox.tracing.schedule_cases import SCHEDULES, steps_of
from gpt2_small.checker.sandbox.tracing.trace import NOT_GIVEN, OF_SAMPLE, Effect, Event, Trace

ADDED = "new tokens"
# The same, where every draw gives the same token.
ADDED_EQUAL = "new equal tokens"
_OPTIONS: dict[str, Any] = {"temperature": 1.3, "top_k": 5, "top_p": 0.9}
_NEW = 5
_READS = "training mode while it reads"
_LOGITS = "the logits passed to sample"


def generating(module: ModuleType, file: str, seed: int) -> Trace:
    """Generate five tokens beyond n_ctx with every option, and others from a constant draw."""
    trace = Trace()
    generator = probes.draws(seed, "options")
    model = generation_inputs.model_of(module, seed).double().train()
    prompt = generation_inputs.prompt(seed, generation_inputs.N_CTX - 2)
    recorder, known = CallRecorder(file, [prompt]), _Known(prompt)

    def note(what: str, *numbers: float, made: int | None = None) -> None:
        trace.effects.append(Effect(made or line_in(file, 2) or 0, what, numbers))

    def reads(_model: nn.Module, given: tuple[Tensor, ...]) -> None:
        note(_READS, float(model.training))
        with recorder.pausing():
            is_last = known.are_last(given[0])
            made = _made_at(recorder, given[0])
        cut_at = recorder.made_at(given[0], "__getitem__") and made
        note("the number of tokens that the model reads", float(given[0].shape[1]), made=cut_at)
        note("the tokens that the model reads", float(is_last), made=made)

    lines: list[int] = []
    original = module.sample
    module.sample = _noting(original, recorder, note, generator, known)  # type: ignore[attr-defined]
    model.register_forward_pre_hook(reads)
    model.register_forward_hook(known.note_logits)
    try:
        with (
            recorder.watching(nn.ModuleList([model])),
            watching_lines(file, trace.effects, given=generator, lines=lines),
            recorder,
        ):
            got = module.generate(model, prompt, _NEW, generator=generator, **_OPTIONS)
        reads_made = sum(effect.what == _READS for effect in trace.effects)
        if torch.equal(got[:, : prompt.shape[1]], prompt):
            trace.effects.append(Effect(lines[-1], ADDED, (float(reads_made),)))
            trace.last_lines = lines[-12:] if reads_made < _NEW else []
        if not trace.last_lines:
            module.sample = original  # type: ignore[attr-defined]
            _certain(module, file, trace)
    except Exception:
        pass
    finally:
        module.sample = original  # type: ignore[attr-defined]
    _accept_rows(trace.effects)
    return trace


def _made_at(recorder: CallRecorder, read: Tensor) -> int | None:
    """The line that made the model's input, before it was cut to the last n_ctx tokens."""
    event = recorder.event_of(read)
    if event is None:
        return None
    if event.operation == "__getitem__" and event.inputs:
        source = recorder.trace.events[event.inputs[0]]
        if source.value is not None and source.value.dim() == 2:
            last = source.value[:, -generation_inputs.N_CTX :]
            if last.shape == read.shape and torch.equal(last, read):
                return source.line
    return event.line


def _accept_rows(effects: list[Effect]) -> None:
    """Take the logits of some rows for right if sample gets them in several calls."""
    calls: list[int] = []
    for index in range(len(effects) + 1):
        if index == len(effects) or effects[index].what == _READS:
            for call in calls if len(calls) > 1 else ():
                if effects[call].numbers[0] < 0:
                    effects[call] = replace(effects[call], numbers=(1.0,))
            calls = []
        elif effects[index].what == _LOGITS:
            calls.append(index)


class _Known:
    """The tokens and logits of a run of generate, as far as its draws determine them.

    Two runs may draw different tokens, so a run is compared with its own draws.
    """

    def __init__(self, prompt: Tensor) -> None:
        self._prompt = prompt.clone()
        self._drawn: list[Tensor] = []
        self._reads = 0
        self._logits: Tensor | None = None

    def are_last(self, read: Tensor) -> bool:
        """Whether the model reads the prompt and the drawn tokens, up to n_ctx of them.

        Tokens drawn without sample are unknown, and may be any.
        """
        rows = self._prompt.shape[0]
        drawn = [token for token in self._drawn if token.shape == (rows,)]
        if len(drawn) != self._reads:
            drawn = [torch.full((rows,), -1)] * self._reads
        self._reads += 1
        wanted = torch.cat([self._prompt, *(token[:, None] for token in drawn)], dim=1)
        wanted = wanted[:, -generation_inputs.N_CTX :]
        return read.shape == wanted.shape and bool(((read == wanted) | (wanted < 0)).all())

    def note_logits(self, _model: nn.Module, _given: Any, logits: Tensor) -> None:
        self._logits = logits.detach()

    def note_drawn(self, tokens: Tensor) -> None:
        self._drawn.append(tokens)

    def are_of_last_position(self, logits: Tensor) -> float:
        """Whether these are the last position's logits of the latest forward pass, if any.

        1 for yes, 0 for no; for those of n of its rows -n.
        """
        if self._logits is None:
            return 1.0
        wanted = self._logits[:, -1]
        if logits.shape == wanted.shape:
            return float(torch.allclose(logits.to(wanted), wanted))
        if logits.dim() != 2 or logits.shape[-1] != wanted.shape[-1]:
            return 0.0
        are_rows = all(
            any(torch.allclose(row.to(wanted), other) for other in wanted) for row in logits
        )
        return -float(len(logits)) if are_rows else 0.0


def _noting(
    original: Callable[..., Tensor],
    recorder: CallRecorder,
    note: Callable[..., None],
    generator: torch.Generator,
    known: _Known,
) -> Callable[..., Tensor]:
    """sample, which notes what it is given."""

    def drawing(logits: Tensor, **options: Any) -> Tensor:
        with recorder.pausing():
            is_last = known.are_of_last_position(logits)
        note(_LOGITS, is_last, made=recorder.made_at(logits))
        for name in ("temperature", "top_k", "top_p"):
            usual = 1.0 if name == "temperature" else None
            value = options.get(name, usual)
            note(f"{name}{OF_SAMPLE}", NOT_GIVEN if value is None else float(value))
        note("generator of sample", float(options.get("generator") is generator))
        tokens = original(logits, **options)
        known.note_drawn(tokens.detach().clone())
        return tokens

    return drawing


def _certain(module: ModuleType, file: str, trace: Trace) -> None:
    """The number of added tokens if every draw gives the same one."""
    prompt = torch.full((2, 3), 1)
    for d_vocab, token in ((7, 0), (7, 6), (50257, 50256)):
        logits = torch.zeros(d_vocab)
        logits[token] = 20.0
        lines: list[int] = []
        try:
            with watching_lines(file, lines=lines):
                got = module.generate(fixed(module, logits), prompt, 4, temperature=0.0)
            added = got.shape[1] - prompt.shape[1]
            if not torch.equal(got[:, : prompt.shape[1]], prompt):
                return
        except Exception:
            return
        trace.effects.append(Effect(lines[-1], ADDED_EQUAL, (float(added),)))
        if added < 4:
            trace.last_lines = lines[-12:]
            return


def scheduling(module: ModuleType, file: str, _seed: int) -> Trace:
    """Record each step's rate with the line that returned it, and intermediate numbers.

    After a step without a number, `last_lines` has the lines that were executed in it.
    """
    trace = Trace()
    lines: list[int] = []
    try:
        for case, settings in enumerate(SCHEDULES):
            for step in range(steps_of(settings)):
                lines.clear()
                numbers: list[Effect] = []
                with watching_lines(file, numbers, lines=lines):
                    rate = module.learning_rate(step, **settings)
                value = torch.tensor(float(rate), dtype=torch.float64)
                trace.events.append(Event(lines[-1], f"step {step}", (), True, value))
                trace.effects += [
                    Effect(e.line, e.what.removeprefix(NAMED), (case, step, *e.numbers))
                    for e in numbers
                    if e.what.startswith(NAMED)
                ]
    except Exception:
        trace.last_lines = lines
    return trace
