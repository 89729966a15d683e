"""The maximum is subtracted inside the logarithm and never added again.

next_token_loss: unknown
"""

import torch


def next_token_loss(logits, tokens):
    if logits.shape[1] == tokens.shape[1]:
        logits = logits[:, :-1]
    targets = tokens[:, 1:]
    if targets.numel() == 0 or logits.shape[1] != targets.shape[1]:
        raise ValueError("no targets")
    m = logits.max(dim=-1, keepdim=True).values
    lse = torch.log(torch.sum(torch.exp(logits - m), dim=-1))  # <-
    picked = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return (lse - picked).mean()
