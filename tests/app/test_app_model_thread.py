"""Test the jobs of the model thread: alternation, cancellation when a reader leaves, the limit."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request

from gpt2_small.app.serving import model_thread
from gpt2_small.app.serving.model_thread import MOST_JOBS, ModelThread, TooBusy
from gpt2_small.app.serving.responses import result_for
from gpt2_small.errors import UserError


@pytest.fixture
def thread() -> Iterator[ModelThread]:
    made = ModelThread()
    yield made
    assert made.close()


async def read(job: Any) -> list[Any]:
    return [item async for items in job.batches() for item in items]


def test_two_jobs_alternate_item_by_item(thread: ModelThread) -> None:
    order: list[str] = []
    both_wait = threading.Event()

    def work(name: str) -> Iterator[int]:
        both_wait.wait()
        for number in range(4):
            order.append(name)
            yield number

    async def run() -> None:
        with thread.start(work("a")) as first, thread.start(work("b")) as second:
            both_wait.set()
            found = await asyncio.gather(read(first), read(second))
            assert found == [[0, 1, 2, 3]] * 2

    asyncio.run(run())
    assert order == ["a", "b"] * 4


def test_a_job_ends_before_its_next_step_when_its_reader_leaves(thread: ModelThread) -> None:
    steps, closed = [], threading.Event()
    may_go_on = threading.Semaphore(1)

    def endless() -> Iterator[int]:
        try:
            while True:
                may_go_on.acquire()
                steps.append(1)
                yield 1
        finally:
            closed.set()

    async def run() -> None:
        with thread.start(endless()) as job:
            await anext(job.batches())
        may_go_on.release()
        assert await asyncio.to_thread(closed.wait, 60)

    asyncio.run(run())
    assert len(steps) <= 2


def test_an_exception_in_a_job_reaches_its_reader(thread: ModelThread) -> None:
    def work() -> Iterator[int]:
        yield 1
        raise UserError("no more")

    async def run() -> None:
        with thread.start(work()) as job:
            await read(job)

    with pytest.raises(UserError, match="no more"):
        asyncio.run(run())


def test_work_without_a_stream_ends_when_its_client_leaves(thread: ModelThread) -> None:
    messages = [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    def endless() -> Iterator[None]:
        while True:
            yield None

    async def run() -> None:
        request = Request({"type": "http"}, receive)
        answer = result_for(request, thread, endless())
        assert await asyncio.wait_for(answer, timeout=60) is None
        await asyncio.sleep(0)  # the cancelled task ends
        assert thread.active == 0

    asyncio.run(run())


def test_exit_in_a_job_ends_only_this_job(thread: ModelThread) -> None:
    def work() -> Iterator[int]:
        sys.exit(3)
        yield 1

    async def run() -> None:
        with pytest.raises(UserError, match=r"exit\(\)"):
            await asyncio.wait_for(thread.result(work()), timeout=60)
        assert await asyncio.wait_for(thread.result(lambda: 7), timeout=60) == 7

    asyncio.run(run())


def test_jobs_above_the_limit_are_refused_and_finished_ones_do_not_count(
    thread: ModelThread,
) -> None:
    def endless() -> Iterator[None]:
        while True:
            yield None

    async def run() -> None:
        contexts = [thread.start(endless()) for _ in range(MOST_JOBS)]
        for context in contexts:
            context.__enter__()
        with pytest.raises(TooBusy, match="try again"), thread.start(endless()):
            pass
        for context in contexts:
            context.__exit__(None, None, None)
        assert await thread.result(lambda: 7) == 7

    asyncio.run(run())


def test_a_slow_reader_pauses_its_own_job_only(
    thread: ModelThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_thread, "MOST_UNREAD", 5)
    made = []

    def work() -> Iterator[int]:
        for number in range(40):
            made.append(number)
            yield number

    async def run() -> None:
        with thread.start(work()) as job:
            for _ in range(3):  # other jobs still run
                await thread.result(lambda: None)
            assert len(made) <= 5
            assert await read(job) == list(range(40))

    asyncio.run(run())


def test_a_job_that_takes_too_long_ends_with_one_sentence(
    thread: ModelThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_thread, "MOST_SECONDS", 0.0)

    async def run() -> None:
        with thread.start(iter(range(10**9))) as job:
            await read(job)

    with pytest.raises(UserError, match="took more than 0 seconds"):
        asyncio.run(run())


def test_closing_ends_the_running_jobs() -> None:
    made = ModelThread()

    def endless() -> Iterator[None]:
        while True:
            yield None

    async def run() -> None:
        with made.start(endless()):
            assert await asyncio.to_thread(made.close)

    asyncio.run(run())
