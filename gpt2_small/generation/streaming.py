"""Draw continuations of prompts token by token."""

from collections.abc import Iterator, Sequence
from types import ModuleType

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.generation.continuation import Continuation, LikelyToken, Step
from gpt2_small.generation.decoders import Decoder, rows_at_once
from gpt2_small.generation.loaded_model import LoadedModel
from gpt2_small.generation.logit_processors import shaped, without_padding
from gpt2_small.generation.prompts import prompt_ids
from gpt2_small.generation.sampling_options import SamplingOptions


class Stream:
    """Continuations of prompts; iterating draws their tokens, a step of every row after the other.

    `rows` holds the continuations as they grow, all samples of a prompt before the next prompt's.
    A row gets what its prompt alone would get, up to the rounding of sums. When the rows are too
    many for the memory they take turns.

    prompts: texts, or token ids. An empty one begins with the tokenizer's end of text. The model
        reads the last n_ctx tokens of the prompt and what it wrote, at every step.
    decoder: of this model, which is kept from stream to stream: what it has read is not read again.

    Raises UserError for options that cannot be, no prompts, an empty prompt where the tokenizer has
    no end of text, and tokens that the model does not know.
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
        self._solution, self._loaded, self.options = solution, loaded, options
        self._decoder = decoder
        tokenizer, model = loaded.tokenizer, loaded.model
        device = next(model.parameters()).device
        self.prompts = [prompt_ids(tokenizer, prompt, model.config.d_vocab) for prompt in prompts]
        self.rows = [
            Continuation(tokenizer, ids, options, prompt=prompt, sample=sample, device=device)
            for prompt, ids in enumerate(self.prompts)
            for sample in range(options.num_samples)
        ]

    def __iter__(self) -> Iterator[Step]:
        if not self.options.max_new_tokens:
            return
        decoder = self._decoder or self._loaded.new_decoder()
        batch = rows_at_once(self._loaded.model)
        for first in range(0, len(self.rows), batch):
            yield from self._written(decoder, self.rows[first : first + batch])

    def _written(self, decoder: Decoder, rows: list[Continuation]) -> Iterator[Step]:
        numbers = sorted({row.prompt for row in rows})
        logits = decoder.prefill(
            [self.prompts[number] for number in numbers], reuse=self._decoder is not None
        )
        repeated = [numbers.index(row.prompt) for row in rows]
        if len(numbers) < len(rows):
            decoder.select(repeated)
            logits = logits[repeated]
        seen = torch.zeros_like(logits, dtype=torch.bool)
        for flags, row in zip(seen, rows, strict=True):
            flags[row.prompt_ids] = True
        while True:
            logits = without_padding(logits, self._loaded.tokenizer.vocab_size)
            tokens = self._drawn(logits, seen, rows)
            yield from self._steps(logits, tokens, rows)
            going_on = [number for number, row in enumerate(rows) if row.finish is None]
            if not going_on:
                return
            if 2 * len(going_on) <= len(rows):
                decoder.select(going_on)
                rows = [rows[number] for number in going_on]
                tokens, seen = tokens[going_on], seen[going_on]
            seen.scatter_(1, tokens[:, None], True)
            logits = decoder.step(tokens)

    def _drawn(
        self, logits: Float[Tensor, "batch d_vocab"], seen: Tensor, rows: list[Continuation]
    ) -> Int[Tensor, "batch"]:
        """The next token of every row, each drawn with the row's own random numbers."""
        if not logits.max(dim=-1).values.isfinite().all():
            raise UserError(
                "the model gives logits that are not finite; its weights are damaged, or its "
                "training went astray: try an earlier checkpoint"
            )
        choice = shaped(logits, seen, self.options)
        tokens = [
            self._solution.sample(
                choice[number : number + 1],
                temperature=self.options.temperature,
                top_k=self.options.top_k,
                top_p=self.options.top_p,
                generator=row.generator,
            )
            for number, row in enumerate(rows)
        ]
        return torch.cat(tokens)

    def _steps(self, logits: Tensor, tokens: Tensor, rows: list[Continuation]) -> Iterator[Step]:
        log_probs = logits.float().log_softmax(dim=-1)
        drawn = log_probs.gather(1, tokens[:, None]).flatten().tolist()
        known = min(logits.shape[1], self._loaded.tokenizer.vocab_size)
        best = log_probs.topk(min(self.options.candidates, known))
        table = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        for row, id, log_prob, (ids, values) in zip(
            rows, tokens.tolist(), drawn, table, strict=True
        ):
            if row.finish is None:
                candidates = tuple(
                    LikelyToken(other, self._loaded.tokenizer.decode([other]), value)
                    for other, value in zip(ids, values, strict=True)
                )
                yield row.take(id, log_prob, candidates)


def continuations(
    solution: ModuleType,
    loaded: LoadedModel,
    prompts: Sequence[str | Sequence[int]],
    options: SamplingOptions,
) -> list[Continuation]:
    """The rows of a `Stream`, all drawn: the samples of a prompt, then of the next.

    Raises UserError as `Stream` does.
    """
    stream = Stream(solution, loaded, prompts, options)
    for _ in stream:
        pass
    return stream.rows
