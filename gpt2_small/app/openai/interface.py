"""Serve a model under the addresses that OpenAI's clients and evaluation harnesses ask."""

import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gpt2_small.app.models import Models, Shown
from gpt2_small.app.openai import completion_fields
from gpt2_small.app.openai.completion_fields import Asked
from gpt2_small.app.openai.completions import Chat, Completion
from gpt2_small.app.serving import fields
from gpt2_small.app.serving.answers import HANDLERS, error_answer, streamed
from gpt2_small.app.serving.turns import Turns
from gpt2_small.errors import UserError

EVENTS = "text/event-stream"
END_OF_EVENTS = "data: [DONE]\n\n"


class Interface:
    """One model's HTTP interface."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self.shown = models.get("main")
        self.turns = Turns()
        self.name = str(models.name)

    def application(self) -> Starlette:
        """The routes."""
        return Starlette(
            routes=[
                Route("/v1/models", self.list_models),
                Route("/v1/models/{name:path}", self.model),
                Route("/v1/completions", self.completions, methods=["POST"]),
                Route("/v1/chat/completions", self.chat_completions, methods=["POST"]),
                Route("/tokenize", self.tokenize, methods=["POST"]),
                Route("/detokenize", self.detokenize, methods=["POST"]),
                Route("/tokenizer_info", self.tokenizer_info),
            ],
            exception_handlers=HANDLERS,
        )

    def close(self) -> None:
        """End every stream."""
        self.turns.cancel_all()

    def _card(self) -> dict[str, Any]:
        config = self.shown.model.config
        return {
            "id": self.name,
            "object": "model",
            "created": 0,
            "owned_by": "gpt2-small",
            "max_model_len": config.n_ctx,
        }

    async def list_models(self, _request: Request) -> Response:
        """The one model."""
        return JSONResponse({"object": "list", "data": [self._card()]})

    async def model(self, request: Request) -> Response:
        """The model of this name."""
        return self._refusal(request.path_params["name"]) or JSONResponse(self._card())

    def _refusal(self, name: Any) -> Response | None:
        """A refusal for another model's name; a request without one asks for the one there is."""
        if name in (None, "", self.name):
            return None
        sentence = f"this server has no model {fields.shown(name)}; it has {self.name!r}"
        return error_answer(404, sentence)

    async def completions(self, request: Request) -> Response:
        """Texts that follow prompts."""
        return await self._answered(request, completion_fields.completion, Completion)

    async def chat_completions(self, request: Request) -> Response:
        """The answer to a conversation."""
        return await self._answered(request, completion_fields.chat, Chat)

    async def _answered(self, request: Request, read: Any, kind: Any) -> Response:
        content = await fields.body_of(request)
        refusal = self._refusal(content.get("model"))
        if refusal is not None:
            return refusal
        asked: Asked = read(content)
        shown: Shown = self.shown

        def work() -> Any:
            at_work = kind(shown, asked)
            at_work.head["model"] = self.name
            yield from at_work.chunks() if asked.stream else at_work.whole()

        if not asked.stream:
            return JSONResponse(await self.turns.result(work()))
        return await streamed(
            self.turns,
            work(),
            events,
            write_error=error_event,
            last=END_OF_EVENTS,
            media_type=EVENTS,
        )

    async def tokenize(self, request: Request) -> Response:
        """The ids of a text; of a special token's name alone, that token.

        add_special_tokens: whether to add the tokens that the tokenizer puts around a whole text.
        """
        content = await fields.body_of(request)
        refusal = self._refusal(content.get("model"))
        if refusal is not None:
            return refusal
        text = fields.text(content, "prompt")
        whole = content.get("add_special_tokens", True) is not False
        tokenizer = self.shown.tokenizer
        if text in tokenizer.special_tokens:
            ids = [tokenizer.special_tokens[text]]
        elif whole:
            ids = list(fields.encoded(tokenizer, text))
        else:
            ids = tokenizer.encode_ordinary(text)
        length = self.shown.model.config.n_ctx
        return JSONResponse({"tokens": ids, "count": len(ids), "max_model_len": length})

    async def detokenize(self, request: Request) -> Response:
        """The text of ids."""
        content = await fields.body_of(request)
        ids = fields.token_ids(content.get("tokens"), "tokens")
        return JSONResponse({"prompt": self.shown.tokenizer.decode(list(ids))})

    async def tokenizer_info(self, _request: Request) -> Response:
        """The facts that a client needs to use /tokenize as its tokenizer."""
        tokenizer = self.shown.tokenizer
        names = {id: name for name, id in tokenizer.special_tokens.items()}
        end, start = tokenizer.end_of_text, tokenizer.start_of_text
        return JSONResponse(
            {
                "name": tokenizer.name,
                "vocab_size": tokenizer.vocab_size,
                "model_max_length": self.shown.model.config.n_ctx,
                "eos_token": names.get(end) if end is not None else None,
                "bos_token": names.get(start) if start is not None else None,
                "pad_token": None,
                "chat_template": None,
            }
        )


def events(items: list[Any]) -> str:
    """Server-sent events."""
    return "".join(f"data: {json.dumps(item, separators=(',', ':'))}\n\n" for item in items)


def error_event(message: str) -> str:
    """A sentence as an event."""
    return events([{"error": {"message": message, "type": "server_error"}}])


def served(models: Models) -> Interface:
    """The interface of the main model. Raises UserError when there is none."""
    if models.name is None or models.problem is not None:
        raise UserError(models.problem or "there is no model")
    return Interface(models)
