"""Record the effects of generate, parameter_groups and learning_rate with their lines."""

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims.functions import generation
from gpt2_small.checker.claims.modules.transformer import UNTIED
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.sandbox.tracing.call_recorder import CallRecorder, line_in
from gpt2_small.checker.sandbox.tracing.line_watcher import NAMED, watching_lines
from gpt2_small.checker.sandbox.tracing.schedule_cases import SCHEDULES, steps_of
from gpt2_small.checker.sandbox.tracing.trace import Effect, Event, Trace

ADDED = "new tokens"
_OPTIONS: dict[str, Any] = {"temperature": 1.3, "top_k": 5, "top_p": 0.9}
_NEW = 5
_READS = "training mode while it reads"
DECAY = 0.3


def generating(module: ModuleType, file: str, seed: int) -> Trace:
    """Generate five tokens beyond n_ctx with every option, and others from a constant draw."""
    trace = Trace()
    generator = probes.draws(seed, "options")
    model = generation.model_of(module, seed).double().train()
    prompt = generation.prompt(seed, generation.N_CTX - 2)
    recorder, known = CallRecorder(file, [prompt]), _Known(prompt)

    def note(what: str, *numbers: float, made: int | None = None) -> None:
        trace.effects.append(Effect(made or line_in(file, 2) or 0, what, numbers))

    def reads(_model: nn.Module, given: tuple[Tensor, ...]) -> None:
        note(_READS, float(model.training))
        cut_at = recorder.made_at(given[0], "__getitem__")
        note("the number of tokens that the model reads", float(given[0].shape[1]), made=cut_at)
        with recorder.pausing():
            is_last = known.are_last(given[0])
        note("the tokens that the model reads", float(is_last), made=recorder.made_at(given[0]))

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
    except Exception:
        pass
    finally:
        module.sample = original  # type: ignore[attr-defined]
    if not trace.last_lines:
        _certain(module, file, trace)
    return trace


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
        wanted = wanted[:, -generation.N_CTX :]
        return read.shape == wanted.shape and bool(((read == wanted) | (wanted < 0)).all())

    def note_logits(self, _model: nn.Module, _given: Any, logits: Tensor) -> None:
        self._logits = logits.detach()

    def note_drawn(self, tokens: Tensor) -> None:
        self._drawn.append(tokens)

    def are_of_last_position(self, logits: Tensor) -> bool:
        """Whether these are the last position's logits of the latest forward pass, if any."""
        if self._logits is None:
            return True
        wanted = self._logits[:, -1]
        return logits.shape == wanted.shape and torch.allclose(logits.to(wanted), wanted)


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
        note("the logits passed to sample", float(is_last), made=recorder.made_at(logits))
        for name in ("temperature", "top_k", "top_p"):
            usual = 1.0 if name == "temperature" else None
            value = options.get(name, usual)
            note(f"{name} of sample", -1.0 if value is None else float(value))
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
                got = module.generate(generation.fixed(module, logits), prompt, 4, temperature=0.0)
            added = got.shape[1] - prompt.shape[1]
            if not torch.equal(got[:, : prompt.shape[1]], prompt):
                return
        except Exception:
            return
        trace.effects.append(Effect(lines[-1], ADDED, (float(added),)))
        if added < 4:
            trace.last_lines = lines[-12:]
            return


def scheduling(module: ModuleType, file: str, _seed: int) -> Trace:
    """Record each step's rate with the line that returned it, and intermediate numbers."""
    trace = Trace()
    try:
        for case, settings in enumerate(SCHEDULES):
            for step in range(steps_of(settings)):
                lines: list[int] = []
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
        pass
    return trace


def grouping(module: ModuleType, file: str, seed: int) -> Trace:
    """Record each parameter's group with the line that added it.

    An effect's numbers are the weight decay and the group's index; none for a parameter without a
    group, whose line is 0 if no variable ever held it.
    """
    trace = Trace()
    model = UNTIED.build(module, seed)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    watcher = _Containers(file, names)
    before = sys.gettrace()
    sys.settrace(watcher.entered)
    try:
        groups = module.parameter_groups(model, weight_decay=DECAY)
    except Exception:
        return trace
    finally:
        sys.settrace(before)
    try:
        members = [{id(p) for p in list(group["params"])} for group in groups]
    except Exception:
        return trace
    for identity, name in names.items():
        homes = [index for index, group in enumerate(members) if identity in group]
        if not homes:
            trace.effects.append(Effect(watcher.passed.get(identity, 0), name))
        for home in homes:
            decay = groups[home].get("weight_decay", -1.0)
            line = watcher.line_of(identity, members[home])
            trace.effects.append(Effect(line, name, (float(decay), float(home))))
    return trace


class _Containers:
    """Records the line that adds a parameter to a list, set or dictionary.

    passed: by id, the last executed line while a variable referred to the parameter. last: the
    line of the return.
    """

    def __init__(self, file: str, names: dict[int, str]) -> None:
        self._file, self._names = file, names
        self._put: dict[tuple[int, str], dict[int, int]] = {}
        self._line: dict[int, int] = {}
        self.passed: dict[int, int] = {}
        self.last = 0

    def entered(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        return self._at_line if frame.f_code.co_filename == self._file else None

    def _at_line(self, frame: FrameType, event: str, _argument: Any) -> Any:
        line = self._line.get(id(frame))
        if line is not None:
            for name, value in frame.f_locals.items():
                self._note((id(frame), name), value, line)
        if event == "line":
            self.last = self._line[id(frame)] = frame.f_lineno
            for value in frame.f_locals.values():
                if id(value) in self._names:
                    self.passed[id(value)] = frame.f_lineno
        return self._at_line

    def _note(self, variable: tuple[int, str], value: Any, line: int) -> None:
        if isinstance(value, dict):
            value = [*value.values(), *value]
        if not isinstance(value, (list, set, tuple)):
            return
        put = self._put.setdefault(variable, {})
        for item in value:
            if id(item) in self._names:
                put.setdefault(id(item), line)

    def line_of(self, identity: int, members: set[int]) -> int:
        """The line that added a parameter to the variable that became its group."""
        for put in self._put.values():
            if identity in put and put.keys() <= members:
                return put[identity]
        return self.last
