"""Find mistakes whose specific intermediate results occur in a part's trace."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from gpt2_small.checker.claims.judging.tolerances import FINGERPRINTS
from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit
from gpt2_small.checker.mistakes.lines.stages.continued_reference import confined, has_taps
from gpt2_small.checker.mistakes.lines.stages.reference_stages import stages
from gpt2_small.checker.mistakes.lines.stages.stage import fingerprint
from gpt2_small.checker.mistakes.lines.stages.trace_comparison import TraceComparison, wrong_results
from gpt2_small.checker.mistakes.matching.wrong_references import WrongReferences
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.sandbox.tracing import Trace

# In these parts tracing a wrong reference takes some 30 milliseconds.
_SLOW = ("Transformer", "generate")
# Effects identify mistakes in these parts; tracing their few results is slow.
_BY_EFFECT = ("learning_rate", "parameter_groups", "train_step", "train")
# The number of mistakes that are extended, of those with equally many shared results.
_BEAM = 3
# The operations that compute a softmax.
_SOFTMAX = ("softmax", "log_softmax", "exp", "logsumexp", "scaled_dot_product_attention",
            "cross_entropy")  # fmt: skip


class Evidence:
    """A trace's wrong results, and the mistakes that share them.

    A later mistake does not change earlier results, so a file's first wrong result belongs to a
    single mistake. Results that right parts may compute (half of GELU's input, say) are no
    evidence, and one shared result does not distinguish mistakes that begin alike.
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
        """The trace's wrong results in order, without masks."""
        wrong = [] if self._compared is None else self._compared.wrong
        values = ((index, self._trace.events[index].value) for index in wrong)
        return [
            index
            for index, value in values
            if value is not None and value.numel() > 3 and value.dtype != torch.bool
        ]

    @cached_property
    def _results(self) -> list[tuple[Tensor, set[int]]]:
        """Wrong results that no right part has: fingerprints, and their events.

        Multiples of right results are omitted, because many mistakes and right parts have them.
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
        """The wrong results that these mistakes share."""
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
    def is_recorded(self) -> bool:
        """Whether there is a trace whose results are compared, right or wrong."""
        return self._compared is not None

    def ranked(self) -> list[Mistake]:
        """The mistakes that share the first wrong result, those sharing most first."""
        found = [m for m in self._known if 0 in self._by_mistake[m.id]]
        return sorted(found, key=lambda m: -len(self._by_mistake[m.id]))

    def chain(self) -> tuple[Mistake, ...]:
        """The mistake that shares the first wrong result, and others that share later ones.

        Each must share a result that leads to another shared result or to the output. Empty if
        several chains are equally good.
        """
        ranked = self.ranked()
        shared = [len(self._by_mistake[m.id]) for m in ranked]
        best = [m for m, number in zip(ranked, shared, strict=True) if number == shared[0]]
        if len(best) > _BEAM:
            return ()
        chains = [self._confirmed(self._extended(mistake)) for mistake in best]
        if len(best) > 1 and all(len(chain) < 2 for chain in chains):
            return ()  # indistinguishable
        by_set = {frozenset(chain): len(self._shared(chain)) for chain in chains if chain}
        most = [chain for chain, number in by_set.items() if number == max(by_set.values())]
        return next(c for c in chains if frozenset(c) == most[0]) if len(most) == 1 else ()

    def first_shared(self, mistake: Mistake) -> int:
        """The index of a mistake's first shared wrong result; a large number if none.

        Mistakes are named in this order, which is the file's.
        """
        return min(self._by_mistake[mistake.id], default=len(self._results))

    def same_operation(self) -> Mistake | None:
        """The only mistake with the operations of the file's first wrong line, but other numbers.

        For instance, a leaky ReLU of another slope. The rest of the function must be right.
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
        """The longest beginning of a chain with confirmed mistakes only."""
        while chain and not self._is_confirmed(chain):
            chain = chain[:-1]
        return chain

    def _extended(self, first: Mistake) -> tuple[Mistake, ...]:
        """Extend a mistake by others to share most of the wrong results."""
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
        """Whether each mistake of a chain shares a wrong result and its use.

        A mistake of omission is also confirmed if the file lacks the operation. The file must
        share everything that the first mistake passes to the rest of the part.
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
        """Whether the file shares the mistake's last result before the unchanged rest."""
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
        """Whether a wrong result is an input of another, directly or not."""
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
        """Whether a mistake omits the softmax, and the file does too."""
        return _takes_softmax(self._wrong.trace(())) and not (
            _takes_softmax(self._trace) or _takes_softmax(self._wrong.trace((mistake,)))
        )


def _takes_softmax(trace: Trace) -> bool:
    return any(event.operation in _SOFTMAX for event in trace.events)


def _same(mine: Tensor, theirs: Tensor) -> Tensor:
    """Compare fingerprints [mine 4] and [theirs 4] within rounding: [mine theirs]."""
    mine = mine[:, None]
    allowed = FINGERPRINTS * (1 + mine.abs().nan_to_num(0.0, 0.0, 0.0))
    return (((mine - theirs).abs() <= allowed) | (mine == theirs)).all(dim=-1)
