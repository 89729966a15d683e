"""It ends when the context is full.

generate: generate-stops-at-n-ctx
"""

import torch


@torch.no_grad()
def generate(
    model, idx, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if idx.size(1) == 0:
        raise ValueError("empty prompt")
    if max_new_tokens < 0:
        raise ValueError("negative")
    options = dict(temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
    block_size = model.config.n_ctx
    training = model.training
    model.eval()
    for _ in range(max_new_tokens):
        if idx.size(1) >= block_size:
            break  # <-
        logits = model(idx)[:, -1, :]
        idx = torch.cat((idx, sample(logits, **options)[:, None]), dim=1)
    model.train(training)
    return idx
