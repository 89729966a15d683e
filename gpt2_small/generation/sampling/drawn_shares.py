"""Measure how often the solution's `sample` draws each token from a model's logits."""

from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gpt2_small.generation.loaded_model import LoadedModel
from gpt2_small.generation.prompts import prompt_ids
from gpt2_small.generation.sampling.logit_processors import without_padding

ROWS_PER_DRAW = 100


@torch.no_grad()
def next_logits(loaded: LoadedModel, prompt: str) -> Float[Tensor, "1 d_vocab"]:
    """Logits of the token after the prompt."""
    ids = prompt_ids(loaded.tokenizer, prompt, loaded.model.config.d_vocab)
    logits = loaded.new_decoder().prefill([ids]).float()
    return without_padding(logits, loaded.tokenizer.vocab_size)


def drawn_shares(
    solution: ModuleType, logits: Float[Tensor, "1 d_vocab"], draws: int, *, seed: int, **cut: Any
) -> Float[Tensor, "d_vocab"]:
    """The relative frequency of each token in so many draws by the solution's `sample`.

    cut: temperature, top_k or top_p, as in `sample`.
    """
    generator = torch.Generator(logits.device).manual_seed(seed)
    counts = torch.zeros_like(logits[0])
    for first in range(0, draws, ROWS_PER_DRAW):
        rows = logits.repeat(min(ROWS_PER_DRAW, draws - first), 1)
        tokens = solution.sample(rows, generator=generator, **cut)
        counts += torch.bincount(tokens, minlength=logits.shape[1])
    return counts / draws
