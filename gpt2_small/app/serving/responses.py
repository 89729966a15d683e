"""Respond with JSON, with a stream of JSON lines, or with an error message."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from gpt2_small.app.serving.guard import BodyTooLong
from gpt2_small.app.serving.model_thread import Job, ModelThread, TooBusy
from gpt2_small.errors import UserError

LINES = "application/x-ndjson"


class JsonAnswer(JSONResponse):
    """A response in JSON of ASCII characters, which can hold surrogates of a request or a name."""

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


class ClosingResponse(StreamingResponse):
    """A streaming response that closes its job at the end, also when the client disconnects."""

    def __init__(self, content: AsyncIterator[str], stack: ExitStack, media_type: str) -> None:
        super().__init__(content, media_type=media_type)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._stack:
            await super().__call__(scope, receive, send)


async def streamed(
    thread: ModelThread,
    work: Iterator[Any],
    write: Callable[[list[Any]], str],
    *,
    write_error: Callable[[str], str],
    last: str = "",
    media_type: str = LINES,
) -> Response:
    """Stream the work's items. Raises an exception that the work raises before its first item.

    write: formats items; `write_error`: formats the message when the work fails later.
    """
    with ExitStack() as stack:
        job: Job = stack.enter_context(thread.start(work))
        batches = job.batches()
        first: list[Any] = await anext(batches, [])

        async def texts() -> AsyncIterator[str]:
            yield write(first)
            try:
                async for items in batches:
                    yield write(items)
            except Exception as error:
                yield write_error(sentence(error))
                if not isinstance(error, UserError):
                    raise
            yield last

        return ClosingResponse(texts(), stack.pop_all(), media_type)


async def result_for(request: Request, thread: ModelThread, work: Iterator[Any]) -> Any:
    """The last item of work, which ends when the client disconnects; None then."""

    async def disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    result = asyncio.create_task(thread.result(work))
    leaving = asyncio.create_task(disconnected())
    try:
        await asyncio.wait((result, leaving), return_when=asyncio.FIRST_COMPLETED)
        return await result if result.done() else None
    finally:
        result.cancel()
        leaving.cancel()


def json_lines(items: list[Any]) -> str:
    """Format items as lines of JSON."""
    return "".join(f"{json.dumps(item, separators=(',', ':'))}\n" for item in items)


def error_line(message: str) -> str:
    """Format an error message as a line of JSON."""
    return json_lines([{"error": message}])


async def lines(thread: ModelThread, work: Iterator[Any]) -> Response:
    """Stream the work's items as lines of JSON."""
    return await streamed(thread, work, json_lines, write_error=error_line)


def sentence(error: Exception) -> str:
    """The message for an exception."""
    if isinstance(error, UserError | BodyTooLong):
        return str(error)
    return f"this failed: {type(error).__name__}: {' '.join(str(error).split())}"[:500]


def error_answer(status: int, message: str, kind: str = "invalid_request_error") -> Response:
    """Respond with an error in the JSON format of OpenAI's clients."""
    content = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return JsonAnswer(content, status_code=status)


async def for_users(_request: Request, error: Exception) -> Response:
    """Respond to a user's mistake."""
    if isinstance(error, TooBusy):
        return error_answer(429, str(error), "rate_limit_error")
    return error_answer(413 if isinstance(error, BodyTooLong) else 400, sentence(error))


async def unexpected(_request: Request, error: Exception) -> Response:
    """Respond to an unexpected exception: a defect, or one of a learner's file."""
    return error_answer(500, sentence(error), "server_error")


async def not_found(request: Request, _error: Exception) -> Response:
    """Respond to an unknown route or method."""
    return error_answer(404, f"there is no {request.method} {request.url.path}")


HANDLERS: dict[Any, Any] = {
    UserError: for_users,
    BodyTooLong: for_users,
    404: not_found,
    405: not_found,
    Exception: unexpected,
}
