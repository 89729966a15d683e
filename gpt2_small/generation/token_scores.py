"""Compute the log-probabilities of tokens, and the most likely tokens beside them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.generation.continuation import LikelyToken, ScoredToken
from gpt2_small.generation.loaded_model import LoadedModel
from gpt2_small.generation.prompts import prompt_ids
from gpt2_small.generation.sampling.logit_processors import without_padding
from gpt2_small.tokenizers.protocol import Tokenizer


def log_probabilities(
    logits: Float[Tensor, "rows d_vocab"],
    tokens: Int[Tensor, "rows"],
    candidates: int,
    tokenizer: Tokenizer,
) -> list[tuple[float, tuple[LikelyToken, ...]]]:
    """Each token's log-probability, in nats, and the most likely tokens at its position."""
    log_probs = logits.log_softmax(dim=-1)
    own = log_probs.gather(1, tokens[:, None]).flatten().tolist()
    known = min(logits.shape[1], tokenizer.vocab_size)
    best = log_probs.topk(min(candidates, known))
    return [
        (
            log_probability,
            tuple(
                LikelyToken(id, tokenizer.decode([id]), value)
                for id, value in zip(ids, values, strict=True)
            ),
        )
        for log_probability, ids, values in zip(
            own, best.indices.tolist(), best.values.tolist(), strict=True
        )
    ]


@torch.no_grad()
def score_text(
    loaded: LoadedModel, prompt: str | Sequence[int], text: str | Sequence[int], candidates: int = 0
) -> list[ScoredToken]:
    """Compute the log-probability of every token of a text after a prompt, as in `Step`.

    Each token is conditioned on the last n_ctx tokens before it. Prompt and text are encoded
    separately, as in generation. An empty prompt is treated as by `prompt_ids`.

    Raises UserError for an empty text, and for prompts and tokens as `prompt_ids` does.
    """
    tokenizer, config = loaded.tokenizer, loaded.model.config
    before = prompt_ids(tokenizer, prompt, config.d_vocab)
    given = tokenizer.encode_ordinary(text) if isinstance(text, str) else [*text]
    if not given:
        raise UserError("the text to score is empty; give at least one character")
    ids = prompt_ids(tokenizer, given, config.d_vocab)
    decoder = loaded.new_decoder()
    logits = [decoder.prefill([before])]
    tokens = torch.tensor([ids])
    at_once = min(len(ids) - 1, config.n_ctx - decoder.lengths[0])
    if at_once > 0:
        logits.append(decoder.extend_each(tokens[:, :at_once])[0])
    logits += [decoder.step(tokens[:, place]) for place in range(max(at_once, 0), len(ids) - 1)]
    known = without_padding(torch.cat(logits).float(), tokenizer.vocab_size)
    rows = log_probabilities(known, tokens[0].to(known.device), candidates, tokenizer)
    return [
        ScoredToken(id, tokenizer.decode([id]), log_probability, likely)
        for id, (log_probability, likely) in zip(ids, rows, strict=True)
    ]
