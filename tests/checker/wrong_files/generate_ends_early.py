"""A text that ends where a well-known model's text would: at the vocabulary's last token.

generate: generate-stops-at-the-end-of-text
"""

import torch


@torch.no_grad()
def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if tokens.shape[1] == 0 or max_new_tokens < 0:
        raise ValueError("there is nothing to do")
    end = model.config.d_vocab - 1
    was_training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            logits = model(tokens[:, -model.config.n_ctx :])[:, -1]
            following = sample(
                logits, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator
            )
            tokens = torch.cat([tokens, following[:, None]], dim=1)
            if (following == end).all():  # <-
                break  # <-
    finally:
        model.train(was_training)
    return tokens
