"""Describe a text's tokens: probabilities, candidates, and the stories' true distribution."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2_small.app.models import ShownModel
from gpt2_small.app.text_loss import finite
from gpt2_small.errors import UserError
from gpt2_small.generation import DrawnToken, SamplingOptions, Stream
from gpt2_small.generation.decoder import Decoder
from gpt2_small.generation.prompts import prompt_ids
from gpt2_small.generation.sampling.logit_processors import drawn_probabilities, without_padding
from gpt2_small.stories import VOCABULARY
from gpt2_small.stories.parsing import next_word_probabilities
from gpt2_small.tokenizers.protocol import StreamDecoder, Tokenizer
from gpt2_small.tokenizers.words import WordTokenizer

Json = dict[str, Any]


def pieces(tokenizer: Tokenizer, ids: Sequence[int], *, goes_on: bool = False) -> list[Json]:
    """Each token as shown on the page.

    text: the part of the text that this token completes; `token`: its own text; `bytes`: in hex.
    goes_on: whether more tokens follow, which may complete an incomplete character.
    """
    decoder = StreamDecoder(tokenizer)
    found = [piece(tokenizer, id, decoder.push(id)) for id in ids]
    if found and not goes_on:
        found[-1]["text"] += decoder.finish()
    return found


def piece(tokenizer: Tokenizer, id: int, text: str) -> Json:
    """One token as shown on the page."""
    content = tokenizer.decode_bytes([id])
    return {"id": id, "text": text, "token": tokenizer.decode([id]), "bytes": content.hex()}


def checked_ids(shown: ShownModel, ids: Sequence[int]) -> list[int]:
    """Check ids for generation. Raises UserError for one beyond the model's vocabulary."""
    return prompt_ids(shown.tokenizer, list(ids), shown.model.config.d_vocab)


def continuation(
    shown: ShownModel, ids: Sequence[int], options: SamplingOptions, decoder: Decoder
) -> Iterator[Json]:
    """Continue a text, with an object for each token.

    The objects have id, text, token, bytes and lp (log-probability in nats), candidates as [id,
    token, lp], and, for the last one, finish.
    """
    stream = Stream(shown.solution, shown.loaded, [list(ids)], options, decoder=decoder)
    for step in stream:
        yield drawn(shown, step)


def drawn(shown: ShownModel, step: DrawnToken) -> Json:
    """One drawn token as shown on the page."""
    return piece(shown.tokenizer, step.id, step.text) | {
        "lp": step.log_probability,
        "candidates": [[c.id, c.text, c.log_probability] for c in step.candidates],
        "finish": step.finish,
    }


def scores(shown: ShownModel, ids: Sequence[int], candidates: int) -> Iterator[Json | None]:
    """Score a text, with an object for each token, in order.

    The objects are those of `continuation` with the token's rank (from 1). The first token has no
    lp, and neither have tokens before the last n_ctx. For stories each also has the grammar's lp
    and the divergence of the model's distribution from the grammar's, in nats.
    """
    n_ctx = shown.model.config.n_ctx
    start = max(0, len(ids) - n_ctx)
    logits = logits_of(shown, ids[start:])
    yield None
    truths = true_distributions(shown.tokenizer, ids)
    for position, shown_piece in enumerate(pieces(shown.tokenizer, ids)):
        row = position - start - 1
        if row < 0:
            yield shown_piece | {"lp": None}
            continue
        log_probs = logits[row].float().log_softmax(dim=-1)
        yield (
            shown_piece
            | scored(shown, log_probs, ids[position], candidates)
            | truths_of(shown.tokenizer, truths[position], log_probs, ids[position])
        )


def scored(
    shown: ShownModel, log_probs: Float[Tensor, "d_vocab"], id: int, candidates: int
) -> Json:
    """A token's log-probability and rank, and the likeliest tokens at its position.

    None stands for a log-probability that is not finite, and for the rank of such a token.
    """
    best = log_probs.topk(min(candidates, shown.tokenizer.vocab_size, len(log_probs)))
    table = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    lp = finite(log_probs[id].item())
    return {
        "lp": lp,
        "rank": None if lp is None else int((log_probs > log_probs[id]).sum().item()) + 1,
        "candidates": [[other, shown.tokenizer.decode([other]), finite(lp)] for other, lp in table],
    }


@torch.no_grad()
def logits_of(shown: ShownModel, ids: Sequence[int]) -> Float[Tensor, "seq d_vocab"]:
    """The model's logits after each token of a text that fits n_ctx, without padding rows."""
    device = next(shown.model.parameters()).device
    logits = shown.model(torch.tensor([list(ids)], device=device))[0]
    return without_padding(logits, shown.tokenizer.vocab_size)


def next_tokens(
    shown: ShownModel, ids: Sequence[int], prompt_length: int, options: SamplingOptions
) -> Json:
    """The candidates after a text, before and after temperature, penalties and cuts.

    Each is [id, token, lp, probability after temperature, penalties and cuts]; `kept` is the number
    of tokens left by the cuts.
    """
    logits = logits_of(shown, list(ids)[-shown.model.config.n_ctx :])[-1:]
    log_probs = logits[0].float().log_softmax(dim=-1)
    prompt, drawn = list(ids)[:prompt_length], list(ids)[prompt_length:]
    left = drawn_probabilities(logits, [prompt], [drawn], options)[0]
    best = log_probs.topk(min(options.candidates or 0, shown.tokenizer.vocab_size))
    table = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    truth = true_distribution(shown.tokenizer, ids)
    return {
        "candidates": [
            [id, shown.tokenizer.decode([id]), finite(lp), finite(left[id].item())]
            for id, lp in table
        ],
        "kept": int((left > 0).sum().item()),
        **truths_of(shown.tokenizer, truth, log_probs, None),
    }


def true_distributions(tokenizer: Tokenizer, ids: Sequence[int]) -> list[dict[int, float] | None]:
    """The grammar's distribution at each position; None at the first."""
    later = range(1, len(ids))
    return [None, *(true_distribution(tokenizer, ids[:position]) for position in later)]


def true_distribution(tokenizer: Tokenizer, ids: Sequence[int]) -> dict[int, float] | None:
    """For stories, the grammar's distribution of the token after a text.

    None for another tokenizer, and after a word that the grammar does not allow.
    """
    if not isinstance(tokenizer, WordTokenizer) or tokenizer.vocabulary != VOCABULARY:
        return None
    truth = next_word_probabilities([VOCABULARY[id] for id in ids])
    return None if truth is None else {VOCABULARY.index(word): p for word, p in truth.items()}


def truths_of(
    tokenizer: Tokenizer,
    truth: dict[int, float] | None,
    log_probs: Float[Tensor, "d_vocab"],
    id: int | None,
) -> Json:
    """Compare the grammar's distribution with a model's; empty without the grammar's.

    divergence: the Kullback-Leibler divergence of the model from the grammar, in nats; None when it
        is not finite.
    """
    if truth is None:
        return {}
    divergence = sum(
        share * (math.log(share) - log_probs[other].item()) for other, share in truth.items()
    )
    best = sorted(truth.items(), key=lambda entry: -entry[1])
    found: Json = {
        "truth": [[other, tokenizer.decode([other]), share] for other, share in best],
        "divergence": finite(max(divergence, 0.0)),
    }
    if id is not None:
        found["true_lp"] = math.log(truth[id]) if truth.get(id) else None
    return found


def provenance(shown: ShownModel, name: str | None) -> Json:
    """The model and the solution, in the fields of `sample --json`."""
    from gpt2_small import binding

    parameter = next(shown.model.parameters())
    return {
        "solution": str(binding.solution_path(shown.solution)),
        "sha256": binding.sha256(shown.solution),
        "model": name,
        "device": str(parameter.device),
        "dtype": str(parameter.dtype).removeprefix("torch."),
        "config": dataclasses.asdict(shown.model.config),
    }


def fitting(shown: ShownModel, ids: Sequence[int]) -> tuple[int, ...]:
    """Check the ids of a text. Raises UserError for an empty text, and for one beyond n_ctx."""
    n_ctx = shown.model.config.n_ctx
    if not ids:
        raise UserError("there is no text yet; write one, or let the model")
    if len(ids) > n_ctx:
        raise UserError(f"the text has {len(ids):,} tokens, and the model reads {n_ctx:,}")
    return tuple(checked_ids(shown, ids))
