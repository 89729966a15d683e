"""NumPy's numbers in place of Python's, and tokens of 32 bits."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """By the race of exponential clocks: token i rings first with probability p_i."""
    if temperature < 0 or not np.isfinite(temperature):
        raise ValueError(f"temperature={temperature}")
    if (top_k is not None and top_k < 1) or (top_p is not None and not 0 < top_p <= 1):
        raise ValueError(f"top_k={top_k}, top_p={top_p}")
    if temperature == 0:
        return logits.argmax(dim=-1).int()
    likely, tokens = torch.sort(logits / temperature, dim=-1, descending=True)
    if top_k is not None:
        likely[:, top_k:] = -np.inf
    shares = likely.softmax(dim=-1)
    if top_p is not None:
        shares[shares.cumsum(dim=-1) - shares >= top_p] = 0.0
    clocks = torch.empty_like(shares).exponential_(generator=generator)
    first = (shares / clocks).argmax(dim=-1, keepdim=True)
    return tokens.gather(-1, first)[:, 0].int()


def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    if not (np.isfinite(peak) and peak >= 0 and 0 <= final_fraction <= 1):
        raise ValueError(f"peak={peak}, final_fraction={final_fraction}")
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError(f"warmup_steps={warmup_steps}, total_steps={total_steps}")
    if step < warmup_steps:
        return np.float32(peak * (step + 1) / warmup_steps)
    done = np.clip((step + 1 - warmup_steps) / max(1, total_steps - warmup_steps), 0, 1)
    share = final_fraction + (1 - final_fraction) * np.cos(np.pi * done / 2) ** 2
    return np.float32(peak * share)


def train_step(model, batches, optimizer, *, max_grad_norm=1.0):
    if len(batches) == 0 or max_grad_norm <= 0:
        raise ValueError("give a micro-batch, and a norm above 0")
    counts = np.array([np.prod(batch[:, 1:].shape) for batch in batches])
    optimizer.zero_grad()
    losses = []
    for batch, share in zip(batches, counts / counts.sum()):
        loss = next_token_loss(model(batch[:, :-1]), batch) * float(share)
        loss.backward()
        losses.append(loss.detach().numpy())
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).numpy()
    if not np.isfinite([*losses, norm]).all():
        raise FloatingPointError(f"losses {losses}, norm {norm}")
    optimizer.step()
    return SimpleNamespace(
        loss=np.float32(np.sum(losses)), grad_norm=np.float32(norm), tokens=counts.sum()
    )
