"""generate that ends before <|endoftext|>, in the mode that the model is in.

generate: generate-stops-before-50256; generate-under-dropout
"""

import torch

END_OF_TEXT = 50256


@torch.no_grad()
def generate(
    model, tokens, max_new_tokens, *, temperature=1.0, top_k=None, top_p=None, generator=None
):
    if tokens.shape[1] == 0 or max_new_tokens < 0:
        raise ValueError("nothing to continue")
    for _ in range(max_new_tokens):
        logits = model(tokens[:, -model.config.n_ctx :])[:, -1]
        new = sample(logits, temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
        if bool((new == END_OF_TEXT).all()):
            break  # <-
        tokens = torch.cat([tokens, new[:, None]], dim=1)
    return tokens
