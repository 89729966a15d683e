"""Find stop strings in a text that arrives in pieces."""

from collections.abc import Sequence


class StopText:
    """Lets a text through up to the first stop string, however the text is cut into pieces.

    The beginning of a possible stop string is held back. The first stop string is the one that is
    complete first; of several that end together, the longest.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        self._held = ""
        self.is_complete = False

    def push(self, text: str) -> str:
        """The part of the text so far that is certain now; nothing after a stop string."""
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
            _, certain = min(found)
        else:
            certain = self._first_possible_start()
        passed, self._held = self._held[:certain], self._held[certain:]
        return passed

    def finish(self) -> str:
        """The text held back, when no more comes."""
        held, self._held = self._held, ""
        return "" if self.is_complete else held

    def _first_possible_start(self) -> int:
        """The first place where an incomplete stop string may have begun; else the text's end."""
        longest = max((len(stop) for stop in self._stop), default=0)
        for start in range(max(0, len(self._held) - longest + 1), len(self._held)):
            if any(stop.startswith(self._held[start:]) for stop in self._stop):
                return start
        return len(self._held)
