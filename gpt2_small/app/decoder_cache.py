"""Cache the decoders of the most recent conversations."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from gpt2_small.app.models import ShownModel
from gpt2_small.generation.decoder import Decoder

MOST_IDLE = 4


class Decoders:
    """An LRU cache of decoders by conversation, for use in the model thread alone."""

    def __init__(self) -> None:
        self._idle: OrderedDict[tuple[int, str], tuple[ShownModel, Decoder]] = OrderedDict()

    def __len__(self) -> int:
        """The number of idle decoders."""
        return len(self._idle)

    @contextmanager
    def of(self, shown: ShownModel, conversation: str) -> Iterator[Decoder]:
        """In this context, use a conversation's decoder exclusively.

        Its cached prefix is reused. A second concurrent request of a conversation gets a new one.
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
