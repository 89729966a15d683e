"""generate that goes on from the logits of the last but one position.

generate: generate-position-before-last
"""

import torch


@torch.no_grad()
def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    mode = model.training
    model.eval()
    for _ in range(max_new_tokens):
        logits = model(tokens[:, -model.config.n_ctx :])
        last = logits[:, max(logits.shape[1] - 2, 0)]  # <-
        new = sample(last, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
        tokens = torch.cat((tokens, new.unsqueeze(-1)), -1)
    model.train(mode)
    return tokens
