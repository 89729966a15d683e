"""Record a continuation as its tokens are drawn, and find its end."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import torch

from gpt2_small.generation.sampling_options import SamplingOptions
from gpt2_small.generation.stop_strings import StopText
from gpt2_small.tokenizers.protocol import StreamDecoder, Tokenizer

Finish = Literal["length", "stop", "interrupted"]

# A character has at most four bytes, so no more tokens of a prompt can hold its beginning.
TOKENS_OF_A_CHARACTER = 4


@dataclass(frozen=True)
class LikelyToken:
    """A token that could come next.

    log_probability: in nats, as in `Step`.
    """

    id: int
    text: str
    log_probability: float


@dataclass(frozen=True)
class ScoredToken:
    """A token of a given text, with the log-probability of it in its place, in nats.

    candidates: the most likely tokens there, the first the most likely.
    """

    id: int
    text: str
    log_probability: float
    candidates: tuple[LikelyToken, ...]


@dataclass(frozen=True)
class Step:
    """One token of one continuation.

    prompt, sample: whose, both counted from 0.
    text: what it makes certain of the continuation's text. It is empty while a character is
        incomplete or a stop string may have begun, and then comes with a later token.
    log_probability: in nats, in the distribution that the model gives over the tokenizer's tokens,
        before temperature, penalties and cuts; None unless candidates were asked for.
    candidates: the most likely tokens in that distribution, the first the most likely.
    finish: None while the continuation goes on, `stop` after a stop string or token, `length` after
        max_new_tokens.
    """

    prompt: int
    sample: int
    id: int
    text: str
    log_probability: float | None
    candidates: tuple[LikelyToken, ...]
    finish: Finish | None


class Continuation:
    """The continuation of a prompt, while it is drawn and after.

    prompt, sample: whose, both counted from 0.
    text: what is certain of it so far.
    steps: a step for every token that was drawn, the one that ended it included.
    finish: as in `Step`; `interrupted` when it was ended before its end.
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
        self.steps: list[Step] = []
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
    ) -> Step:
        """Add a token."""
        text = "" if id in self._stop_tokens else self._stop_text.push(self._decoder.push(id))
        if id in self._stop_tokens or self._stop_text.is_complete:
            self.finish = "stop"
        elif len(self.steps) + 1 == self._max_new_tokens:
            self.finish = "length"
        if self.finish is not None:
            text += self._held_back()
        step = Step(self.prompt, self.sample, id, text, log_probability, candidates, self.finish)
        self.text += text
        self.steps.append(step)
        return step

    def interrupt(self) -> None:
        """End it here, unless it has ended; what was held back becomes part of the text."""
        if self.finish is None:
            self.text += self._held_back()
            self.finish = "interrupted"

    def _held_back(self) -> str:
        return self._stop_text.push(self._decoder.finish()) + self._stop_text.finish()


def stream_seed(seed: int, sample: int) -> int:
    """The seed of one sample's own random numbers, unrelated to those of others."""
    digest = hashlib.sha256(f"{seed} {sample}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


def stop_tokens(tokenizer: Tokenizer, options: SamplingOptions) -> frozenset[int]:
    """The tokens that end a continuation."""
    if options.stop_tokens is not None:
        return frozenset(options.stop_tokens)
    return tokenizer.ends
