"""Observe the exception's type of a forbidden call, ignoring its message."""

from collections.abc import Callable
from typing import Any

ACCEPTED = "accepted"


def ending(call: Callable[[], Any], promised: type[Exception] = ValueError) -> str:
    """The promised exception's name if the call raises it, else the actual result."""
    try:
        call()
    except promised:
        return f"refused with {promised.__name__}"
    except NotImplementedError:
        raise
    except Exception as error:
        return f"refused with {type(error).__name__}"
    return ACCEPTED
