"""Compare a part's trace with the reference's intermediate results, and find wrong ones.

Results are compared up to a permutation of axes, a scale, and a split into heads. An unknown result
is right if a right one is computed from it, so the first wrong result is the first without right
successors.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpt2_small.checker.claims.judging.tolerances import STAGES
from gpt2_small.checker.mistakes.lines.stages.constant_results import constants, cut_off
from gpt2_small.checker.mistakes.lines.stages.other_right_stages import BEFORE_LOG
from gpt2_small.checker.mistakes.lines.stages.reference_stages import stages
from gpt2_small.checker.mistakes.lines.stages.stage import Stage, same
from gpt2_small.checker.mistakes.lines.stages.stage_matching import match
from gpt2_small.checker.sandbox.tracing import SAMPLING, Trace

# Operations that use the order of their input's numbers only.
_SORTING = ("argsort", "sort", "topk", "argmin", "argmax")
_COMPARING = ("__lt__", "__le__", "__gt__", "__ge__", "lt", "le", "gt", "ge", "less", "greater")
_SELECTING = ("__getitem__", "unsqueeze", "view", "expand", "min", "amin", "select", "narrow")


def wrong_results(part: str, seed: int, trace: Trace, case: str = "") -> list[int]:
    """The events without right successors among those that lead to the output."""
    return TraceComparison(stages(part, seed, case), trace, part).wrong


class TraceComparison:
    """A comparison of a trace with the reference's stages.

    other_steps: intermediate results of right parts in other styles, and of many wrong parts.
    matches: each result's matching stage, if any. is_short: whether the output is a stage before
    the reference's output. wrong: the events without right successors among those that lead to
    the output.
    """

    def __init__(
        self,
        known: Sequence[Stage],
        trace: Trace,
        part: str,
        other_steps: Sequence[Tensor] = (),
    ) -> None:
        self.other_steps = other_steps
        if not any(event.operation.startswith("log") for event in trace.events):
            known = [stage for stage in known if BEFORE_LOG not in stage.name]
        self.part, self.known, self.trace = part, known, trace
        self.matches = [
            match(event.value, known) if event.value is not None else None for event in trace.events
        ]
        self.d_vocab = known[0].value.shape[-1] if part == "sample" and known else None
        self.constants = constants(trace)
        self.cut_off = cut_off(trace)
        self.is_short = self._output_is_short()
        self.wrong = self._wrong()

    def _output_is_short(self) -> bool:
        """Whether the output is a stage before the reference's output."""
        output = self.trace.output
        if output is None or not self.is_right(output):
            return False
        found = self.matches[output]
        assert found is not None
        final = next((stage for stage in self.known if stage.name == "the output"), None)
        return final is not None and not same(found.stage.numbers, final.numbers)

    def is_right(self, index: int) -> bool:
        found = self.matches[index]
        return found is not None and found.kind == "right" and self.trace.events[index].from_data

    def is_piece(self, index: int) -> bool:
        """Whether a result is one row, position or head of a stage."""
        found, value = self.matches[index], self.trace.events[index].value
        return (
            found is not None and value is not None and found.stage.value.numel() != value.numel()
        )

    def _wrong(self) -> list[int]:
        fine = [self.is_right(index) for index in range(len(self.matches))]
        if self.trace.output is not None and (self.is_short or self.is_piece(self.trace.output)):
            fine[self.trace.output] = False
        for index in self._sorted_alone():
            fine[index] = True
        for index in range(len(fine) - 1, -1, -1):
            if fine[index]:
                for source in self.trace.events[index].inputs:
                    fine[source] = fine[source] or self._absolves(index, source)
        return [
            index
            for index in sorted(leading_to_output(self.trace))
            if not fine[index] and self.is_judged(index) and not self._may_be_divided(index)
        ]

    def _may_be_divided(self, index: int) -> bool:
        """Whether a result lacks the temperature alone, in a sample that raised before its end."""
        found = self.matches[index]
        is_cut_off = self.d_vocab is not None and self.trace.output is None
        if not is_cut_off or found is None or found.kind != "scaled":
            return False
        return bool(abs(found.factor - SAMPLING["temperature"]) <= STAGES)

    def _sorted_alone(self) -> set[int]:
        """The results, multiples of stages, of which only the order is used."""
        users: dict[int, list[int]] = {}
        for index, event in enumerate(self.trace.events):
            for source in event.inputs:
                users.setdefault(source, []).append(index)
        found: set[int] = set()
        for index in sorted(users, reverse=True):
            used = ((user, self.trace.events[user].operation) for user in users[index])
            if self._is_multiple(index) and all(
                operation in (*_SORTING, *_COMPARING) or (operation in _SELECTING and user in found)
                for user, operation in used
            ):
                found.add(index)
        return found

    def _is_multiple(self, index: int) -> bool:
        """Whether a result is a multiple of a stage, or selected from one."""
        event, match = self.trace.events[index], self.matches[index]
        if match is not None and match.kind == "scaled":
            return True
        return event.operation in _SELECTING and any(map(self._is_multiple, event.inputs[:1]))

    def _absolves(self, index: int, source: int) -> bool:
        """Whether a right result implies right inputs.

        Drawn tokens and masks may be equal by chance.
        """
        a, b = self.trace.events[index].value, self.trace.events[source].value
        if self.d_vocab is None or a is None or b is None:
            return True
        return a.is_floating_point() or (a.dtype == b.dtype == torch.bool)

    def is_judged(self, index: int) -> bool:
        """Whether a result is compared; before a draw, only results with one value per token."""
        event = self.trace.events[index]
        value = event.value
        if value is None or not event.from_data or index in self.constants | self.cut_off:
            return False
        if self.d_vocab is None:
            return value.dtype != torch.bool
        if value.dtype == torch.bool:
            return value.dim() == 2 and value.shape[-1] == self.d_vocab
        return value.is_floating_point() and value.dim() > 0 and value.numel() > 1

    def dropped(self) -> list[tuple[Stage, int]]:
        """The stages with dropout in training, each with its line."""
        found = []
        for event in self.trace.events:
            if event.operation.startswith("dropout") and event.inputs:
                of = self.matches[event.inputs[0]]
                if of is not None and of.kind == "right":
                    found.append((of.stage, event.line))
        return found

    def dropped_elsewhere(self) -> list[int]:
        """The line of the only dropout on something that is no stage; empty if there are more."""
        lines = {
            event.line
            for event in self.trace.events
            if event.operation.startswith("dropout")
            and (not event.inputs or self.matches[event.inputs[0]] is None)
        }
        return list(lines) if len(lines) == 1 else []

    def last_right(self, index: int) -> tuple[int | None, str]:
        """The line of the last right result among a wrong one's inputs, else before it."""
        earlier = [i for i in range(index) if self.is_right(i) and not self._is_given(i)]
        sources = [i for i in self.trace.events[index].inputs if i in earlier]
        chosen = max(sources or earlier, default=None)
        if chosen is None:
            return None, ""
        found = self.matches[chosen]
        assert found is not None
        if found.is_interleaved:
            return None, ""  # right only if the axes are used in this order
        if found.head is None and self.is_piece(chosen):
            return None, ""  # right only if it is used for this row or position
        name = found.stage.name
        return self.trace.events[chosen].line, (
            name if name != "a step" else "the reference has the same"
        )

    def maker(self, index: int) -> int:
        """The first event among a right one's inputs with the same numbers."""
        stage = self.matches[index]
        assert stage is not None
        for source in self.trace.events[index].inputs:
            other = self.matches[source]
            if self.is_right(source) and other and same(other.stage.numbers, stage.stage.numbers):
                return self.maker(source)
        return index

    def sources(self, index: int) -> list[int]:
        """The right results among a wrong one's inputs, without parameters and the input."""
        inputs = self.trace.events[index].inputs
        return [source for source in inputs if self.is_right(source) and not self._is_given(source)]

    def _is_given(self, index: int) -> bool:
        """Whether a result is a parameter or the part's input, in whatever layout."""
        found = self.matches[index]
        return found is not None and found.stage.is_given

    def is_the_same(self, index: int, other: int) -> bool:
        """Whether two results match the same stage and head."""
        a, b = self.matches[index], self.matches[other]
        return a is not None and b is not None and a.stage is b.stage and a.head == b.head


def leading_to_output(trace: Trace) -> set[int]:
    """The output's direct and indirect inputs; of a drawn one, the probabilities' inputs."""
    draws = [event for event in trace.events if event.operation == "multinomial" and event.inputs]
    if draws:
        left = list(draws[-1].inputs)
    elif trace.output is not None:
        left = [trace.output]
    else:
        return set(range(len(trace.events)))
    found: set[int] = set()
    while left:
        index = left.pop()
        if index not in found:
            found.add(index)
            left.extend(trace.events[index].inputs)
    return found
