"""Sampling and the loss row by row, with Python lists."""

import torch


def next_token_loss(logits, tokens):
    batch, seq, d_vocab = logits.shape
    if tokens.shape[1] - seq not in (0, 1) or tokens.shape[1] < 2 or batch == 0:
        raise ValueError("nothing to predict")
    losses = []
    for row, targets in zip(logits, tokens[:, 1:]):
        logs = row[: len(targets)] - torch.logsumexp(row[: len(targets)], dim=-1, keepdim=True)
        losses.extend(-logs[position, target] for position, target in enumerate(targets))
    return torch.stack(losses).mean()


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature < 0:
        raise ValueError("temperature")
    if top_k is not None and top_k < 1:
        raise ValueError("top_k")
    if top_p is not None and not (0 < top_p <= 1):
        raise ValueError("top_p")
    if temperature == 0:
        return torch.stack([row.argmax() for row in logits])
    chosen = []
    for row in logits.double():
        row = row - row.max()
        probs, order = torch.softmax(row / temperature, dim=0).sort(descending=True)
        if top_k is not None:
            probs = probs[:top_k] / probs[:top_k].sum()
        if top_p is not None:
            count = int((probs.cumsum(0) < top_p).sum()) + 1
            probs = probs[:count]
        chosen.append(order[torch.multinomial(probs, 1, generator=generator)][0])
    return torch.stack(chosen)
