"""generate that starts anew with half a window when n_ctx is reached.

generate: generate-half-a-window
"""

import torch


@torch.no_grad()
def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    mode, n_ctx = model.training, model.config.n_ctx
    model.eval()
    for _ in range(max_new_tokens):
        seen = tokens if tokens.shape[1] <= n_ctx else tokens[:, -(n_ctx // 2) :]  # <-
        new = sample(
            model(seen)[:, -1],
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            generator=generator,
        )
        tokens = torch.cat([tokens, new.unsqueeze(1)], dim=1)
    model.train(mode)
    return tokens
