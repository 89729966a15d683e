"""Find stop strings in streamed text."""

from collections.abc import Sequence


class StopText:
    """Passes text on up to the first stop string, independent of how the text is chunked.

    A possible beginning of a stop string is held back. The first stop string is the one that ends
    first; of several that end together, the longest.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        self._held = ""
        self.is_complete = False

    def push(self, text: str) -> str:
        """Add text, and return the text that is now known to precede any stop string."""
        if self.is_complete:
            return ""
        self._held += text
        found = [
            (start + len(stop), start)
            for stop in self._stop
            if (start := self._held.find(stop)) >= 0
        ]
        if found:
            self.is_complete = True
            _, end = min(found)
        else:
            end = self._first_possible_start()
        passed, self._held = self._held[:end], self._held[end:]
        return passed

    def finish(self) -> str:
        """Return the text held back, at the end of the stream."""
        held, self._held = self._held, ""
        return "" if self.is_complete else held

    def _first_possible_start(self) -> int:
        """The first position where an incomplete stop string may begin; else the text's end."""
        longest = max((len(stop) for stop in self._stop), default=0)
        for start in range(max(0, len(self._held) - longest + 1), len(self._held)):
            if any(stop.startswith(self._held[start:]) for stop in self._stop):
                return start
        return len(self._held)
