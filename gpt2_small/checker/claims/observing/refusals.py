"""Observe how a forbidden call ends: by the exception's type, never by its words."""

from collections.abc import Callable
from typing import Any


def ending(call: Callable[[], Any], promised: type[Exception] = ValueError) -> str:
    """The promised exception's name where the call raises it, else what happened in its place."""
    try:
        call()
    except promised:
        return f"refused with {promised.__name__}"
    except NotImplementedError:
        raise
    except Exception as error:
        return f"refused with {type(error).__name__}"
    return "accepted"
