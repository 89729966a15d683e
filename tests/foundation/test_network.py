"""Test requests in threads: results, errors and time limits."""

import threading
from collections.abc import Iterator

import pytest

from gpt2_small.network import interruptible, within


class Panic(BaseException):
    """An exception as bindings of native code raise it."""


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("too slow"), Panic("lost")])
def test_the_error_of_a_request_is_raised_at_once(error: BaseException) -> None:
    def ask() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        within(60.0, ask)
    assert raised.value is error


def test_a_request_without_an_answer_ends_at_the_time_limit() -> None:
    answered = threading.Event()
    with pytest.raises(TimeoutError, match="no answer within 0 seconds"):
        within(0.01, answered.wait)
    answered.set()


def test_items_are_fetched_one_at_a_time() -> None:
    fetched: list[int] = []

    def items() -> Iterator[int]:
        for number in range(3):
            fetched.append(number)
            yield number

    seen = interruptible(items())
    assert next(seen) == 0
    assert fetched == [0]
    assert list(seen) == [1, 2]
