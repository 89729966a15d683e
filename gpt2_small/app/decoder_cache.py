"""Keep the caches of the conversations that were continued last."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from gpt2_small.app.models import Shown
from gpt2_small.generation.decoders import Decoder

MOST_IDLE = 4


class Decoders:
    """Decoders by conversation; the least recently used go. For the thread that runs the models."""

    def __init__(self) -> None:
        self._idle: OrderedDict[tuple[int, str], tuple[Shown, Decoder]] = OrderedDict()

    def __len__(self) -> int:
        """The number of idle decoders."""
        return len(self._idle)

    @contextmanager
    def of(self, shown: Shown, conversation: str) -> Iterator[Decoder]:
        """This conversation's decoder, which nobody else gets while the context lasts.

        What it has read is not read again. A conversation that is at work twice gets a second one.
        """
        key = id(shown), conversation
        _, decoder = self._idle.pop(key, (shown, None))
        try:
            decoder = decoder or shown.loaded.new_decoder()
            yield decoder
        finally:
            if decoder is not None:
                self._idle[key] = shown, decoder
            while len(self._idle) > MOST_IDLE:
                self._idle.popitem(last=False)
