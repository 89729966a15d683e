"""List slips in functions that no catalogue has."""

from .slip import slips_of

_ENTROPY = "return F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1))"
_DRAWN = "probs = F.softmax(logits, dim=-1)"
_COSINE = "coeff = 0.5 * (1.0 + math.cos(math.pi * decay_ratio))"
_CLIPPED = "scale = (max_grad_norm / (norm + 1e-6)).clamp(max=1.0)"

SLIPS = [
    *slips_of(
        "next_token_loss",
        "nanogpt_style",
        (_ENTROPY, "return F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1)) ** 2"),
        (
            _ENTROPY,
            "return -logits.log_softmax(-1).gather(-1, targets[..., None]).median()",
        ),
        (
            _ENTROPY,
            "return -logits.log_softmax(-1).gather(-1, targets[..., None]).min()",
        ),
        (_ENTROPY, "return F.cross_entropy(logits.reshape(-1, V).abs(), targets.reshape(-1))"),
    ),
    *slips_of(
        "sample",
        "nanogpt_style",
        (_DRAWN, "probs = F.softmax(logits, dim=-1).sqrt()"),
        (_DRAWN, "probs = torch.sigmoid(logits)"),
        (
            _DRAWN,
            "probs = F.softmax(logits - logits.mean(-1, keepdim=True).abs() * logits, dim=-1)",
        ),
        (
            "v, _ = torch.topk(logits, min(top_k, logits.size(-1)))",
            "v, _ = torch.topk(logits, max(1, min(top_k, logits.size(-1)) // 2))",
        ),
        ("remove = cumulative > top_p", "remove = cumulative > top_p / 2"),
        (
            'logits = logits.masked_fill(logits < v[:, [-1]], -float("inf"))',
            "logits = logits[logits >= v[:, [-1]]]",
        ),
        (
            'logits = logits.masked_fill(remove.scatter(1, sorted_indices, remove), -float("inf"))',
            "logits = sorted_logits[sorted_indices]",
        ),
        ("remove[:, 0] = False", "remove[:, 0] = logits.amax(-1) < 0"),
        ("remove = cumulative > top_p", "remove = sorted_logits > top_p"),
        ("remove = cumulative > top_p", "remove = cumulative > top_p**2"),
    ),
    *slips_of(
        "generate",
        "nanogpt_style",
        (
            "idx_cond = idx[:, -model.config.n_ctx :]",
            "idx_cond = idx[:, -model.config.n_ctx :].flip(1)",
        ),
        ("temperature=temperature,", "temperature=temperature * 0.5,"),
        ("logits = logits[:, -1, :]", "logits = logits[:, -1, :] - logits[:, 0, :]"),
        ("top_p=top_p, generator", "top_p=top_p and top_p**0.5, generator"),
    ),
    *slips_of(
        "learning_rate",
        "one_script",
        (_COSINE, "coeff = 0.5 * (1.0 + math.cos(decay_ratio))"),
        (_COSINE, "coeff = (1.0 - decay_ratio) ** 2"),
        (_COSINE, "coeff = math.exp(-5.0 * decay_ratio)"),
        (
            "return peak * (it + 1) / warmup_steps",
            "return peak * math.sin(math.pi / 2 * (it + 1) / warmup_steps)",
            "schedule-warm-up-sine",
        ),
        (
            "return min_lr + coeff * (peak - min_lr)",
            "return min_lr * (peak / min_lr) ** coeff if min_lr else 0.0",
        ),
    ),
    *slips_of(
        "parameter_groups",
        "one_script",
        (
            'decay = [p for n, p in params.items() if n.rpartition(".")[2].startswith("W")]',
            "decay = [p for n, p in params.items() if 'pos' in n or 'mlp' in n]",
        ),
        (
            'decay = [p for n, p in params.items() if n.rpartition(".")[2].startswith("W")]',
            "decay = [p for n, p in params.items() if 'W' in n and p.dim() < 3]",
        ),
    ),
    *slips_of(
        "train_step",
        "own_training_loop",
        (_CLIPPED, "scale = (max_grad_norm / (norm + 1e-6)).clamp(max=1.0) ** 2"),
        (_CLIPPED, "scale = 1 / (1 + norm / max_grad_norm)"),
        (
            "norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients]))",
            "norm = torch.stack([g.norm() for g in gradients]).sum()",
            "train-step-clips-by-sum-of-norms",
        ),
        ("total += float(value)", "total = max(total, float(value))"),
    ),
    *slips_of(
        "train",
        "own_training_loop",
        ("group.update(lr=schedule(number))", "group.update(lr=schedule(seen))"),
        ("group.update(lr=schedule(number))", "group.update(lr=schedule(number) ** 2)"),
        (
            "number, seen = number + 1, seen + result.tokens",
            "number, seen = number + 1, seen + len(batches)",
        ),
    ),
]
