"""Samples from the first position.

generate: generate-first-position
"""

import torch


@torch.no_grad()
def generate(
    model, idx, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if idx.shape[1] == 0 or max_new_tokens < 0:
        raise ValueError("nothing to do")
    mode = model.training
    model.eval()
    for _ in range(max_new_tokens):
        idx_cond = idx[:, -model.config.n_ctx :]
        logits = model(idx_cond)
        logits = logits[:, 0, :]  # <-
        idx_next = sample(
            logits, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator
        )
        idx = torch.cat((idx, idx_next[:, None]), dim=1)
    model.train(mode)
    return idx
