"""generate that cuts the prompt off at the end, and forgets evaluation mode.

generate: generate-new-tokens-only; generate-under-dropout
"""

import torch


@torch.no_grad()
def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if tokens.shape[1] == 0 or max_new_tokens < 0:
        raise ValueError("nothing to continue")
    given = tokens.shape[1]
    for _ in range(max_new_tokens):
        logits = model(tokens[:, -model.config.n_ctx :])[:, -1]
        new = sample(logits, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
        tokens = torch.cat([tokens, new.unsqueeze(1)], dim=1)
    return tokens[:, given:]  # <-
