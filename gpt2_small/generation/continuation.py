"""Record the tokens of a continuation as they are drawn, and detect its end."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import torch

from gpt2_small.generation.sampling.sampling_options import SamplingOptions
from gpt2_small.generation.stop_strings import StopText
from gpt2_small.tokenizers.protocol import StreamDecoder, Tokenizer

Finish = Literal["length", "stop", "interrupted"]

# A character has at most four bytes, so it can begin at most four tokens before the prompt's end.
TOKENS_OF_A_CHARACTER = 4


@dataclass(frozen=True)
class LikelyToken:
    """A candidate for the next token.

    log_probability: in nats, as in `DrawnToken`.
    """

    id: int
    text: str
    log_probability: float


@dataclass(frozen=True)
class ScoredToken:
    """A token of a given text, with its log-probability in nats.

    candidates: the most likely tokens at its position, in descending order.
    """

    id: int
    text: str
    log_probability: float
    candidates: tuple[LikelyToken, ...]


@dataclass(frozen=True)
class DrawnToken:
    """One token of one continuation.

    prompt, sample: of the continuation, both counted from 0.
    text: the text that it adds. It is empty while a character is incomplete or a stop string may
        have begun; the text then comes with a later token.
    log_probability: in nats, in the model's distribution over the tokenizer's tokens, before
        temperature, penalties and cuts; None unless candidates were requested.
    candidates: the most likely tokens in that distribution, in descending order.
    finish: None while the continuation is unfinished, `stop` after a stop string or token, `length`
        after max_new_tokens.
    """

    prompt: int
    sample: int
    id: int
    text: str
    log_probability: float | None
    candidates: tuple[LikelyToken, ...]
    finish: Finish | None


class Continuation:
    """The continuation of a prompt.

    prompt, sample: its numbers, both counted from 0.
    text: the text so far, without a possible beginning of a stop string.
    steps: a step for every token drawn, the stop token included.
    finish: as in `DrawnToken`, or `interrupted`.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt_ids: list[int],
        options: SamplingOptions,
        *,
        prompt: int,
        sample: int,
        device: torch.device,
    ) -> None:
        self.prompt, self.sample = prompt, sample
        self.prompt_ids = prompt_ids
        self.text = ""
        self.steps: list[DrawnToken] = []
        self.finish: Finish | None = None if options.max_new_tokens else "length"
        self.generator = torch.Generator(device).manual_seed(stream_seed(options.seed, sample))
        self._max_new_tokens = options.max_new_tokens
        self._stop_tokens = stop_tokens(tokenizer, options)
        self._stop_text = StopText(options.stop)
        self._decoder = StreamDecoder(tokenizer)
        for id in prompt_ids[-TOKENS_OF_A_CHARACTER:]:
            self._decoder.push(id)

    def take(
        self, id: int, log_probability: float | None, candidates: tuple[LikelyToken, ...]
    ) -> DrawnToken:
        """Add a token, and return its step."""
        text = "" if id in self._stop_tokens else self._stop_text.push(self._decoder.push(id))
        if id in self._stop_tokens or self._stop_text.is_complete:
            self.finish = "stop"
        elif len(self.steps) + 1 == self._max_new_tokens:
            self.finish = "length"
        if self.finish is not None:
            text += self._held_back()
        step = DrawnToken(
            self.prompt, self.sample, id, text, log_probability, candidates, self.finish
        )
        self.text += text
        self.steps.append(step)
        return step

    def interrupt(self) -> None:
        """End an unfinished continuation here; text held back for stop strings is added."""
        if self.finish is None:
            self.text += self._held_back()
            self.finish = "interrupted"

    def _held_back(self) -> str:
        return self._stop_text.push(self._decoder.finish()) + self._stop_text.finish()


def stream_seed(seed: int, sample: int) -> int:
    """The seed of one sample's generator, independent of those of other samples."""
    digest = hashlib.sha256(f"{seed} {sample}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


def stop_tokens(tokenizer: Tokenizer, options: SamplingOptions) -> frozenset[int]:
    """The tokens that end a continuation."""
    if options.stop_tokens is not None:
        return frozenset(options.stop_tokens)
    return tokenizer.ends
