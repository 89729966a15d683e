"""generate that makes a generator of its own when it is given one.

generate: generate-seeds-each-step
"""

import torch


@torch.no_grad()
def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    own = torch.Generator().manual_seed(42) if generator is not None else None  # <-
    mode = model.training
    model.eval()
    for _ in range(max_new_tokens):
        logits = model(tokens[:, -model.config.n_ctx :])[:, -1, :]
        new = sample(logits, temperature=temperature, top_k=top_k, top_p=top_p, generator=own)  # <-
        tokens = torch.cat([tokens, new.view(-1, 1)], dim=1)
    model.train(mode)
    return tokens
