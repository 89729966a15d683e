"""Check a file after every save: first the changed parts, then the others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from gpt2_small.checker import exercise_sets
from gpt2_small.checker.learner.watching.background_check import BackgroundCheck
from gpt2_small.checker.learner.watching.keyboard import Keys, NoKeys
from gpt2_small.checker.learner.watching.saved_file import (
    Gone,
    Saved,
    SavedFile,
    changed_parts,
    is_python,
)
from gpt2_small.checker.learner.watching.watch_state import FileState, Notice
from gpt2_small.checker.verdict import Result

_TICK = 0.05


class WatchView(Protocol):
    """A display of `watch`."""

    def tell(self, file_state: FileState, events: Sequence[Notice], busy: bool) -> None:
        """Display the state after these messages."""

    def key(self, file_state: FileState, pressed: str) -> None:
        """Handle a key that changes only the display."""


class Watch:
    """Checks a file after every save."""

    def __init__(self, path: Path, shown_as: str, face: WatchView) -> None:
        self.state = FileState(path, shown_as, exercise_sets.of_file_or_default(path))
        self._saves = SavedFile(path)
        self._background = BackgroundCheck(path)
        self._face = face
        self._text: bytes | None = None  # the last valid version
        self._asked_for_all = False

    def run(self, keys: Keys | NoKeys) -> None:
        """Run until the learner quits."""
        try:
            with keys:
                while (pressed := keys.read(_TICK)) != "q":
                    self.step(pressed)
        finally:
            self.stop()

    def stop(self) -> None:
        """End the checking."""
        self._background.stop()

    def step(self, pressed: str = "") -> None:
        """Poll the file, the checker's messages and a key."""
        events = self._look()
        for news in self._background.news():
            if isinstance(news.found, Result):
                events += self.state.take_result(news.found)
            else:
                events += self.state.take(news.found)
        self._check_together()
        if pressed == "h":
            events += self.state.give_hint()
        elif pressed == "n":
            self.state.next_part()
        elif pressed:
            self._face.key(self.state, pressed)
        self._face.tell(self.state, events, self._background.is_busy())

    def _look(self) -> list[Notice]:
        """Request checks of the parts that a save changed."""
        seen = self._saves.look()
        if isinstance(seen, Gone):
            return self.state.is_gone(seen.now)
        if isinstance(seen, Saved):
            changed = changed_parts(self._text, seen.text, self.state.parts)
            if is_python(seen.text):
                self._text = seen.text
            self.state.saved(seen.sha256, changed)
            if seen.problem:
                self._background.ask([])
                return self.state.is_unreadable(seen.problem)
            others = [part for part in self.state.parts if part not in changed]
            self._background.ask([[part] for part in (*changed, *others)])
            self._asked_for_all = False
        return []

    def _check_together(self) -> None:
        """Check all parts together once each passes separately."""
        ready = not self._background.is_busy() and len(self.state.done()) == len(self.state.parts)
        if ready and not (self._asked_for_all or self.state.complete or self.state.problem):
            self._asked_for_all = True
            self._background.ask([self.state.parts])
