"""Define the exception for a claim that fails, with its reason."""

from collections.abc import Mapping
from typing import Any


class Failure(Exception):
    """A claim fails; the message is for the learner, with numbers if there are any.

    seen: a partial observation, for naming the mistake.
    """

    def __init__(self, message: str, seen: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.seen = dict(seen or {})
