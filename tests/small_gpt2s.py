"""Make small GPT-2s for tests of weights: Hugging Face's, ours, and folders of them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

import gpt2_small
from gpt2_small.runs import Run, create_run, save_checkpoint
from gpt2_small.tokenizers.registry import CharTokenizer, Tokenizer

Module = TypeVar("Module", bound=nn.Module)

N_CTX, D_VOCAB = 16, 61

# Layers and heads of GPT-2, table 2, with heads of width 4 instead of 64.
PROPORTIONS = {
    "gpt2": (12, 12),
    "gpt2-medium": (24, 16),
    "gpt2-large": (36, 20),
    "gpt2-xl": (48, 25),
}

# Test cases; the two deepest take a second each.
PUBLISHED = [
    "gpt2",
    "gpt2-medium",
    pytest.param("gpt2-large", marks=pytest.mark.slow),
    pytest.param("gpt2-xl", marks=pytest.mark.slow),
]


def randomised(model: Module, seed: int = 0) -> Module:
    """Return the model in eval mode with random parameters and logits of magnitude 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def hugging_face_gpt2(n_layer: int = 2, n_head: int = 3, **changes: Any) -> GPT2LMHeadModel:
    shape: dict[str, Any] = {
        "n_embd": 4 * n_head,
        "n_positions": N_CTX,
        "vocab_size": D_VOCAB,
    } | changes
    shape |= {"n_layer": n_layer, "n_head": n_head, "bos_token_id": None, "eos_token_id": None}
    return randomised(GPT2LMHeadModel(GPT2Config(**shape)))


def our_gpt2(**changes: Any) -> Any:
    shape: dict[str, Any] = {
        "d_model": 12,
        "n_layers": 2,
        "n_heads": 3,
        "n_ctx": N_CTX,
        "d_vocab": D_VOCAB,
    }
    return randomised(gpt2_small.Transformer(gpt2_small.TransformerConfig(**shape | changes)))


def characters(vocab_size: int = D_VOCAB) -> Tokenizer:
    return CharTokenizer("".join(chr(ord("A") + index) for index in range(vocab_size)))


def saved_run(folder: Path, model: Any, tokenizer: Tokenizer | None = None, step: int = 3) -> Run:
    """Create a run with one checkpoint."""
    run = create_run(
        folder,
        model_fields=asdict(model.config),
        tokenizer=tokenizer or characters(),
        run={"seed": 1},
    )
    save_checkpoint(folder, step, model)
    return run


def some_tokens(d_vocab: int = D_VOCAB) -> torch.Tensor:
    return torch.randint(d_vocab, (2, N_CTX), generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def logits_of(model: Any) -> torch.Tensor:
    """Return the logits on tokens that every small model has, for any kind of model."""
    output = model(some_tokens())
    logits: torch.Tensor = getattr(output, "logits", output)
    return logits
