"""Test that mistakes are named in parts written in learners' own words."""

from pathlib import Path

import pytest
from checking import check_text

SAMPLE = """
import torch

def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError("no such option")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError("no such option")
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits / temperature
    if top_k is not None:
        logits, tokens = torch.topk(logits, min(top_k, logits.size(-1)))
    else:
        logits, tokens = logits.sort(dim=-1, descending=True)
    if top_p is not None:
        shares = torch.softmax(logits, -1)
        logits[shares.cumsum(-1) - shares[:, :1] > top_p] = -torch.inf
    drawn = torch.multinomial(torch.softmax(logits, -1), 1, generator=generator)
    return tokens.gather(-1, drawn)[:, 0]
"""
GENERATE = """
import torch

@torch.no_grad()
def generate(model, token_indices, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None,
             generator=None):
    if not token_indices.numel() or max_new_tokens < 0:
        raise ValueError("no prompt")
    was_training = model.training
    model.eval()
    for _ in range(max_new_tokens):
        logits = model(token_indices[:, -model.config.n_ctx:])[:, -1]
        token = sample(logits, temperature=temperature, top_k=top_k, top_p=top_p,
                       generator=generator)
        idx = torch.cat((token_indices, token[:, None]), dim=1)
    model.train(was_training)
    return token_indices
"""
LOSS = """
import torch

def next_token_loss(logits, tokens):
    if tokens.shape[1] < 2:
        raise ValueError("no next token")
    p = torch.softmax(logits[:, : tokens.shape[1] - 1].float(), dim=-1)
    right = torch.gather(p, 2, tokens[:, 1:].unsqueeze(-1))
    return torch.mean(-torch.log(right + 1e-9))
"""
BY_ROWS = GENERATE.replace(
    "        logits = model(token_indices[:, -model.config.n_ctx:])[:, -1]\n",
    "        token_indices = token_indices[:, len(token_indices) - model.config.n_ctx:]\n"
    "        logits = model(token_indices)[:, -1]\n",
).replace("idx = torch.cat", "token_indices = torch.cat")
TEXTS = {
    "generate-crops-result-by-rows": ("generate", BY_ROWS),
    "sample-top-p-less-the-largest": ("sample", SAMPLE),
    "generate-returns-the-prompt": ("generate", GENERATE),
    "loss-small-number-in-the-logarithm-1e-9": ("next_token_loss", LOSS),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_mistake_in_own_words_is_named(tmp_path: Path, name: str) -> None:
    part, text = TEXTS[name]
    assert check_text(tmp_path, text, part).reports[part].mistakes[0] == name
