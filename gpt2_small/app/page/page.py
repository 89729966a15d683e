"""Serve the page, and answer its requests for the model, the learner's file and the run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from gpt2_small import __version__, binding
from gpt2_small.app import token_views
from gpt2_small.app.chat_messages import examples
from gpt2_small.app.decoder_cache import Decoders
from gpt2_small.app.models import Models, ShownModel
from gpt2_small.app.page.activation_routes import ActivationRoutes
from gpt2_small.app.page.learning import LearnerFile, log_of
from gpt2_small.app.page.page_fields import PageFields
from gpt2_small.app.page.text_routes import TextRoutes
from gpt2_small.app.serving import fields
from gpt2_small.app.serving.model_thread import ModelThread
from gpt2_small.app.serving.responses import (
    HANDLERS,
    LINES,
    ClosingResponse,
    JsonAnswer,
    json_lines,
)
from gpt2_small.errors import UserError
from gpt2_small.generation.chat import refuse_without_roles

STATIC = Path(__file__).parents[1] / "static"
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}


class Page:
    """The page of a model, a learner's file and a run, each of which may be missing."""

    def __init__(self, models: Models, learner: LearnerFile | None) -> None:
        self.models, self.learner = models, learner
        self.thread = ModelThread()
        self.decoders = Decoders()
        self.end = asyncio.Event()

    def application(self) -> Starlette:
        """The routes."""
        page_fields = PageFields(self.models)
        return Starlette(
            routes=[
                Route("/", self.index),
                Route("/static/{name:path}", self.static),
                Route("/api/state", self.state),
                Route("/api/learn", self.learn),
                Route("/api/run", self.run),
                Route("/api/learn/key", self.press, methods=["POST"]),
                *TextRoutes(page_fields, self.thread, self.decoders).routes(),
                *ActivationRoutes(page_fields, self.thread, self.models).routes(),
            ],
            exception_handlers=HANDLERS,
        )

    def close(self) -> None:
        """End every stream."""
        self.end.set()
        self.thread.cancel_all()

    async def index(self, _request: Request) -> Response:
        """Serve the page."""
        return FileResponse(STATIC / "index.html", media_type=TYPES[".html"])

    async def static(self, request: Request) -> Response:
        """Serve a file of the page."""
        name = request.path_params["name"]
        files = {file.relative_to(STATIC).as_posix(): file for file in STATIC.rglob("*.*")}
        file = files.get(name)
        if file is None or file.suffix not in TYPES:
            raise UserError(f"the page has no file {name!r}")
        return FileResponse(file, media_type=TYPES[file.suffix])

    async def state(self, _request: Request) -> Response:
        """The available models, the learner's file and the run."""
        return JsonAnswer(await self.thread.result(self._state))

    def _state(self) -> dict[str, Any]:
        choices = self.models.choices()
        run = self.models.run()
        learner = self.learner
        state: dict[str, Any] = {
            "version": __version__,
            "models": choices,
            "problem": self.models.problem,
            "learner": None if learner is None else {"file": learner.shown_as},
            "run": None if run is None else str(run.folder),
            "bound": binding.describe(self.models.solution),
            "limits": {"new_tokens": fields.MOST_NEW_TOKENS, "tokens": fields.MOST_TOKENS},
        }
        if choices:
            shown = self.models.get(choices[0]["key"])
            state |= token_views.provenance(shown, self.models.name)
            state["tokenizer"] = shown.tokenizer.name
            state["vocab_size"] = shown.tokenizer.vocab_size
            state["problem"] = self.models.problem
            state["roles"] = shown.tokenizer.roles is not None
            state["examples"] = examples(shown.tokenizer)
            if not state["roles"]:
                state["no_roles"] = no_roles(shown)
        return state

    async def learn(self, _request: Request) -> Response:
        """Stream the state of the learner's file."""
        if self.learner is None:
            raise UserError("there is no file to check; start one with gpt2-small start my_gpt2.py")
        return self._followed(self.learner.states())

    async def press(self, request: Request) -> Response:
        """Press a key of `watch`: show a hint, or the next part."""
        asked = await fields.body_of(request)
        key = asked.get("key")
        if self.learner is None or key not in ("h", "n"):
            raise UserError(f"the key is {fields.shown(key)}; press h or n, with a file to check")
        self.learner.press(key)
        return JsonAnswer({})

    async def run(self, _request: Request) -> Response:
        """Stream the log of the run."""
        run = await self.thread.result(self.models.run)
        if run is None:
            raise UserError("this model is not a run and has no log")
        return self._followed(log_of(run.folder, self.end))

    def _followed(self, states: AsyncIterator[Any]) -> Response:
        async def written() -> AsyncIterator[str]:
            async for state in states:
                yield json_lines([state])

        return ClosingResponse(written(), ExitStack(), LINES)


def no_roles(shown: ShownModel) -> str:
    """The reason why this model cannot chat, with the commands to fine-tune it; else empty."""
    try:
        refuse_without_roles(shown.loaded)
    except UserError as error:
        return str(error)
    return ""
