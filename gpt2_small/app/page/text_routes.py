"""Answer the page's requests on texts: tokens, continuations, probabilities, candidates."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gpt2_small.app import token_views
from gpt2_small.app.chat_messages import answer, checked_messages, conversation_with
from gpt2_small.app.decoder_cache import Decoders
from gpt2_small.app.page.page_fields import PageFields
from gpt2_small.app.serving import fields
from gpt2_small.app.serving.model_thread import ModelThread
from gpt2_small.app.serving.responses import JsonAnswer, lines


class TextRoutes:
    """Routes for texts.

    decoders: the decoders of the conversations.
    """

    def __init__(self, page_fields: PageFields, thread: ModelThread, decoders: Decoders) -> None:
        self._fields, self._thread, self._decoders = page_fields, thread, decoders

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/api/tokens", self.tokens, methods=["POST"]),
            Route("/api/continue", self.continued, methods=["POST"]),
            Route("/api/chat", self.chat, methods=["POST"]),
            Route("/api/scores", self.scores, methods=["POST"]),
            Route("/api/next", self.next, methods=["POST"]),
        ]

    async def tokens(self, request: Request) -> Response:
        """Encode a text."""
        asked = await fields.body_of(request)

        def work() -> dict[str, Any]:
            shown = self._fields.shown(asked)
            ids = token_views.checked_ids(shown, self._fields.ids(shown, asked))
            return {"tokens": token_views.pieces(shown.tokenizer, ids)}

        return JsonAnswer(await self._thread.result(work))

    async def continued(self, request: Request) -> Response:
        """Continue a text: a line with the options, then one for each token."""
        asked = await fields.body_of(request)
        options = fields.sampling_options(asked)
        conversation = fields.text(asked, "conversation", "")

        def work() -> Iterator[Any]:
            shown = self._fields.shown(asked)
            options.check_by(shown.solution)
            ids = token_views.checked_ids(shown, self._fields.ids(shown, asked))
            yield {
                "seed": options.seed,
                "options": dataclasses.asdict(options),
                "tokens": token_views.pieces(shown.tokenizer, ids, goes_on=True),
            }
            with self._decoders.of(shown, conversation) as decoder:
                yield from token_views.continuation(shown, ids, options, decoder)

        return await lines(self._thread, work())

    async def chat(self, request: Request) -> Response:
        """Answer the last message: a line with the options, then one for each token."""
        asked = await fields.body_of(request)
        options = fields.sampling_options(asked)
        messages = checked_messages(asked.get("messages"))
        conversation = fields.text(asked, "conversation", "")

        def work() -> Iterator[Any]:
            shown = self._fields.shown(asked)
            with self._decoders.of(shown, conversation) as decoder:
                chat = conversation_with(shown, messages, options, decoder)
                reply = chat.reply(messages[-1]["content"])
                yield {"seed": options.seed, "options": dataclasses.asdict(options)}
                yield from answer(shown, reply)

        return await lines(self._thread, work())

    async def scores(self, request: Request) -> Response:
        """Compute the log-probability and rank of each token of a text."""
        asked = await fields.body_of(request)
        candidates = fields.whole(asked, "candidates", fields.CANDIDATES, 1, fields.MOST_CANDIDATES)

        def work() -> Iterator[Any]:
            shown = self._fields.shown(asked)
            ids = token_views.checked_ids(shown, self._fields.ids(shown, asked))
            yield from token_views.scores(shown, ids, candidates)

        return await lines(self._thread, work())

    async def next(self, request: Request) -> Response:
        """List the candidates after a text, before and after temperature and cuts."""
        asked = await fields.body_of(request)
        options = fields.sampling_options(asked)

        def work() -> dict[str, Any]:
            shown = self._fields.shown(asked)
            options.check_by(shown.solution)
            ids = token_views.checked_ids(shown, self._fields.ids(shown, asked))
            prompt = fields.whole(asked, "prompt_length", len(ids), 0, len(ids))
            return token_views.next_tokens(shown, ids, prompt, options)

        return JsonAnswer(await self._thread.result(work))
