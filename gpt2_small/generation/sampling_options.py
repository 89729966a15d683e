"""How a text is to go on."""

import math
from dataclasses import dataclass
from types import ModuleType

import torch

from gpt2_small.errors import UserError


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How a text is to go on.

    max_new_tokens: 0 draws none, and the model is not run.
    temperature, top_k, top_p: as in the solution's `sample`, which draws every token.
    min_p: before that, leave out tokens whose probability at this temperature is below min_p times
        the most likely one's (Nguyen et al. 2024, "Turning Up the Heat").
    repetition_penalty: before that, divide positive logits of tokens that the prompt or the
        continuation holds by this, and multiply negative ones (Keskar et al. 2019, "CTRL",
        section 4.1); 1 changes nothing.
    stop: strings that end a continuation; neither they nor what comes after is part of its text.
        They are looked for in the continuation alone.
    stop_tokens: ids that end a continuation, without being part of its text; left out, those that
        end a text of the tokenizer's.
    seed: the same seed, on the same kind of device, gives the same text again. Each of several
        samples of a prompt has its own stream of random numbers, which depends on the seed and the
        sample's number alone.
    num_samples: continuations of each prompt.
    candidates: how many of the most likely tokens each step tells.

    Raises UserError for a number that cannot be, or an empty stop string.
    """

    max_new_tokens: int = 100
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[int, ...] | None = None
    seed: int = 0
    num_samples: int = 1
    candidates: int = 0

    def __post_init__(self) -> None:
        for name, least in (("max_new_tokens", 0), ("num_samples", 1), ("candidates", 0)):
            value = getattr(self, name)
            if value < least:
                raise UserError(f"{name} is {value}; give a whole number of at least {least}")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise UserError(f"min_p is {self.min_p}; give a number from 0 to 1, or leave it out")
        if not 0 < self.repetition_penalty < math.inf:
            raise UserError(
                f"repetition_penalty is {self.repetition_penalty}; give a number above 0, and "
                "above 1 to repeat less"
            )
        if isinstance(self.stop, str) or "" in self.stop:
            raise UserError(f"stop is {self.stop!r}; give strings of at least one character")

    def check_by(self, solution: ModuleType) -> None:
        """Let `sample`, the owner of temperature, top_k and top_p, refuse them before a model runs.

        Raises UserError with its sentence.
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
