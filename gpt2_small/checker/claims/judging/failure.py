"""Raise that a claim does not hold, with the reason."""

from collections.abc import Mapping
from typing import Any


class Failure(Exception):
    """A claim does not hold; the message is for the learner, with numbers where there are any.

    seen: what was observed all the same, by which a mistake can be recognised.
    """

    def __init__(self, message: str, seen: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.seen = dict(seen or {})
