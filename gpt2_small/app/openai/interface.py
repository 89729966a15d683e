"""Serve the routes that OpenAI's clients and evaluation harnesses request."""

import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gpt2_small.app.models import Models, ShownModel
from gpt2_small.app.openai import completion_fields
from gpt2_small.app.openai.completion_fields import CompletionRequest
from gpt2_small.app.openai.completions import ChatCompletion, Completion
from gpt2_small.app.serving import fields
from gpt2_small.app.serving.model_thread import ModelThread
from gpt2_small.app.serving.responses import (
    HANDLERS,
    JsonAnswer,
    error_answer,
    result_for,
    streamed,
)
from gpt2_small.errors import UserError

EVENTS = "text/event-stream"
END_OF_EVENTS = "data: [DONE]\n\n"


class Interface:
    """One model's HTTP interface."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self.shown = models.get("main")
        self.thread = ModelThread()
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
        self.thread.cancel_all()

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
        """List the model."""
        return JsonAnswer({"object": "list", "data": [self._card()]})

    async def model(self, request: Request) -> Response:
        """Describe the model of this name."""
        return self._refusal(request.path_params["name"]) or JsonAnswer(self._card())

    def _refusal(self, name: Any) -> Response | None:
        """The response to another model's name; None for the model's own name or without one."""
        if name in (None, "", self.name):
            return None
        sentence = f"this server has no model {fields.shown(name)}; it has {self.name!r}"
        return error_answer(404, sentence)

    async def completions(self, request: Request) -> Response:
        """Continue prompts."""
        return await self._answered(request, completion_fields.completion, Completion)

    async def chat_completions(self, request: Request) -> Response:
        """Answer a conversation."""
        return await self._answered(request, completion_fields.chat, ChatCompletion)

    async def _answered(self, request: Request, read: Any, kind: Any) -> Response:
        content = await fields.body_of(request)
        refusal = self._refusal(content.get("model"))
        if refusal is not None:
            return refusal
        asked: CompletionRequest = read(content)
        shown: ShownModel = self.shown

        def work() -> Any:
            completion = kind(shown, asked)
            completion.head["model"] = self.name
            yield from completion.chunks() if asked.stream else completion.whole()

        if not asked.stream:
            return JsonAnswer(await result_for(request, self.thread, work()))
        return await streamed(
            self.thread,
            work(),
            events,
            write_error=error_event,
            last=END_OF_EVENTS,
            media_type=EVENTS,
        )

    async def tokenize(self, request: Request) -> Response:
        """Encode a text; a special token's name alone becomes that token.

        add_special_tokens: whether to add the ids that the tokenizer adds around a whole text.
        """
        content = await fields.body_of(request)
        refusal = self._refusal(content.get("model"))
        if refusal is not None:
            return refusal
        text = fields.text(content, "prompt")
        is_whole = completion_fields.flag(content, "add_special_tokens", default=True)
        tokenizer = self.shown.tokenizer
        if text in tokenizer.special_tokens:
            ids = [tokenizer.special_tokens[text]]
        else:
            ids = list(fields.encoded(tokenizer, text, is_whole=is_whole))
        length = self.shown.model.config.n_ctx
        return JsonAnswer({"tokens": ids, "count": len(ids), "max_model_len": length})

    async def detokenize(self, request: Request) -> Response:
        """Decode ids."""
        content = await fields.body_of(request)
        refusal = self._refusal(content.get("model"))
        if refusal is not None:
            return refusal
        ids = fields.token_ids(content.get("tokens"), "tokens")
        known = self.shown.tokenizer.vocab_size
        for id in ids:
            if not 0 <= id < known:
                raise UserError(f"tokens contains {id}, and the tokenizer has 0 to {known - 1}")
        return JsonAnswer({"prompt": self.shown.tokenizer.decode(list(ids))})

    async def tokenizer_info(self, _request: Request) -> Response:
        """Describe the tokenizer, for clients that use /tokenize."""
        tokenizer = self.shown.tokenizer
        names = {id: name for name, id in tokenizer.special_tokens.items()}
        end, start = tokenizer.end_of_text, tokenizer.start_of_text
        return JsonAnswer(
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
    """Format items as server-sent events."""
    return "".join(f"data: {json.dumps(item, separators=(',', ':'))}\n\n" for item in items)


def error_event(message: str) -> str:
    """Format an error message as an event."""
    return events([{"error": {"message": message, "type": "server_error"}}])


def served(models: Models) -> Interface:
    """Make the interface of the main model. Raises UserError when there is none."""
    if models.name is None or models.problem is not None:
        raise UserError(models.problem or "there is no model")
    return Interface(models)
