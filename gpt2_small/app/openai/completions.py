"""Compute completions and chat completions in the formats of OpenAI's HTTP interface."""

import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

from gpt2_small.app.chat_messages import checked_messages, conversation_with
from gpt2_small.app.models import ShownModel
from gpt2_small.app.openai.completion_fields import CompletionRequest
from gpt2_small.app.serving.fields import encoded
from gpt2_small.app.token_views import checked_ids, logits_of, pieces, scored
from gpt2_small.errors import UserError
from gpt2_small.generation import DrawnToken, Stream
from gpt2_small.tokenizers.protocol import Tokenizer

Json = dict[str, Any]

FINISH = {"stop": "stop", "length": "length", "interrupted": "length", None: None}


def token_name(tokenizer: Tokenizer, id: int) -> str:
    """A token's text, or its bytes in OpenAI's notation if they are not valid UTF-8."""
    content = tokenizer.decode_bytes([id])
    try:
        return content.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in content)


class Logprobs:
    """The log-probabilities of a choice's tokens, in the format of completions."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.tokens: list[str] = []
        self.token_logprobs: list[float | None] = []
        self.top_logprobs: list[dict[str, float] | None] = []
        self.text_offset: list[int] = []
        self._offset = 0

    def add(self, id: int, text: str, lp: float | None, best: Sequence[tuple[int, float]]) -> None:
        """Add a token; `text`: the text that it adds to the choice."""
        name = token_name(self._tokenizer, id)
        self.tokens.append(name)
        self.token_logprobs.append(lp)
        top = {token_name(self._tokenizer, other): value for other, value in best}
        self.top_logprobs.append(None if lp is None else {**top, name: lp})
        self.text_offset.append(self._offset)
        self._offset += len(text)

    def as_json(self) -> Json:
        """The JSON object for clients."""
        names = ("tokens", "token_logprobs", "top_logprobs", "text_offset")
        return {name: getattr(self, name) for name in names}


class Completion:
    """A running request for completions; `whole` or `chunks` computes it, one token at a time."""

    def __init__(self, shown: ShownModel, asked: CompletionRequest) -> None:
        self.shown, self.asked = shown, asked
        tokenizer, n_ctx = shown.tokenizer, shown.model.config.n_ctx
        self.prompts = [
            checked_ids(
                shown,
                encoded(tokenizer, prompt, is_whole=asked.is_whole)
                if isinstance(prompt, str)
                else list(prompt),
            )
            for prompt in asked.prompts
        ]
        asked.options.check_by(shown.solution)
        longest = max(map(len, self.prompts))
        if asked.echo and asked.logprobs is not None and longest > n_ctx:
            raise UserError(
                f"a prompt has {longest:,} tokens, more than the {n_ctx:,} that {shown.label} can "
                "score; give a shorter one"
            )
        self.head: Json = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": shown.label,
        }
        if asked.include_usage:
            self.head["usage"] = None
        self._stream = Stream(shown.solution, shown.loaded, self.prompts, asked.options)

    def whole(self) -> Iterator[Json | None]:
        """Yield None after each step, and the whole response at the end."""
        samples = self.asked.options.num_samples
        rows = self._stream.rows
        texts = ["" for _ in rows]
        logprobs = [Logprobs(self.shown.tokenizer) for _ in rows]
        for number, prompt in enumerate(self.prompts):
            for item in self._echoed(prompt):
                if item is None:
                    yield None
                    continue
                for row in range(number * samples, (number + 1) * samples):
                    texts[row] += item[1]
                    logprobs[row].add(*item)
        for step in self._stream:
            logprobs[step.prompt * samples + step.sample].add(*self._logprob(step))
            yield None
        choices = [
            {
                "index": number,
                "text": texts[number] + row.text,
                "finish_reason": FINISH[row.finish],
                "logprobs": None if self.asked.logprobs is None else logprobs[number].as_json(),
            }
            for number, row in enumerate(rows)
        ]
        yield {**self.head, "choices": choices, "usage": self.usage()}

    def chunks(self) -> Iterator[Json]:
        """Yield the response token by token."""
        samples = self.asked.options.num_samples
        for number, prompt in enumerate(self.prompts):
            echoed = [item for item in self._echoed(prompt) if item is not None]
            if echoed:
                for row in range(number * samples, (number + 1) * samples):
                    yield self._chunk(row, echoed, None)
        for step in self._stream:
            row = step.prompt * samples + step.sample
            yield self._chunk(row, [self._logprob(step)], FINISH[step.finish])
        if not self.asked.options.max_new_tokens:
            for row in range(len(self._stream.rows)):
                yield self._chunk(row, [], "length")
        if self.asked.include_usage:
            yield {**self.head, "choices": [], "usage": self.usage()}

    def usage(self) -> Json:
        """The counts of tokens."""
        prompt = sum(map(len, self.prompts))
        completion = sum(len(row.steps) for row in self._stream.rows)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }

    def _chunk(self, row: int, items: Sequence[Any], finish: str | None) -> Json:
        logprobs = Logprobs(self.shown.tokenizer)
        for item in items:
            logprobs.add(*item)
        choice = {
            "index": row,
            "text": "".join(item[1] for item in items),
            "finish_reason": finish,
            "logprobs": None if self.asked.logprobs is None else logprobs.as_json(),
        }
        return {**self.head, "choices": [choice]}

    def _logprob(self, step: DrawnToken) -> tuple[int, str, float | None, list[tuple[int, float]]]:
        best = [(other.id, other.log_probability) for other in step.candidates]
        return step.id, step.text, step.log_probability, best

    def _echoed(self, prompt: list[int]) -> Iterator[Any]:
        """The prompt's tokens as arguments of `Logprobs.add`, if `echo` is set."""
        if not self.asked.echo:
            return
        shown, wanted = self.shown, self.asked.logprobs
        logits = None if wanted is None or len(prompt) < 2 else logits_of(shown, prompt)
        yield None
        for position, piece in enumerate(pieces(shown.tokenizer, prompt)):
            if logits is None or position == 0:
                yield prompt[position], piece["text"], None, []
                continue
            log_probs = logits[position - 1].float().log_softmax(dim=-1)
            found = scored(shown, log_probs, prompt[position], wanted or 0)
            best = [(id, lp) for id, _, lp in found["candidates"]]
            yield prompt[position], piece["text"], found["lp"], best


class ChatCompletion:
    """A running request for a chat completion."""

    def __init__(self, shown: ShownModel, asked: CompletionRequest) -> None:
        self.shown, self.asked = shown, asked
        messages = checked_messages(asked.messages)
        chat = conversation_with(shown, messages, asked.options)
        self._reply = chat.reply(messages[-1]["content"])
        self._prompt_tokens = len(chat.prompt())
        self.head: Json = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion.chunk" if asked.stream else "chat.completion",
            "created": int(time.time()),
            "model": shown.label,
        }
        if asked.include_usage:
            self.head["usage"] = None

    def whole(self) -> Iterator[Json | None]:
        """Yield None after each step, and the whole response at the end."""
        content = []
        for step in self._reply:
            if self.asked.logprobs is not None:
                content.append(self._logprob(step))
            yield None
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": self._reply.text},
            "finish_reason": FINISH[self._reply.finish],
            "logprobs": None if self.asked.logprobs is None else {"content": content},
        }
        yield {**self.head, "choices": [choice], "usage": self.usage()}

    def chunks(self) -> Iterator[Json]:
        """Yield the response token by token."""
        sent = 0
        yield self._chunk({"role": "assistant", "content": ""}, [], None)
        for step in self._reply:
            sent += len(step.text)
            yield self._chunk({"content": step.text}, [step], None)
        rest = self._reply.text[sent:]  # held back as a possible beginning of a stop string
        yield self._chunk({"content": rest} if rest else {}, [], FINISH[self._reply.finish])
        if self.asked.include_usage:
            yield {**self.head, "choices": [], "usage": self.usage()}

    def usage(self) -> Json:
        """The counts of tokens."""
        prompt, completion = self._prompt_tokens, len(self._reply.steps)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }

    def _chunk(self, delta: Json, steps: Sequence[DrawnToken], finish: str | None) -> Json:
        logprobs = None
        if self.asked.logprobs is not None and steps:
            logprobs = {"content": [self._logprob(step) for step in steps]}
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        return {**self.head, "choices": [choice]}

    def _logprob(self, step: DrawnToken) -> Json:
        best = [(other.id, other.log_probability) for other in step.candidates]
        return self._entry(step.id, step.log_probability) | {
            "top_logprobs": [self._entry(id, lp) for id, lp in best]
        }

    def _entry(self, id: int, lp: float | None) -> Json:
        content = self.shown.tokenizer.decode_bytes([id])
        name = token_name(self.shown.tokenizer, id)
        return {"token": name, "logprob": lp, "bytes": list(content)}
