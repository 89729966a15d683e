"""Find mistakes whose own intermediate results stand in a part's trace."""

from collections.abc import Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit
from gpt2_small.checker.mistakes.lines.pointing import wrong_results
from gpt2_small.checker.mistakes.lines.stages import fingerprint, stages
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.mistakes.wrong_references import WrongReferences
from gpt2_small.checker.sandbox.tracing import Trace

# Sums over some hundred numbers in float64, of which some may come from float32 constants.
_CLOSE = 1e-6
# In these parts tracing a wrong reference takes some 30 milliseconds.
_SLOW = ("Transformer", "generate")
# What these do is told by effects; their results are few, and tracing them takes long.
_BY_EFFECT = ("learning_rate", "parameter_groups", "train_step", "train")


class Evidence:
    """The wrong results of a trace, and the mistakes that give them too.

    A mistake further on does not change what came before it: the first wrong result of a file with
    several mistakes is that of one of them alone.
    """

    def __init__(
        self, wrong: WrongReferences, known: Sequence[Mistake], trace: Trace | None
    ) -> None:
        self._wrong, self._known, self._trace = wrong, known, trace

    @cached_property
    def _results(self) -> Tensor:
        """Fingerprints of the file's wrong results, in order [result 4]; masks tell too little."""
        part, seed = self._wrong.part, self._wrong.seed
        if part in _BY_EFFECT or self._trace is None or not stages(part, seed):
            return torch.empty(0, 4, dtype=torch.float64)
        found = wrong_results(part, seed, self._trace)
        values = (self._trace.events[index].value for index in found)
        prints = [
            fingerprint(value)
            for value in values
            if value is not None and value.numel() > 3 and value.dtype != torch.bool
        ]
        return torch.tensor(prints, dtype=torch.float64).view(-1, 4)

    def _shared(self, mistakes: tuple[Mistake, ...]) -> tuple[bool, int]:
        """Whether these mistakes give the first wrong result, and how many of all."""
        try:
            theirs = self._wrong.fingerprints(mistakes)
        except EditDoesNotFit:
            return False, 0
        mine = self._results[:, None]
        allowed = _CLOSE * (1 + mine.abs().nan_to_num(0.0, 0.0, 0.0))
        same = ((mine - theirs).abs() <= allowed) | (mine == theirs)
        shared = same.all(dim=-1).any(dim=-1)
        return bool(shared[0]), int(shared.sum())

    @cached_property
    def _by_mistake(self) -> dict[str, tuple[bool, int]]:
        if not len(self._results):
            return {}
        return {mistake.id: self._shared((mistake,)) for mistake in self._known}

    @property
    def is_seen(self) -> bool:
        """Whether the trace has wrong results at all."""
        return len(self._results) > 0

    def ranked(self) -> list[Mistake]:
        """The mistakes that give the file's first wrong result, those sharing most first."""
        found = [m for m in self._known if self._by_mistake.get(m.id, (False, 0))[0]]
        return sorted(found, key=lambda m: -self._by_mistake[m.id][1])

    def draws_apart(self, mistakes: tuple[Mistake, ...]) -> float:
        """The share of rows that these mistakes draw from other probabilities than the trace does.

        A thousand draws do not tell a temperature from its root; the probabilities do.
        """
        mine = None if self._trace is None else _drawn_from(self._trace)
        if mine is None:
            return 0.0
        theirs = _drawn_from(self._wrong.trace(mistakes))
        if theirs is None or len(theirs) != len(mine):
            return 0.0 if theirs is None else 1.0
        width = max(mine.shape[1], theirs.shape[1])
        mine, theirs = (F.pad(p, (0, width - p.shape[1])) for p in (mine, theirs))
        return float(((mine - theirs).abs().amax(dim=-1) >= _CLOSE).double().mean())

    def chain(self) -> tuple[Mistake, ...]:
        """The mistake that gives the first wrong result, and others that give what follows.

        Empty when several would do equally well.
        """
        ranked = self.ranked()
        counts = [self._by_mistake[m.id][1] for m in ranked]
        if not ranked or (len(ranked) > 1 and counts[0] == counts[1]):
            return ()
        chain: tuple[Mistake, ...] = (ranked[0],)
        count = counts[0]
        while len(chain) < 3 and count < len(self._results) and self._wrong.part not in _SLOW:
            more = [(self._shared((*chain, m))[1], m) for m in self._known if m not in chain]
            best = max(number for number, _ in more)
            winners = [m for number, m in more if number == best]
            if best <= count or len(winners) > 1:
                break
            chain, count = (*chain, winners[0]), best
        return chain


def _drawn_from(trace: Trace) -> Tensor | None:
    """The probabilities of the first draw, each row from the largest; None where none was seen."""
    draws = [e for e in trace.events if e.operation == "multinomial" and e.inputs]
    value = trace.events[max(draws[0].inputs)].value if draws else None
    if value is None or value.dim() != 2 or not value.is_floating_point():
        return None
    return (value / value.sum(dim=-1, keepdim=True)).sort(dim=-1, descending=True).values.double()
