"""Answer the page's questions about the model, the learner's file and the run."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from gpt2_small import __version__, binding
from gpt2_small.app import fields, looking, texts
from gpt2_small.app.answers import HANDLERS, LINES, Closing, json_lines, lines
from gpt2_small.app.decoders import Decoders
from gpt2_small.app.learning import Learner, log_of
from gpt2_small.app.looking import Looks
from gpt2_small.app.models import MAIN, REFERENCE, Models, Shown
from gpt2_small.app.talking import answer, checked_messages, conversation_with
from gpt2_small.app.turns import Turns
from gpt2_small.errors import UserError
from gpt2_small.generation.conversation import refuse_without_roles

STATIC = Path(__file__).with_name("static")
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
MOST_ABLATED = 64


class Page:
    """The page of one model, one learner's file, one run: each may be missing."""

    def __init__(self, models: Models, learner: Learner | None) -> None:
        self.models, self.learner = models, learner
        self.turns = Turns()
        self.looks = Looks()
        self.decoders = Decoders()
        self.end = asyncio.Event()

    def application(self) -> Starlette:
        """The routes."""

        def asked(path: str, answer: Any) -> Route:
            return Route(f"/api/{path}", answer, methods=["POST"])

        return Starlette(
            routes=[
                Route("/", self.index),
                Route("/static/{name}", self.static),
                Route("/api/state", self.state),
                Route("/api/learn", self.learn),
                Route("/api/run", self.run),
                asked("tokens", self.tokens),
                asked("continue", self.continued),
                asked("chat", self.chat),
                asked("scores", self.scores),
                asked("next", self.next),
                asked("look", self.look),
                asked("head", self.head),
                asked("lens", self.lens),
                asked("ablate", self.ablate),
                asked("ablations", self.ablations),
                asked("learn/key", self.press),
            ],
            exception_handlers=HANDLERS,
        )

    def close(self) -> None:
        """End every stream."""
        self.end.set()
        self.turns.cancel_all()

    async def index(self, _request: Request) -> Response:
        """The page itself."""
        return FileResponse(STATIC / "index.html", media_type=TYPES[".html"])

    async def static(self, request: Request) -> Response:
        """A file of the page."""
        name = request.path_params["name"]
        path = STATIC / name
        if path.suffix not in TYPES or name not in {file.name for file in STATIC.iterdir()}:
            raise UserError(f"the page has no file {name!r}")
        return FileResponse(path, media_type=TYPES[path.suffix])

    async def state(self, _request: Request) -> Response:
        """What there is to see."""
        return JSONResponse(await self.turns.result(self._state))

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
            state |= texts.provenance(shown, self.models.name)
            state["tokenizer"] = shown.tokenizer.name
            state["vocab_size"] = shown.tokenizer.vocab_size
            state["problem"] = self.models.problem
            state["roles"] = shown.tokenizer.roles is not None
            if not state["roles"]:
                state["no_roles"] = no_roles(shown)
        return state

    async def tokens(self, request: Request) -> Response:
        """The tokens of a text."""
        asked = await fields.body_of(request)

        def work() -> dict[str, Any]:
            shown = self._shown(asked)
            ids = texts.checked_ids(shown, self._ids(shown, asked))
            return {"tokens": texts.pieces(shown.tokenizer, ids)}

        return JSONResponse(await self.turns.result(work))

    async def continued(self, request: Request) -> Response:
        """A text as it is written on: first its options, then a token a line."""
        asked = await fields.body_of(request)
        options = fields.sampling_options(asked)
        conversation = fields.text(asked, "conversation", "")

        def work() -> Iterator[Any]:
            shown = self._shown(asked)
            options.check_by(shown.solution)
            ids = texts.checked_ids(shown, self._ids(shown, asked))
            yield {
                "seed": options.seed,
                "options": dataclasses.asdict(options),
                "tokens": texts.pieces(shown.tokenizer, ids),
            }
            with self.decoders.of(shown, conversation) as decoder:
                yield from texts.continuation(shown, ids, options, decoder)

        return await lines(self.turns, work())

    async def chat(self, request: Request) -> Response:
        """The answer to the last message: first its options, then a token a line."""
        asked = await fields.body_of(request)
        options = fields.sampling_options(asked)
        messages = checked_messages(asked.get("messages"))
        conversation = fields.text(asked, "conversation", "")

        def work() -> Iterator[Any]:
            shown = self._shown(asked)
            with self.decoders.of(shown, conversation) as decoder:
                talk = conversation_with(shown, messages, options, decoder)
                reply = talk.reply(messages[-1]["content"])
                yield {"seed": options.seed, "options": dataclasses.asdict(options)}
                yield from answer(shown, reply)

        return await lines(self.turns, work())

    async def scores(self, request: Request) -> Response:
        """How likely each token of a text is."""
        asked = await fields.body_of(request)
        candidates = fields.whole(asked, "candidates", fields.CANDIDATES, 1, fields.MOST_CANDIDATES)

        def work() -> Iterator[Any]:
            shown = self._shown(asked)
            ids = texts.checked_ids(shown, self._ids(shown, asked))
            yield from texts.scores(shown, ids, candidates)

        return await lines(self.turns, work())

    async def next(self, request: Request) -> Response:
        """The candidates after a text, before and after temperature and cuts."""
        asked = await fields.body_of(request)
        options = fields.sampling_options(asked)

        def work() -> dict[str, Any]:
            shown = self._shown(asked)
            options.check_by(shown.solution)
            ids = texts.checked_ids(shown, self._ids(shown, asked))
            prompt = fields.whole(asked, "prompt_length", len(ids), 0, len(ids))
            return texts.next_tokens(shown, ids, prompt, options)

        return JSONResponse(await self.turns.result(work))

    async def look(self, request: Request) -> Response:
        """What happens in the model on a text: an overview, then a line for each layer."""
        asked = await fields.body_of(request)

        def work() -> Iterator[Any]:
            shown = self._shown(asked)
            reference = None
            if asked.get("compare") is True and shown.key != REFERENCE:
                reference = self.models.get(REFERENCE)
            yield from looking.overview(shown, self.looks, self._ids(shown, asked), reference)

        return await lines(self.turns, work())

    async def head(self, request: Request) -> Response:
        """One head's attention pattern, as float32."""
        asked = await fields.body_of(request)

        def work() -> bytes:
            shown = self._shown(asked)
            layer, head = self._head(shown, asked.get("layer"), asked.get("head"))
            return looking.head_pattern(shown, self.looks, self._ids(shown, asked), layer, head)

        content = await self.turns.result(work)
        return Response(content, media_type="application/octet-stream")

    async def lens(self, request: Request) -> Response:
        """What each layer would say: a line for each."""
        asked = await fields.body_of(request)
        start = fields.whole(asked, "start", 0, 0, fields.MOST_TOKENS)
        stop = fields.whole(asked, "stop", start + 1, start + 1, fields.MOST_TOKENS)

        def work() -> Iterator[Any]:
            shown = self._shown(asked)
            yield from looking.lens(shown, self.looks, self._ids(shown, asked), start, stop)

        return await lines(self.turns, work())

    async def ablate(self, request: Request) -> Response:
        """Loss and candidates without some heads."""
        asked = await fields.body_of(request)

        def work() -> dict[str, Any]:
            shown = self._shown(asked)
            ids = self._ids(shown, asked)
            heads = asked.get("heads")
            if not isinstance(heads, list) or len(heads) > MOST_ABLATED:
                raise UserError(f"heads is {fields.shown(heads)}; give pairs of layer and head")
            pairs = [self._head(shown, *self._pair(pair)) for pair in heads]
            position = fields.whole(asked, "position", max(0, len(ids) - 1), 0, len(ids) - 1)
            return looking.ablated(shown, self.looks, ids, pairs, position, fields.CANDIDATES)

        return JSONResponse(await self.turns.result(work))

    async def ablations(self, request: Request) -> Response:
        """The loss without each head in turn: a line for each."""
        asked = await fields.body_of(request)

        def work() -> Iterator[Any]:
            shown = self._shown(asked)
            yield from looking.every_ablation(shown, self.looks, self._ids(shown, asked))

        return await lines(self.turns, work())

    async def learn(self, _request: Request) -> Response:
        """The state of the learner's file, again after every change."""
        if self.learner is None:
            raise UserError("there is no file to check; start one with gpt2-small start my_gpt2.py")
        return self._followed(self.learner.states())

    async def press(self, request: Request) -> Response:
        """A hint, or the next part."""
        asked = await fields.body_of(request)
        key = asked.get("key")
        if self.learner is None or key not in ("h", "n"):
            raise UserError(f"the key is {fields.shown(key)}; press h or n, with a file to check")
        self.learner.press(key)
        return JSONResponse({})

    async def run(self, _request: Request) -> Response:
        """The log of the run, again whenever it grows."""
        run = await self.turns.result(self.models.run)
        if run is None:
            raise UserError("this model is no run, so it has no log")
        return self._followed(log_of(run.folder, self.end))

    def _followed(self, states: AsyncIterator[Any]) -> Response:
        async def written() -> AsyncIterator[str]:
            async for state in states:
                yield json_lines([state])

        return Closing(written(), ExitStack(), LINES)

    def _shown(self, asked: dict[str, Any]) -> Shown:
        return self.models.get(fields.text(asked, "model", MAIN))

    def _ids(self, shown: Shown, asked: dict[str, Any]) -> tuple[int, ...]:
        if "ids" in asked:
            return fields.token_ids(asked["ids"])
        return fields.encoded(shown.tokenizer, fields.text(asked, "text"))

    def _pair(self, pair: Any) -> tuple[Any, Any]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise UserError(f"a head is {fields.shown(pair)}; give its layer and its number")
        return pair[0], pair[1]

    def _head(self, shown: Shown, layer: Any, head: Any) -> tuple[int, int]:
        config = shown.model.config
        asked = {"layer": layer, "head": head}
        return (
            fields.whole(asked, "layer", None, 0, config.n_layers - 1),
            fields.whole(asked, "head", None, 0, config.n_heads - 1),
        )


def no_roles(shown: Shown) -> str:
    """Why this model holds no conversation, and what would teach it."""
    try:
        refuse_without_roles(shown.loaded)
    except UserError as error:
        return str(error)
    return ""
