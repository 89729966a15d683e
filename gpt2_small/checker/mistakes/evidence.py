"""Find mistakes whose own intermediate results stand in a part's trace."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit
from gpt2_small.checker.mistakes.lines.continuation import confined, has_taps
from gpt2_small.checker.mistakes.lines.stages import fingerprint, stages
from gpt2_small.checker.mistakes.lines.trace_comparison import TraceComparison, wrong_results
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.mistakes.wrong_references import WrongReferences
from gpt2_small.checker.sandbox.tracing import Trace

# Sums over some hundred numbers in float64, of which some may come from float32 constants.
_CLOSE = 1e-6
# In these parts tracing a wrong reference takes some 30 milliseconds.
_SLOW = ("Transformer", "generate")
# What these do is told by effects; their results are few, and tracing them takes long.
_BY_EFFECT = ("learning_rate", "parameter_groups", "train_step", "train")
# Of mistakes that share equally many results, so many are followed further.
_BEAM = 3
# A softmax, whoever takes it.
_SOFTMAX = ("softmax", "log_softmax", "exp", "logsumexp", "scaled_dot_product_attention",
            "cross_entropy")  # fmt: skip


class Evidence:
    """The wrong results of a trace, and the mistakes that give them too.

    A mistake further on does not change what came before it: the first wrong result of a file with
    several mistakes is that of one of them alone. What a right part may compute on its way (a half
    of the input of GELU, say) is evidence of nothing, and one result alone tells no mistake from
    another that begins in the same way.
    """

    def __init__(
        self, wrong: WrongReferences, known: Sequence[Mistake], trace: Trace | None
    ) -> None:
        self._wrong, self._known = wrong, known
        self._trace = trace or Trace()

    @cached_property
    def _compared(self) -> TraceComparison | None:
        part, seed = self._wrong.part, self._wrong.seed
        if part in _BY_EFFECT or not self._trace.events or not stages(part, seed):
            return None
        return TraceComparison(stages(part, seed), self._trace, part)

    @cached_property
    def _wrong_events(self) -> list[int]:
        """The trace's wrong results, in order; masks tell too little."""
        wrong = [] if self._compared is None else self._compared.wrong
        values = ((index, self._trace.events[index].value) for index in wrong)
        return [
            index
            for index, value in values
            if value is not None and value.numel() > 3 and value.dtype != torch.bool
        ]

    @cached_property
    def _results(self) -> list[tuple[Tensor, set[int]]]:
        """Wrong results that no right part has: fingerprints, and the events that give them.

        A multiple of what a right part has is none: many mistakes, and right parts, go by there.
        """
        right = self._wrong.right_fingerprints()
        found: list[tuple[Tensor, set[int]]] = []
        for index in self._wrong_events:
            value = self._trace.events[index].value
            assert value is not None
            mine = torch.tensor([fingerprint(value)], dtype=torch.float64)
            match = None if self._compared is None else self._compared.matches[index]
            if match is not None or bool(_same(mine, right).any()):
                continue
            again = next((events for other, events in found if bool(_same(mine, other))), None)
            if again is None:
                found.append((mine, {index}))
            else:
                again.add(index)
        return found

    def _shared(self, mistakes: tuple[Mistake, ...]) -> frozenset[int]:
        """Which of the wrong results these mistakes give too."""
        if not self._results:
            return frozenset()
        try:
            theirs = self._wrong.fingerprints(mistakes)
        except EditDoesNotFit:
            return frozenset()
        mine = torch.cat([result for result, _ in self._results])
        return frozenset(_same(mine, theirs).any(dim=-1).nonzero().flatten().tolist())

    @cached_property
    def _by_mistake(self) -> dict[str, frozenset[int]]:
        return {mistake.id: self._shared((mistake,)) for mistake in self._known}

    @property
    def is_seen(self) -> bool:
        """Whether the trace has wrong results at all."""
        return len(self._wrong_events) > 0

    def ranked(self) -> list[Mistake]:
        """The mistakes that give the file's first wrong result, those sharing most first."""
        found = [m for m in self._known if 0 in self._by_mistake[m.id]]
        return sorted(found, key=lambda m: -len(self._by_mistake[m.id]))

    def chain(self) -> tuple[Mistake, ...]:
        """The mistake that gives the first wrong result, and others that give what follows.

        Each has to give a result from which another one follows that the file has too, or the
        output. Empty when several would do equally well.
        """
        ranked = self.ranked()
        shared = [len(self._by_mistake[m.id]) for m in ranked]
        best = [m for m, number in zip(ranked, shared, strict=True) if number == shared[0]]
        if len(best) > _BEAM:
            return ()
        chains = [self._confirmed(self._extended(mistake)) for mistake in best]
        if len(best) > 1 and all(len(chain) < 2 for chain in chains):
            return ()  # nothing tells them apart
        by_set = {frozenset(chain): len(self._shared(chain)) for chain in chains if chain}
        most = [chain for chain, number in by_set.items() if number == max(by_set.values())]
        return next(c for c in chains if frozenset(c) == most[0]) if len(most) == 1 else ()

    def first_shared(self, mistake: Mistake) -> int:
        """Which of the wrong results is the first that a mistake gives too; a large number if none.

        In this order mistakes are named: as a reader of the file meets them.
        """
        return min(self._by_mistake[mistake.id], default=len(self._results))

    def drops_like(self, mistake: Mistake) -> bool:
        """Whether a mistake calls dropout as often as the file, so that it may be the file's.

        Of a part that drops twice, and computes something wrong, the output tells no more, and of
        none whether it drops at another place. torch's own attention drops inside.
        """
        mine, right = _dropouts(self._trace), _dropouts(self._wrong.trace(()))
        is_hidden = mine is None or ((right or 0) > 1 and mine >= (right or 0))
        if is_hidden or mine != _dropouts(self._wrong.trace((mistake,))):
            return False
        return mine != right or self._dropped(mistake) == self._dropped()

    def _dropped(self, *mistakes: Mistake) -> list[str]:
        """What the reference drops elements of, with these mistakes."""
        part, seed = self._wrong.part, self._wrong.seed
        compared = TraceComparison(stages(part, seed), self._wrong.trace(mistakes), part)
        return [stage.name for stage, _ in compared.dropped()]

    def same_operation(self) -> Mistake | None:
        """The one mistake that does the same as the file's first wrong line, with other numbers.

        A leaky ReLU of another slope, say. Nothing else may be wrong with what the file computes.
        """
        part, seed = self._wrong.part, self._wrong.seed
        first = next(iter(self._wrong_events), None)
        if first is None or part in _SLOW:
            return None
        operation = self._trace.events[first].operation
        if operation in {e.operation for e in self._wrong.trace(()).events}:
            return None
        doing = [m for m in self._known if operation in self._operations(m)]
        is_alone = bool(confined(part, seed, self._trace, [first]))
        return doing[0] if len(doing) == 1 and is_alone else None

    def _operations(self, mistake: Mistake) -> set[str]:
        return {event.operation for event in self._wrong.trace((mistake,)).events}

    def _confirmed(self, chain: tuple[Mistake, ...]) -> tuple[Mistake, ...]:
        """The beginning of a chain in which each mistake is confirmed."""
        while chain and not self._is_confirmed(chain):
            chain = chain[:-1]
        return chain

    def _extended(self, first: Mistake) -> tuple[Mistake, ...]:
        """A mistake, and others with which it gives most of the wrong results."""
        chain: tuple[Mistake, ...] = (first,)
        shared = self._shared(chain)
        others = [m for m in self._known if self._by_mistake[m.id]]
        while len(chain) < 3 and len(shared) < len(self._results) and self._wrong.part not in _SLOW:
            more = [(self._shared((*chain, m)), m) for m in others if m not in chain]
            most = max((len(results) for results, _ in more), default=0)
            winners = [(results, m) for results, m in more if len(results) == most]
            if most <= len(shared) or len(winners) > 1:
                break
            shared, chain = winners[0][0], (*chain, winners[0][1])
        return chain

    def _is_confirmed(self, chain: tuple[Mistake, ...]) -> bool:
        """Whether each mistake of a chain gives a wrong result that is used as the mistake uses it.

        Something left out is confirmed as well when the file does it nowhere. And the file has to
        have all that the first mistake changes: what the rest of the part is given.
        """
        if not self._has_all_of(chain[0]):
            return False
        shared = self._shared(chain)
        used = {r for r in shared if self._is_output(r) or any(self._leads(r, s) for s in shared)}
        for mistake in chain:
            rest = tuple(m for m in chain if m is not mistake)
            own = shared - (self._shared(rest) if rest else frozenset())
            if not own & used and not (own and self._leaves_out(mistake)):
                return False
        return True

    def _has_all_of(self, mistake: Mistake) -> bool:
        """Whether the file has a result of a mistake after which the reference goes on."""
        wrong, part, seed = self._wrong, self._wrong.part, self._wrong.seed
        trace = wrong.trace((mistake,))
        own = wrong_results(part, seed, trace)
        given_on = [trace.events[i].value for i in confined(part, seed, trace, own)]
        prints = [fingerprint(value) for value in given_on if value is not None]
        if not own or own == [trace.output] or not has_taps(part, seed):
            return True
        if not prints:
            return False
        theirs = torch.tensor(prints, dtype=torch.float64)
        return any(bool(_same(mine, theirs).any()) for mine, _ in self._results)

    def _is_output(self, result: int) -> bool:
        return self._trace.output in self._results[result][1]

    def _leads(self, result: int, other: int) -> bool:
        """Whether another wrong result is made from a wrong result."""
        return result != other and bool(
            set(self._before(self._results[other][1])) & self._results[result][1]
        )

    def _before(self, events: set[int]) -> Iterator[int]:
        left = [i for event in events for i in self._trace.events[event].inputs]
        seen: set[int] = set()
        while left:
            index = left.pop()
            if index not in seen:
                seen.add(index)
                yield index
                left.extend(self._trace.events[index].inputs)

    def _leaves_out(self, mistake: Mistake) -> bool:
        """Whether a mistake is that no softmax is taken, and the file takes none either."""
        return _takes_softmax(self._wrong.trace(())) and not (
            _takes_softmax(self._trace) or _takes_softmax(self._wrong.trace((mistake,)))
        )


def _dropouts(trace: Trace) -> int | None:
    """How often a part calls dropout; None where that is not seen."""
    operations = [event.operation for event in trace.events]
    return None if "scaled_dot_product_attention" in operations else operations.count("dropout")


def _takes_softmax(trace: Trace) -> bool:
    return any(event.operation in _SOFTMAX for event in trace.events)


def _same(mine: Tensor, theirs: Tensor) -> Tensor:
    """Which fingerprints [mine 4] are which others [theirs 4], within rounding [mine theirs]."""
    mine = mine[:, None]
    allowed = _CLOSE * (1 + mine.abs().nan_to_num(0.0, 0.0, 0.0))
    return (((mine - theirs).abs() <= allowed) | (mine == theirs)).all(dim=-1)
