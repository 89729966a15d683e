"""List the known mistakes in next_token_loss."""

from gpt2_small.checker.mistakes.mistake import Mistake

PART = "next_token_loss"
_TARGETS = "targets = tokens[:, 1:]"
_PREDICTIONS = "predictions = logits if seq_tokens > seq else logits[:, :-1]"
_FLAT = '        rearrange(predictions, "batch seq d_vocab -> (batch seq) d_vocab"),\n'
_CALL = "    return F.cross_entropy(\n"
_END = '        rearrange(targets, "batch seq -> (batch seq)"),\n    )\n'

_SHIFT_HINTS = (
    "Which token do the logits at position 0 have to foresee?",
    "The logits at position p are scored against token p + 1, for every position that has one.",
    "targets = tokens[:, 1:]; predictions = logits[:, :targets.shape[1]]",
)
_MEAN_HINTS = (
    "What does a batch of two equal rows cost, compared with one row?",
    "The loss is the mean over all targets of all rows, in nats.",
    "loss = -mean(log_softmax(predictions)[target])",
)
_LOGS_HINTS = (
    "What do equal logits cost? It should be ln d_vocab.",
    "cross_entropy expects logits, and takes the logarithm of the softmax itself.",
    "F.cross_entropy(predictions.flatten(0, 1), targets.flatten())",
)
_PAIRS_HINTS = (
    "Is it right for one row, and wrong for two?",
    "Predictions and targets are flattened in the same order, batch before seq.",
    "predictions: (batch seq) d_vocab; targets: (batch seq)",
)
_GRADIENT_HINTS = (
    "Does the loss give the logits the right gradient?",
    "The loss is returned as a tensor that gradients flow through.",
    "return F.cross_entropy(...), without detach, item or no_grad",
)

# Numbers in use, and the ends of their mistakes' ids.
_SMALL_NUMBERS = {
    "1e-10": "",
    "1e-12": "-1e-12",
    "1e-9": "-1e-9",
    "1e-8": "-1e-8",
    "1e-7": "-1e-7",
    "1e-6": "-1e-6",
}

MISTAKES = [
    Mistake(
        id="loss-no-shift",
        component=PART,
        old=_TARGETS,
        new="targets = tokens[:, : seq_tokens - 1]",
        sentence="scores every position against its own token: nothing is shifted",
        hints=_SHIFT_HINTS,
    ),
    Mistake(
        id="loss-shifted-backwards",
        component=PART,
        old=_TARGETS,
        new="targets = tokens.roll(1, dims=1)[:, : seq_tokens - 1]",
        sentence="scores every position against the token before it",
        hints=_SHIFT_HINTS,
    ),
    Mistake(
        id="loss-shifted-backwards-without-the-first",
        component=PART,
        old=_PREDICTIONS,
        new=(
            "predictions, targets = logits[:, 1:], tokens[:, : seq - 1]\n"
            "    if targets.numel() == 0:\n"
            "        predictions, targets = logits, tokens[:, :seq]"
        ),
        sentence="scores every position but the first against the token before it",
        hints=_SHIFT_HINTS,
    ),
    Mistake(
        id="loss-two-ahead",
        component=PART,
        old=_TARGETS,
        new="targets = tokens[:, 2:]",
        also=((_PREDICTIONS, "predictions = logits[:, : seq_tokens - 2]"),),
        sentence="scores every position against the token two places later",
        hints=_SHIFT_HINTS,
    ),
    Mistake(
        id="loss-targets-rolled",
        component=PART,
        old=_TARGETS,
        new="targets = tokens.roll(-1, dims=1)[:, :seq]",
        also=((_PREDICTIONS, "predictions = logits"),),
        sentence="scores the last position against the first token, as roll(-1) does",
        hints=_SHIFT_HINTS,
    ),
    Mistake(
        id="loss-wrong-end",
        component=PART,
        old=_PREDICTIONS,
        new="predictions = logits[:, 1:] if seq_tokens == seq else logits",
        sentence=(
            "drops the first logits instead of the last: position p is scored against token p"
        ),
        hints=_SHIFT_HINTS,
    ),
    Mistake(
        id="loss-last-target-lost",
        component=PART,
        old=_PREDICTIONS,
        new=(
            "last = max(seq_tokens - 2, 1)\n"
            "    predictions, targets = logits[:, :last], targets[:, :last]"
        ),
        sentence="leaves out the last target",
        hints=_SHIFT_HINTS,
    ),
    Mistake(
        id="loss-last-logits-always-dropped",
        component=PART,
        old=_PREDICTIONS,
        new="predictions, targets = logits[:, :-1], targets[:, : seq - 1]",
        sentence="drops the last logits also when they have a target",
        hints=_SHIFT_HINTS,
    ),
    Mistake(
        id="loss-one-token-more-refused",
        component=PART,
        old=_PREDICTIONS,
        new="predictions = logits[:, :-1]",
        sentence=(
            "drops the last logits always, so that tokens that are one longer than the logits "
            "do not fit"
        ),
        hints=_SHIFT_HINTS,
    ),
    Mistake(
        id="loss-first-target-lost",
        component=PART,
        old=_PREDICTIONS,
        new=(
            "first = min(1, targets.shape[1] - 1)\n"
            "    predictions, targets = logits[:, first : seq_tokens - 1], "
            "targets[:, first:]"
        ),
        sentence="leaves out the first target",
        hints=_SHIFT_HINTS,
    ),
    Mistake(
        id="loss-last-position-only",
        component=PART,
        old=_PREDICTIONS,
        new=("predictions, targets = logits[:, seq_tokens - 2 : seq_tokens - 1], targets[:, -1:]"),
        sentence="scores the last position only",
        hints=_SHIFT_HINTS,
    ),
    Mistake(
        id="loss-softmax-first",
        component=PART,
        old=_PREDICTIONS,
        new="predictions = logits[:, : seq_tokens - 1].softmax(dim=-1)",
        sentence=("gives probabilities to cross_entropy, which takes the softmax a second time"),
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-log-of-softmax",
        component=PART,
        old=_PREDICTIONS,
        new="predictions = (logits[:, : seq_tokens - 1].softmax(dim=-1) + 1e-8).log()",
        sentence="takes the logarithm of a softmax with a small number added",
        hints=_LOGS_HINTS,
    ),
    *(
        Mistake(
            id=f"loss-small-number-in-the-logarithm{suffix}",
            component=PART,
            old=_CALL,
            new=(
                "    shares = predictions.softmax(dim=-1).gather(-1, targets.unsqueeze(-1))\n"
                f"    return -(shares + {number}).log().mean()\n"
                "    return F.cross_entropy(\n"
            ),
            sentence=f"adds {number} before the logarithm, which limits the loss",
            hints=_LOGS_HINTS,
        )
        for number, suffix in _SMALL_NUMBERS.items()
    ),
    Mistake(
        id="loss-log-underflows",
        component=PART,
        old=_PREDICTIONS,
        new="predictions = logits[:, : seq_tokens - 1].softmax(dim=-1).log()",
        sentence="takes the logarithm of a softmax, which underflows for large logits",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-sigmoid",
        component=PART,
        old=_PREDICTIONS,
        new="predictions = logits[:, : seq_tokens - 1].sigmoid()",
        sentence="takes the sigmoid of the logits first",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-logits-divided",
        component=PART,
        old=_PREDICTIONS,
        new="predictions = logits[:, : seq_tokens - 1] / math.sqrt(logits.shape[-1])",
        sentence="divides the logits before it scores them",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-bits",
        component=PART,
        old=_END,
        new=('        rearrange(targets, "batch seq -> (batch seq)"),\n    ) / math.log(2)\n'),
        sentence="is in bits instead of nats",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-perplexity",
        component=PART,
        old=_END,
        new=('        rearrange(targets, "batch seq -> (batch seq)"),\n    ).exp()\n'),
        sentence="is the perplexity, the exponential of the loss",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-label-smoothing",
        component=PART,
        old=_END,
        new=(
            '        rearrange(targets, "batch seq -> (batch seq)"),\n'
            "        label_smoothing=0.1,\n"
            "    )\n"
        ),
        sentence="smooths its targets",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-negative",
        component=PART,
        old=_END,
        new=('        rearrange(targets, "batch seq -> (batch seq)"),\n    ) * -1\n'),
        sentence="has the wrong sign",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-summed",
        component=PART,
        old=_END,
        new=(
            '        rearrange(targets, "batch seq -> (batch seq)"),\n'
            '        reduction="sum",\n'
            "    )\n"
        ),
        sentence="is summed over the targets instead of averaged",
        hints=_MEAN_HINTS,
    ),
    Mistake(
        id="loss-mean-over-batch-only",
        component=PART,
        old=_END,
        new=(
            '        rearrange(targets, "batch seq -> (batch seq)"),\n'
            '        reduction="sum",\n'
            "    ) / len(tokens)\n"
        ),
        sentence="is averaged over the rows but summed over the positions",
        hints=_MEAN_HINTS,
    ),
    Mistake(
        id="loss-mean-over-positions-only",
        component=PART,
        old=_END,
        new=(
            '        rearrange(targets, "batch seq -> (batch seq)"),\n'
            '        reduction="sum",\n'
            "    ) / targets.shape[1]\n"
        ),
        sentence="is averaged over the positions but summed over the rows",
        hints=_MEAN_HINTS,
    ),
    Mistake(
        id="loss-divided-by-all-tokens",
        component=PART,
        old=_END,
        new=(
            '        rearrange(targets, "batch seq -> (batch seq)"),\n'
            '        reduction="sum",\n'
            "    ) / tokens.numel()\n"
        ),
        sentence="divides by the number of tokens instead of the number of targets",
        hints=_MEAN_HINTS,
    ),
    Mistake(
        id="loss-divided-by-vocabulary",
        component=PART,
        old=_END,
        new=('        rearrange(targets, "batch seq -> (batch seq)"),\n    ) / logits.shape[-1]\n'),
        sentence="is divided by d_vocab as well",
        hints=_MEAN_HINTS,
    ),
    Mistake(
        id="loss-not-reduced",
        component=PART,
        old=_END,
        new=(
            '        rearrange(targets, "batch seq -> (batch seq)"),\n'
            '        reduction="none",\n'
            "    )\n"
        ),
        sentence="returns the loss of each target instead of their mean",
        hints=_MEAN_HINTS,
    ),
    Mistake(
        id="loss-not-reduced-by-row",
        component=PART,
        old=_FLAT,
        new='        rearrange(predictions, "batch seq d_vocab -> batch d_vocab seq"),\n',
        also=((_END, '        targets,\n        reduction="none",\n    )\n'),),
        sentence="returns the loss of each target, [batch seq], instead of their mean",
        hints=_MEAN_HINTS,
    ),
    Mistake(
        id="loss-ignores-token-0",
        component=PART,
        old=_END,
        new=(
            '        rearrange(targets, "batch seq -> (batch seq)"),\n'
            "        ignore_index=0,\n"
            "    )\n"
        ),
        sentence="does not count targets that are token 0, as if it were padding",
        hints=_MEAN_HINTS,
    ),
    Mistake(
        id="loss-batch-and-seq-mixed",
        component=PART,
        old=_FLAT,
        new=('        rearrange(predictions, "batch seq d_vocab -> (seq batch) d_vocab"),\n'),
        sentence="flattens predictions and targets in different orders",
        hints=_PAIRS_HINTS,
    ),
    Mistake(
        id="loss-targets-flattened-by-position",
        component=PART,
        old=_END,
        new=_END.replace("-> (batch seq)", "-> (seq batch)"),
        sentence="flattens the targets position by position, but the predictions row by row",
        hints=_PAIRS_HINTS,
    ),
    Mistake(
        id="loss-logits-reshaped",
        component=PART,
        old=_FLAT,
        new=(
            "        predictions.reshape(len(predictions), -1, targets.shape[1])"
            ".transpose(1, 2).flatten(0, 1),\n"
        ),
        sentence="reshapes the logits to [batch d_vocab seq], which mixes positions and tokens",
        hints=_PAIRS_HINTS,
    ),
    Mistake(
        id="loss-first-row-only",
        component=PART,
        old=_PREDICTIONS,
        new="predictions, targets = logits[:1, : seq_tokens - 1], targets[:1]",
        sentence="scores the first row of the batch only",
        hints=_PAIRS_HINTS,
    ),
    Mistake(
        id="loss-targets-of-first-row",
        component=PART,
        old=_TARGETS,
        new="targets = tokens[:1, 1:].expand(len(tokens), -1)",
        sentence="scores every row against the first row's tokens",
        hints=_PAIRS_HINTS,
    ),
    Mistake(
        id="loss-detached",
        component=PART,
        old=_FLAT,
        new=(
            '        rearrange(predictions.detach(), "batch seq d_vocab -> (batch seq) d_vocab"),\n'
        ),
        sentence="gives the logits no gradient",
        hints=_GRADIENT_HINTS,
    ),
    Mistake(
        id="loss-in-place",
        component=PART,
        old=_PREDICTIONS,
        new=(
            "predictions = logits.data.sub_(logits.amax(dim=-1, keepdim=True))[:, : "
            "seq_tokens - 1] + 0 * logits[:, : seq_tokens - 1]"
        ),
        sentence="changes its logits in place",
        hints=(
            "Print the logits before and after the call.",
            "Whoever passed them in may still need them.",
            "Use logits = logits - max, which makes a new tensor",
        ),
    ),
    Mistake(
        id="loss-by-gather",
        component=PART,
        old=_CALL,
        new=(
            "    right = predictions.gather(-1, targets.unsqueeze(-1)).squeeze(-1)\n"
            "    return (predictions.logsumexp(dim=-1) - right).mean()\n"
            "    return F.cross_entropy(\n"
        ),
        sentence="is logsumexp minus the right logit",
        equivalent=True,
    ),
    Mistake(
        id="loss-one-maximum",
        component=PART,
        old=_CALL,
        new=(
            "    largest = predictions.max()\n"
            "    lower = predictions - largest\n"
            "    logs = lower - lower.exp().sum(-1, keepdim=True).log()\n"
            "    return -logs.gather(-1, targets.unsqueeze(-1)).mean()\n"
            "    return F.cross_entropy(\n"
        ),
        sentence="subtracts one maximum of the whole batch, so that rows far below it underflow",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-softmax-over-seq",
        component=PART,
        old=_CALL,
        new=(
            "    return -predictions.log_softmax(1).gather(-1, targets.unsqueeze(-1)).mean()\n"
            "    return F.cross_entropy(\n"
        ),
        sentence="takes the softmax over the positions instead of over the vocabulary",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-of-probabilities",
        component=PART,
        old=_CALL,
        new=(
            "    return -predictions.softmax(-1).gather(-1, targets.unsqueeze(-1)).mean()\n"
            "    return F.cross_entropy(\n"
        ),
        sentence="averages the probabilities of the targets, without a logarithm",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-one-minus-probability",
        component=PART,
        old=_CALL,
        new=(
            "    return 1 - predictions.softmax(-1).gather(-1, targets.unsqueeze(-1)).mean()\n"
            "    return F.cross_entropy(\n"
        ),
        sentence="averages 1 minus the probabilities of the targets, without a logarithm",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-squared-error",
        component=PART,
        old=_CALL,
        new=(
            "    wanted = F.one_hot(targets, predictions.shape[-1]).to(predictions.dtype)\n"
            "    return F.mse_loss(predictions.softmax(-1), wanted)\n"
            "    return F.cross_entropy(\n"
        ),
        sentence="takes the squared error of the probabilities",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-nothing-shifted-nor-left-out",
        component=PART,
        old=_TARGETS,
        new="targets = tokens[:, :seq]",
        also=((_PREDICTIONS, "predictions = logits"),),
        sentence="scores every position against its own token, the last one too",
        hints=_SHIFT_HINTS,
    ),
    Mistake(
        id="loss-logits-clamped",
        component=PART,
        old=_PREDICTIONS,
        new="predictions = logits[:, : seq_tokens - 1].clamp(-10, 10)",
        sentence="clamps the logits to 10, so that sure predictions cost too much",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-exponentials-overflow",
        component=PART,
        old=_CALL,
        new=(
            "    shares = predictions.exp() / predictions.exp().sum(-1, keepdim=True)\n"
            "    return -shares.gather(-1, targets.unsqueeze(-1)).log().mean()\n"
            "    return F.cross_entropy(\n"
        ),
        sentence="takes exponentials without subtracting the maximum, which overflow",
        hints=_LOGS_HINTS,
    ),
    Mistake(
        id="loss-ignores-50256",
        component=PART,
        old=_END,
        new=(
            '        rearrange(targets, "batch seq -> (batch seq)"),\n'
            "        ignore_index=50256,\n    )\n"
        ),
        sentence="leaves out targets that are 50256, GPT-2's end of text",
        hints=_MEAN_HINTS,
    ),
]
