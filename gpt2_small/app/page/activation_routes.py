"""Answer the page's requests for a model's activations on a text."""

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gpt2_small.app import ablation, activation_views
from gpt2_small.app.activation_views import ActivationCache
from gpt2_small.app.models import REFERENCE, Models, ShownModel
from gpt2_small.app.page.page_fields import PageFields
from gpt2_small.app.serving import fields
from gpt2_small.app.serving.model_thread import ModelThread
from gpt2_small.app.serving.responses import JsonAnswer, lines
from gpt2_small.errors import UserError

MOST_ABLATED = 64


class ActivationRoutes:
    """Routes for attention heads, the logit lens and ablation."""

    def __init__(self, page_fields: PageFields, thread: ModelThread, models: Models) -> None:
        self._fields, self._thread, self._models = page_fields, thread, models
        self._observations = ActivationCache()

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/api/look", self.look, methods=["POST"]),
            Route("/api/head", self.head, methods=["POST"]),
            Route("/api/lens", self.lens, methods=["POST"]),
            Route("/api/ablate", self.ablate, methods=["POST"]),
            Route("/api/ablations", self.ablations, methods=["POST"]),
        ]

    async def look(self, request: Request) -> Response:
        """Loss and residual norms on a text, then a line for each layer's attention heads."""
        asked = await fields.body_of(request)

        def work() -> Iterator[Any]:
            shown = self._fields.shown(asked)
            reference = None
            if asked.get("compare") is True and shown.key != REFERENCE:
                reference = self._models.get(REFERENCE)
            yield from activation_views.overview(
                shown, self._observations, self._fields.ids(shown, asked), reference
            )

        return await lines(self._thread, work())

    async def head(self, request: Request) -> Response:
        """One head's attention pattern, as float32."""
        asked = await fields.body_of(request)

        def work() -> bytes:
            shown = self._fields.shown(asked)
            layer, head = self._head(shown, asked.get("layer"), asked.get("head"))
            return activation_views.head_pattern(
                shown, self._observations, self._fields.ids(shown, asked), layer, head
            )

        content = await self._thread.result(work)
        return Response(content, media_type="application/octet-stream")

    async def lens(self, request: Request) -> Response:
        """The logit lens: a line for each layer."""
        asked = await fields.body_of(request)
        start = fields.whole(asked, "start", 0, 0, fields.MOST_TOKENS)
        stop = fields.whole(asked, "stop", start + 1, start + 1, fields.MOST_TOKENS)

        def work() -> Iterator[Any]:
            shown = self._fields.shown(asked)
            yield from activation_views.lens(
                shown, self._observations, self._fields.ids(shown, asked), start, stop
            )

        return await lines(self._thread, work())

    async def ablate(self, request: Request) -> Response:
        """Loss and candidates without some heads."""
        asked = await fields.body_of(request)

        def work() -> dict[str, Any]:
            shown = self._fields.shown(asked)
            ids = self._fields.ids(shown, asked)
            heads = asked.get("heads")
            if not isinstance(heads, list) or len(heads) > MOST_ABLATED:
                way_out = f"give up to {MOST_ABLATED} pairs of layer and head"
                raise UserError(f"heads is {fields.shown(heads)}; {way_out}")
            pairs = [self._head(shown, *self._pair(pair)) for pair in heads]
            last = max(0, len(ids) - 1)
            position = fields.whole(asked, "position", last, 0, last)
            return ablation.ablated(
                shown, self._observations, ids, pairs, position, fields.CANDIDATES
            )

        return JsonAnswer(await self._thread.result(work))

    async def ablations(self, request: Request) -> Response:
        """The loss without each head in turn: a line for each."""
        asked = await fields.body_of(request)

        def work() -> Iterator[Any]:
            shown = self._fields.shown(asked)
            yield from ablation.every_ablation(
                shown, self._observations, self._fields.ids(shown, asked)
            )

        return await lines(self._thread, work())

    def _pair(self, pair: Any) -> tuple[Any, Any]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise UserError(f"a head is {fields.shown(pair)}; give its layer and its number")
        return pair[0], pair[1]

    def _head(self, shown: ShownModel, layer: Any, head: Any) -> tuple[int, int]:
        config = shown.model.config
        asked = {"layer": layer, "head": head}
        return (
            fields.whole(asked, "layer", None, 0, config.n_layers - 1),
            fields.whole(asked, "head", None, 0, config.n_heads - 1),
        )
