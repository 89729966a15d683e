"""Parse the requests of OpenAI's clients, and refuse unknown fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpt2_small.app.serving import fields
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.generation import SamplingOptions

MOST_SAMPLES = 16
MOST_PROMPTS = 64
MOST_LOGPROBS = 20
DEFAULT_TOKENS = 16

# The supported fields of both kinds of requests.
COMMON = (
    *("model", "max_tokens", "n", "stop", "seed", "stream", "stream_options", "user"),
    *("temperature", "top_p", "top_k", "min_p", "typical_p", "no_repeat_ngram_size"),
    *("repetition_penalty", "frequency_penalty", "presence_penalty"),
)
OF_COMPLETIONS = (*COMMON, "prompt", "echo", "logprobs", "best_of", "add_special_tokens")
OF_CHAT = (*COMMON, "messages", "logprobs", "top_logprobs", "max_completion_tokens")
# Unsupported fields that are accepted with these neutral values.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "logit_bias": (None, {}),
    "suffix": (None, ""),
    "tools": (None, []),
    "tool_choice": (None, "none"),
    "response_format": (None, {"type": "text"}),
    "metadata": (None, {}),
    "store": (None, False),
    "add_special_tokens": (None, True),
}


@dataclass(frozen=True)
class CompletionRequest:
    """A parsed request for completions.

    prompts: texts or token ids.
    is_whole: whether the tokenizer adds the ids around a text, such as one before it.
    logprobs: the number of alternatives to each token; None for no log-probabilities.
    """

    options: SamplingOptions
    prompts: list[str | tuple[int, ...]]
    is_whole: bool
    messages: Any
    logprobs: int | None
    echo: bool
    stream: bool
    include_usage: bool


def completion(content: Mapping[str, Any]) -> CompletionRequest:
    """Parse a request for /v1/completions. Raises UserError for invalid or unsupported fields."""
    refuse_unknown(content, OF_COMPLETIONS)
    samples = fields.whole(content, "n", 1, 1, MOST_SAMPLES)
    if content.get("best_of") not in (None, samples):
        raise UserError(f"best_of is {fields.shown(content['best_of'])}; leave it out")
    logprobs = content.get("logprobs")
    if isinstance(logprobs, bool):
        raise UserError(f"logprobs is {logprobs}; give how many alternatives, 0 to {MOST_LOGPROBS}")
    if logprobs is not None:
        logprobs = fields.whole(content, "logprobs", None, 0, MOST_LOGPROBS)
    return CompletionRequest(
        options=sampling_options(content, "max_tokens", samples, logprobs),
        prompts=prompts_of(content.get("prompt")),
        is_whole=flag(content, "add_special_tokens", default=True),
        messages=None,
        logprobs=logprobs,
        echo=flag(content, "echo"),
        stream=flag(content, "stream"),
        include_usage=includes_usage(content),
    )


def chat(content: Mapping[str, Any]) -> CompletionRequest:
    """Parse a request for /v1/chat/completions. Raises UserError as `completion` does."""
    refuse_unknown(content, OF_CHAT)
    if fields.whole(content, "n", 1, 1, MOST_SAMPLES) != 1:
        raise UserError(f"n is {content['n']}; a conversation has one answer at a time")
    logprobs = None
    if flag(content, "logprobs"):
        logprobs = fields.whole(content, "top_logprobs", 0, 0, MOST_LOGPROBS)
    elif content.get("top_logprobs") is not None:
        raise UserError("top_logprobs needs logprobs; set it to true, or leave top_logprobs out")
    return CompletionRequest(
        options=sampling_options(content, length_field(content), 1, logprobs, default=256),
        prompts=[],
        is_whole=True,
        messages=with_joined_parts(content.get("messages")),
        logprobs=logprobs,
        echo=False,
        stream=flag(content, "stream"),
        include_usage=includes_usage(content),
    )


def with_joined_parts(messages: Any) -> Any:
    """The messages, with a content of several text parts joined by line breaks, as in vLLM.

    Raises UserError for a part that is not a text.
    """
    if not isinstance(messages, list):
        return messages
    joined = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            texts = [fields.text({"content": text_of(part)}, "content") for part in content]
            message = {**message, "content": "\n".join(texts)}
        joined.append(message)
    return joined


def text_of(part: Any) -> Any:
    """The text of a content part. Raises UserError for another kind of part, such as a picture."""
    if not isinstance(part, dict) or part.get("type") != "text":
        raise UserError(f"a part of a content is {fields.shown(part)}; give parts of type text")
    return part.get("text")


def length_field(content: Mapping[str, Any]) -> str:
    """The field with a chat's number of new tokens: `max_completion_tokens`, or its old name.

    Raises UserError when both are given and differ.
    """
    new, old = content.get("max_completion_tokens"), content.get("max_tokens")
    if new is not None and old is not None and new != old:
        raise UserError(
            f"max_completion_tokens is {fields.shown(new)} and max_tokens {fields.shown(old)}; "
            "give one of them"
        )
    return "max_tokens" if new is None else "max_completion_tokens"


def sampling_options(
    content: Mapping[str, Any],
    tokens: str,
    samples: int,
    logprobs: int | None,
    default: int = DEFAULT_TOKENS,
) -> SamplingOptions:
    """Parse the sampling options. `tokens`: the field with the number of new tokens."""
    if content.get("top_k") in (-1, 0):  # vLLM's values for no top-k
        content = {**content, "top_k": None}
    return SamplingOptions(
        max_new_tokens=fields.whole(content, tokens, default, 0, fields.MOST_NEW_TOKENS),
        stop=fields.stop_strings(content.get("stop")),
        seed=fields.seed_of(content),
        num_samples=samples,
        candidates=logprobs,
        **fields.penalties_and_cuts(content),
    )


def refuse_unknown(content: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises UserError for an unsupported field."""
    for name, value in content.items():
        if name in NEUTRAL and value in NEUTRAL[name]:
            continue
        if name not in known:
            hint = did_you_mean(name, known, otherwise="leave it out")
            raise UserError(f"{name} is not supported here; {hint}")


def prompts_of(prompt: Any) -> list[str | tuple[int, ...]]:
    """Parse one prompt or several, as texts or token ids."""
    if prompt is None:
        raise UserError("there is no prompt; give a text, token ids, or a list of either")
    given = prompt
    if isinstance(prompt, str) or (
        isinstance(prompt, list) and prompt and all(type(each) is int for each in prompt)
    ):
        given = [prompt]
    if not isinstance(given, list) or not given:
        raise UserError(f"prompt is {fields.shown(prompt)}; give a text or token ids")
    if len(given) > MOST_PROMPTS:
        raise UserError(f"there are {len(given)} prompts; give at most {MOST_PROMPTS} at a time")
    return [
        fields.text({"prompt": each}, "prompt")
        if isinstance(each, str)
        else fields.token_ids(each, "prompt")
        for each in given
    ]


def flag(content: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    """Parse a field that is true or false."""
    value = content.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise UserError(f"{name} is {fields.shown(value)}; give true or false")
    return value


def includes_usage(content: Mapping[str, Any]) -> bool:
    """Whether a stream is to end with the token counts."""
    options = content.get("stream_options") or {}
    if not isinstance(options, dict):
        raise UserError(f"stream_options is {fields.shown(options)}; give an object")
    return bool(options.get("include_usage"))
