"""Define and validate the options of sampling."""

import math
from dataclasses import dataclass
from types import ModuleType

import torch

from gpt2_small.errors import UserError


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Options of sampling. Penalties and cuts apply in the order of the fields, as in transformers.

    max_new_tokens: 0 draws none, and the model is not run.
    repetition_penalty: divides positive logits of tokens in the prompt or the continuation, and
        multiplies negative ones (Keskar et al. 2019, "CTRL", section 4.1); 1 changes nothing.
    frequency_penalty: subtracted from a token's logit for each occurrence in the continuation; 0
        changes nothing, a negative one encourages repetition.
    presence_penalty: subtracted once for a token that occurs in the continuation.
    no_repeat_ngram_size: no sequence of so many tokens occurs twice in prompt and continuation; 0
        allows all (Paulus et al. 2018, "A Deep Reinforced Model for Abstractive Summarization",
        section 2.5).
    temperature, top_k, top_p: as in the solution's `sample`, which draws every token.
    min_p: drop tokens less likely than min_p times the most likely one (Nguyen et al. 2024,
        "Turning Up the Heat").
    typical_p: keep the tokens of most typical surprise up to this total probability (Meister et
        al. 2023, "Locally Typical Sampling").
    stop: strings that end a continuation and are not part of its text; the prompt is not searched.
    stop_tokens: ids that end a continuation and are not part of its text; left out, the
        tokenizer's end tokens.
    seed: reproduces the text on the same kind of device. Each sample of a prompt has its own
        generator, which depends on the seed and the sample's number alone.
    num_samples: continuations of each prompt.
    candidates: the number of most likely tokens in each step, beside the log-probability of its
        own; left out, neither is computed.

    Raises UserError for an invalid number or an empty stop string.
    """

    max_new_tokens: int = 100
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    no_repeat_ngram_size: int = 0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[int, ...] | None = None
    seed: int = 0
    num_samples: int = 1
    candidates: int | None = None

    def __post_init__(self) -> None:
        for name, least in (
            ("max_new_tokens", 0),
            ("no_repeat_ngram_size", 0),
            ("num_samples", 1),
            ("candidates", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name} is {value}; give a whole number of at least {least}")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise UserError(f"min_p is {self.min_p}; give a number from 0 to 1, or leave it out")
        if self.typical_p is not None and not 0 < self.typical_p <= 1:
            raise UserError(
                f"typical_p is {self.typical_p}; give a number above 0 and up to 1, or leave it out"
            )
        if not 0 < self.repetition_penalty < math.inf:
            raise UserError(
                f"repetition_penalty is {self.repetition_penalty}; give a number above 0, and "
                "above 1 to repeat less"
            )
        for name in ("frequency_penalty", "presence_penalty"):
            if not math.isfinite(getattr(self, name)):
                raise UserError(f"{name} is {getattr(self, name)}; give 0, or more to repeat less")
        if isinstance(self.stop, str) or "" in self.stop:
            raise UserError(f"stop is {self.stop!r}; give strings of at least one character")

    @property
    def has_penalties(self) -> bool:
        """Whether earlier tokens of a row change its logits."""
        return self.repetition_penalty != 1 or bool(
            self.frequency_penalty or self.presence_penalty or self.no_repeat_ngram_size
        )

    @property
    def cuts_beyond_sample(self) -> bool:
        """Whether a cut is set that the solution's `sample` does not implement."""
        return (self.min_p is not None or self.typical_p is not None) and self.temperature > 0

    def check_by(self, solution: ModuleType) -> None:
        """Validate temperature, top_k and top_p by calling the solution's `sample`.

        Raises UserError with `sample`'s message.
        """
        try:
            solution.sample(
                torch.zeros(1, 1),
                temperature=self.temperature,
                top_k=self.top_k,
                top_p=self.top_p,
                generator=torch.Generator(),
            )
        except ValueError as error:
            raise UserError(str(error)) from error
