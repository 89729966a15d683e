"""Draw continuations of prompts token by token."""

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.generation.continuation import Continuation, DrawnToken, LikelyToken
from gpt2_small.generation.decoder import NOT_FINITE, Decoder, rows_at_once
from gpt2_small.generation.loaded_model import LoadedModel
from gpt2_small.generation.prompts import prompt_ids
from gpt2_small.generation.sampling.logit_processors import cut, penalised, without_padding
from gpt2_small.generation.sampling.sampling_options import SamplingOptions
from gpt2_small.generation.token_scores import log_probabilities

SAMPLE_OPTIONS = ("temperature", "top_k", "top_p")  # parameters of the solution's `sample`


class Stream:
    """Continuations of prompts; iterating draws one token of every row in turn.

    `rows` holds the continuations, all samples of a prompt before the next prompt's. Each row is
    the same as for its prompt alone, up to rounding. Rows beyond `rows_at_once` are drawn in
    further batches.

    prompts: texts or token ids. An empty one is replaced by the tokenizer's start of text. The
        model reads the last n_ctx tokens at every step.
    decoder: a chat's, which reuses the cached prefix of a single prompt; left out, a new one.

    Raises UserError for invalid options, without prompts, and for prompts as `prompt_ids` does.
    """

    def __init__(
        self,
        solution: ModuleType,
        loaded: LoadedModel,
        prompts: Sequence[str | Sequence[int]],
        options: SamplingOptions,
        *,
        decoder: Decoder | None = None,
    ) -> None:
        options.check_by(solution)
        if isinstance(prompts, str) or not prompts:
            raise UserError("there are no prompts; give a list of at least one")
        self._solution, self._loaded, self._decoder = solution, loaded, decoder
        self.options = options
        tokenizer, model = loaded.tokenizer, loaded.model
        device = next(model.parameters()).device
        self.prompts = [prompt_ids(tokenizer, prompt, model.config.d_vocab) for prompt in prompts]
        self.rows = [
            Continuation(tokenizer, ids, options, prompt=prompt, sample=sample, device=device)
            for prompt, ids in enumerate(self.prompts)
            for sample in range(options.num_samples)
        ]

    def __iter__(self) -> Iterator[DrawnToken]:
        if not self.options.max_new_tokens:
            return
        decoder = self._decoder or self._loaded.new_decoder()
        batch = rows_at_once(self._loaded.model)
        for first in range(0, len(self.rows), batch):
            yield from self._drawn_steps(decoder, self.rows[first : first + batch])

    def _drawn_steps(self, decoder: Decoder, rows: list[Continuation]) -> Iterator[DrawnToken]:
        numbers = sorted({row.prompt for row in rows})
        logits = decoder.prefill([self.prompts[number] for number in numbers], reuse=True)
        if len(numbers) < len(rows):
            repeated = [numbers.index(row.prompt) for row in rows]
            decoder.select(repeated)
            logits = logits[repeated]
        while True:
            logits = without_padding(logits.float(), self._loaded.tokenizer.vocab_size)
            tokens = self._draw(logits, rows)
            yield from self._steps(logits, tokens, rows)
            unfinished = [number for number, row in enumerate(rows) if row.finish is None]
            if not unfinished:
                return
            if self.options.has_penalties or 2 * len(unfinished) <= len(rows):
                decoder.select(unfinished)
                rows, tokens = [rows[number] for number in unfinished], tokens[unfinished]
            logits = decoder.step(tokens)

    def _draw(
        self, logits: Float[Tensor, "batch d_vocab"], rows: list[Continuation]
    ) -> Int[Tensor, "batch"]:
        """Draw the next token of every row with the row's own generator."""
        if not logits.max(dim=-1).values.isfinite().all():
            raise UserError(NOT_FINITE)
        options = self.options
        if options.has_penalties:
            drawn = [[step.id for step in row.steps] for row in rows]
            logits = penalised(logits, [row.prompt_ids for row in rows], drawn, options)
        settings: dict[str, Any] = {"temperature": 1.0}
        if options.cuts_beyond_sample:
            logits = cut(logits, options)
        else:
            settings = {name: getattr(options, name) for name in SAMPLE_OPTIONS}
        tokens = [
            self._solution.sample(logits[number : number + 1], generator=row.generator, **settings)
            for number, row in enumerate(rows)
        ]
        return torch.cat(tokens).long()

    def _steps(
        self, logits: Float[Tensor, "batch d_vocab"], tokens: Tensor, rows: list[Continuation]
    ) -> Iterator[DrawnToken]:
        if self.options.candidates is None:
            scores: Sequence[tuple[float | None, tuple[LikelyToken, ...]]]
            scores = [(None, ())] * len(rows)
        else:
            scores = log_probabilities(
                logits, tokens, self.options.candidates, self._loaded.tokenizer
            )
        for row, id, (log_probability, candidates) in zip(
            rows, tokens.tolist(), scores, strict=True
        ):
            if row.finish is None:
                yield row.take(id, log_probability, candidates)


def continuations(
    solution: ModuleType,
    loaded: LoadedModel,
    prompts: Sequence[str | Sequence[int]],
    options: SamplingOptions,
    *,
    decoder: Decoder | None = None,
) -> list[Continuation]:
    """Draw the continuations of prompts to their ends: the rows of a `Stream`.

    Raises UserError as `Stream` does.
    """
    stream = Stream(solution, loaded, prompts, options, decoder=decoder)
    for _ in stream:
        pass
    return stream.rows
