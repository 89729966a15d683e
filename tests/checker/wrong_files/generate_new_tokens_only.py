"""generate that returns what it added, without the prompt.

generate: generate-new-tokens-only
"""

import torch


@torch.no_grad()
def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    was_training, start = model.training, tokens.shape[1]
    model.eval()
    for _ in range(max_new_tokens):
        logits = model(tokens[:, -model.config.n_ctx :])[:, -1]
        new = sample(logits, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
        tokens = torch.cat([tokens, new[:, None]], dim=1)
    model.train(was_training)
    return tokens[:, start:]  # <-
