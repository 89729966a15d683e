"""max_new_tokens is taken for the whole length.

generate: generate-up-to-length
"""

import torch


@torch.no_grad()
def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if tokens.shape[1] < 1 or max_new_tokens < 0:
        raise ValueError("nothing to continue")
    settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "generator": generator}
    mode = model.training
    model.eval()
    for _ in range(max_new_tokens - tokens.shape[1]):  # <-
        logits = model(tokens[:, -model.config.n_ctx :])[:, -1]
        tokens = torch.cat([tokens, sample(logits, **settings)[:, None]], dim=1)
    model.train(mode)
    return tokens
