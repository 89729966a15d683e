"""List the known mistakes in train_step."""

from gpt2_small.checker.mistakes.mistake import Mistake

PART = "train_step"
_COUNT = "tokens = sum(batch[:, 1:].numel() for batch in batches)"
_ZERO = "    optimizer.zero_grad()\n"
_WEIGHTED = "weighted_loss = loss(model, batch) * (batch[:, 1:].numel() / tokens)"
_BACKWARD = "            weighted_loss.backward()\n"
_MEAN = "mean_loss = torch.stack(losses).sum().item()"
_CLIP = "grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item()"
_UPDATE = "    optimizer.step()\n"
_FINITE = "if not (math.isfinite(mean_loss) and math.isfinite(grad_norm)):"
_BATCH_LOSS = "return next_token_loss(model(batch[:, :-1]), batch)"
_SYNC = "last=number == len(batches)"

_OLD_HINTS = (
    "Make two steps. Does the second know the first one's gradients?",
    (
        "Gradients are zeroed once, before the first micro-batch, and not between backward and "
        "update."
    ),
    "optimizer.zero_grad(); backward of each micro-batch; clip; optimizer.step()",
)
_SHARE_HINTS = (
    "Compare a step on two micro-batches with a step on both as one batch.",
    (
        "Every target counts the same: a micro-batch's mean loss is weighted by its share of "
        "the targets."
    ),
    "(loss(model, batch) * targets in the batch / targets in all).backward()",
)
_CLIP_HINTS = (
    "Make a step with max_grad_norm=0.05. How long is the whole gradient then?",
    (
        "The norm is that of all gradients together, after the last backward; they are scaled "
        "only when it is larger than max_grad_norm."
    ),
    "grad_norm = clip_grad_norm_(model.parameters(), max_grad_norm)",
)
_TELLS_HINTS = (
    "Compare the step's result with that of a step on one large batch.",
    (
        "The loss is the mean over all targets before the update, grad_norm the norm before "
        "clipping, tokens the number of targets."
    ),
    "StepResult(mean loss, norm before clipping, sum of batch[:, 1:].numel())",
)
_UPDATE_HINTS = (
    "By how much do the weights change, and in which direction?",
    "One update of the optimiser, after all micro-batches.",
    "optimizer.step(), once, after clipping",
)
_FINITE_HINTS = (
    "What are the weights after a step whose gradient is infinite?",
    "The loss and the norm of the gradient are looked at before the update.",
    "if not (isfinite(loss) and isfinite(grad_norm)): raise FloatingPointError(...)",
)
_WINDOW_HINTS = (
    "Which of a window's n_ctx + 1 tokens does the model read, and which are targets?",
    "It reads all but the last token, and every position has a target, the last one too.",
    "next_token_loss(model(batch[:, :-1]), batch)",
)
_PROCESSES_HINTS = (
    "Make a step in two processes. Do they have equal weights afterwards?",
    (
        "A distributed model exchanges gradients in backward; that must happen with the last "
        "micro-batch, forward pass included."
    ),
    "with model.no_sync() around forward and backward of all micro-batches but the last",
)

MISTAKES = [
    Mistake(
        id="train-step-not-zeroed",
        component=PART,
        old=_ZERO,
        new="",
        sentence="does not zero the gradients, so that old ones are added",
        hints=_OLD_HINTS,
    ),
    Mistake(
        id="train-step-zeroed-before-update",
        component=PART,
        old=_UPDATE,
        new=("    optimizer.zero_grad()\n    optimizer.step()\n"),
        sentence="zeroes the gradients before the update, which then does nothing",
        hints=_OLD_HINTS,
    ),
    Mistake(
        id="train-step-zeroed-before-clipping",
        component=PART,
        old="    mean_loss = torch.stack(losses).sum().item()\n",
        new="    mean_loss = torch.stack(losses).sum().item()\n    optimizer.zero_grad()\n",
        sentence=(
            "has no gradient when it clips: it zeroes them after the backward pass, or none "
            "reaches the model, as after loss.item()"
        ),
        hints=_OLD_HINTS,
    ),
    Mistake(
        id="train-step-last-batch-only",
        component=PART,
        old=_BACKWARD,
        new=("            optimizer.zero_grad()\n            weighted_loss.backward()\n"),
        sentence="zeroes the gradients between micro-batches, so that only the last counts",
        hints=_OLD_HINTS,
    ),
    Mistake(
        id="train-step-first-batch-only",
        component=PART,
        old=_BACKWARD,
        new=("            if number == 1:\n                weighted_loss.backward()\n"),
        sentence="takes the gradient of the first micro-batch only",
        hints=_SHARE_HINTS,
    ),
    Mistake(
        id="train-step-summed",
        component=PART,
        old=_WEIGHTED,
        new="weighted_loss = loss(model, batch)",
        sentence="adds micro-batches up instead of averaging them",
        hints=_SHARE_HINTS,
    ),
    Mistake(
        id="train-step-gradient-summed",
        component=PART,
        old=_BACKWARD,
        new="            (weighted_loss * tokens / batch[:, 1:].numel()).backward()\n",
        sentence=(
            "adds the gradients of micro-batches up instead of averaging them, and averages the "
            "loss that it tells"
        ),
        hints=_SHARE_HINTS,
    ),
    Mistake(
        id="train-step-gradient-equal-shares",
        component=PART,
        old=_BACKWARD,
        new=(
            "            share = tokens / batch[:, 1:].numel() / len(batches)\n"
            "            (weighted_loss * share).backward()\n"
        ),
        sentence=(
            "gives the gradient of every micro-batch the same weight, whatever its size, and not "
            "the loss that it tells"
        ),
        hints=_SHARE_HINTS,
    ),
    Mistake(
        id="train-step-equal-shares",
        component=PART,
        old=_WEIGHTED,
        new="weighted_loss = loss(model, batch) / len(batches)",
        sentence="gives every micro-batch the same weight, whatever its size",
        hints=_SHARE_HINTS,
    ),
    Mistake(
        id="train-step-weighted-by-rows",
        component=PART,
        old=_WEIGHTED,
        new=("weighted_loss = loss(model, batch) * (len(batch) / sum(len(b) for b in batches))"),
        sentence="weights micro-batches by their rows instead of their targets",
        hints=_SHARE_HINTS,
    ),
    Mistake(
        id="train-step-weighted-by-tokens",
        component=PART,
        old=_WEIGHTED,
        new=(
            "weighted_loss = loss(model, batch) * (batch.numel() / sum(b.numel() for b in batches))"
        ),
        sentence="weights micro-batches by their tokens instead of their targets",
        hints=_SHARE_HINTS,
    ),
    Mistake(
        id="train-step-share-of-those-so-far",
        component=PART,
        old=_WEIGHTED,
        new=(
            "so_far = sum(b[:, 1:].numel() for b in batches[:number])\n"
            "            weighted_loss = loss(model, batch) * (batch[:, 1:].numel() / so_far)"
        ),
        sentence="divides by the targets of the micro-batches so far instead of all",
        hints=_SHARE_HINTS,
    ),
    Mistake(
        id="train-step-share-of-tokens-in-targets",
        component=PART,
        old=_WEIGHTED,
        new="weighted_loss = loss(model, batch) * (batch.numel() / tokens)",
        sentence="divides the tokens of a micro-batch by the number of targets",
        hints=_SHARE_HINTS,
    ),
    Mistake(
        id="train-step-divided-twice",
        component=PART,
        old=_WEIGHTED,
        new=("weighted_loss = loss(model, batch) * (batch[:, 1:].numel() / tokens) / len(batches)"),
        sentence="divides by the number of micro-batches once more",
        hints=_SHARE_HINTS,
    ),
    Mistake(
        id="train-step-divided-by-targets",
        component=PART,
        old=_WEIGHTED,
        new="weighted_loss = loss(model, batch) / tokens",
        sentence="divides mean losses by the number of targets",
        hints=_SHARE_HINTS,
    ),
    Mistake(
        id="train-step-clips-each-parameter",
        component=PART,
        old=_CLIP,
        new=(
            "norms = [nn.utils.clip_grad_norm_(p, max_grad_norm) for p in "
            "model.parameters()]\n"
            "    grad_norm = torch.stack(norms).norm().item()"
        ),
        sentence="clips every parameter by itself",
        hints=_CLIP_HINTS,
    ),
    Mistake(
        id="train-step-clips-by-value",
        component=PART,
        old=_CLIP,
        new=(
            "grad_norm = torch.stack([p.grad.norm() for p in "
            "model.parameters()]).norm().item()\n"
            "    nn.utils.clip_grad_value_(model.parameters(), max_grad_norm)"
        ),
        sentence="clips every number by itself instead of the norm",
        hints=_CLIP_HINTS,
    ),
    Mistake(
        id="train-step-no-clipping",
        component=PART,
        old=_CLIP,
        new=("grad_norm = nn.utils.clip_grad_norm_(model.parameters(), math.inf).item()"),
        sentence="does not clip",
        hints=_CLIP_HINTS,
    ),
    Mistake(
        id="train-step-always-scaled",
        component=PART,
        old=_CLIP,
        new=(
            "grad_norm = nn.utils.clip_grad_norm_(model.parameters(), "
            "max_grad_norm).item()\n"
            "    for parameter in model.parameters():\n"
            "        parameter.grad.mul_(max_grad_norm / min(grad_norm, "
            "max_grad_norm))"
        ),
        sentence="scales every gradient to max_grad_norm, short ones as well",
        hints=_CLIP_HINTS,
    ),
    Mistake(
        id="train-step-clips-to-one",
        component=PART,
        old=_CLIP,
        new="grad_norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()",
        sentence="clips to 1 whatever max_grad_norm is",
        hints=_CLIP_HINTS,
    ),
    Mistake(
        id="train-step-clips-after-update",
        component=PART,
        old=_CLIP,
        new=("grad_norm = nn.utils.clip_grad_norm_(model.parameters(), math.inf).item()"),
        also=(
            (
                _UPDATE,
                (
                    "    optimizer.step()\n"
                    "    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)\n"
                ),
            ),
        ),
        sentence="clips after the update",
        hints=_CLIP_HINTS,
        same_as="train-step-no-clipping",
    ),
    Mistake(
        id="train-step-clips-each-batch",
        component=PART,
        old=_BACKWARD,
        new=(
            "            weighted_loss.backward()\n"
            "            nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)\n"
        ),
        sentence="clips after every micro-batch",
        hints=_CLIP_HINTS,
    ),
    Mistake(
        id="train-step-clips-in-the-loop",
        component=PART,
        old=_BACKWARD,
        new=(
            "            weighted_loss.backward()\n"
            "            grad_norm = nn.utils.clip_grad_norm_(\n"
            "                model.parameters(), max_grad_norm\n"
            "            ).item()\n"
        ),
        also=((_CLIP, "pass"),),
        sentence="clips in the loop over micro-batches instead of after it",
        hints=_CLIP_HINTS,
    ),
    Mistake(
        id="train-step-clips-by-largest",
        component=PART,
        old=_CLIP,
        new=(
            "grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm, "
            "norm_type=math.inf).item()"
        ),
        sentence="clips by the largest number instead of the norm",
        hints=_CLIP_HINTS,
    ),
    Mistake(
        id="train-step-clips-by-sum-of-magnitudes",
        component=PART,
        old=_CLIP,
        new=(
            "grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm, "
            "norm_type=1).item()"
        ),
        sentence="clips by the sum of the magnitudes instead of the norm",
        hints=_CLIP_HINTS,
    ),
    Mistake(
        id="train-step-clips-by-sum-of-norms",
        component=PART,
        old=_CLIP,
        new=(
            "gradients = [p.grad for p in model.parameters() if p.grad is not None]\n"
            "    total = torch.stack([gradient.norm() for gradient in gradients]).sum()\n"
            "    if total > max_grad_norm:\n"
            "        for gradient in gradients:\n"
            "            gradient.mul_(max_grad_norm / total)\n"
            "    grad_norm = total.item()"
        ),
        sentence="adds the norms of the parameters instead of their squares",
        hints=_CLIP_HINTS,
    ),
    Mistake(
        id="train-step-norm-after-clipping",
        component=PART,
        old=_CLIP,
        new=(
            "nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)\n"
            "    norms = [parameter.grad.norm() for parameter in model.parameters() "
            "if parameter.grad is not None]\n"
            "    grad_norm = torch.stack(norms).norm().item()"
        ),
        sentence="tells the norm after clipping",
        hints=_TELLS_HINTS,
    ),
    Mistake(
        id="train-step-norm-squared",
        component=PART,
        old=_CLIP,
        new=("grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item() ** 2"),
        sentence="tells the square of the norm",
        hints=_TELLS_HINTS,
    ),
    Mistake(
        id="train-step-clips-by-squared-norm",
        component=PART,
        old=_CLIP,
        new=(
            "gradients = [p.grad for p in model.parameters() if p.grad is not None]\n"
            "    squares = sum((gradient**2).sum() for gradient in gradients)\n"
            "    if squares > max_grad_norm:\n"
            "        for gradient in gradients:\n"
            "            gradient.mul_(max_grad_norm / squares)\n"
            "    grad_norm = squares.item()"
        ),
        sentence="takes the sum of the squares for the norm, without the root",
        hints=_CLIP_HINTS,
    ),
    Mistake(
        id="train-step-tells-last-loss",
        component=PART,
        old=_MEAN,
        new="mean_loss = losses[-1].item() * tokens / batches[-1][:, 1:].numel()",
        sentence="tells the last micro-batch's loss",
        hints=_TELLS_HINTS,
    ),
    Mistake(
        id="train-step-tells-last-share",
        component=PART,
        old=_MEAN,
        new="mean_loss = losses[-1].item()",
        sentence="tells the last micro-batch's share of the loss",
        hints=_TELLS_HINTS,
    ),
    Mistake(
        id="train-step-tells-mean-of-shares",
        component=PART,
        old=_MEAN,
        new="mean_loss = torch.stack(losses).mean().item()",
        sentence="tells the mean of the shares instead of their sum",
        hints=_TELLS_HINTS,
    ),
    Mistake(
        id="train-step-tells-summed-loss",
        component=PART,
        old=_MEAN,
        new="mean_loss = torch.stack(losses).sum().item() * tokens",
        sentence="tells the sum over all targets",
        hints=_TELLS_HINTS,
    ),
    Mistake(
        id="train-step-tells-plain-mean",
        component=PART,
        old=_MEAN,
        new=(
            "sizes = [batch[:, 1:].numel() / tokens for batch in batches]\n"
            "    mean_loss = (torch.stack(losses).cpu() / "
            "torch.tensor(sizes)).mean().item()"
        ),
        sentence="tells the plain mean of the micro-batches' losses",
        hints=_TELLS_HINTS,
    ),
    Mistake(
        id="train-step-tells-loss-after",
        component=PART,
        old=_UPDATE,
        new=(
            "    optimizer.step()\n"
            "    with torch.no_grad():\n"
            "        mean_loss = sum(loss(model, b).item() * b[:, 1:].numel() / "
            "tokens for b in batches)\n"
        ),
        sentence="tells the loss after the update",
        hints=_TELLS_HINTS,
    ),
    Mistake(
        id="train-step-counts-all-tokens",
        component=PART,
        old="    return StepResult(mean_loss, grad_norm, tokens)",
        new=(
            "    return StepResult(mean_loss, grad_norm, sum(batch.numel() for batch in batches))"
        ),
        sentence="counts all tokens instead of the targets",
        hints=_TELLS_HINTS,
    ),
    Mistake(
        id="train-step-counts-rows",
        component=PART,
        old="    return StepResult(mean_loss, grad_norm, tokens)",
        new=("    return StepResult(mean_loss, grad_norm, sum(len(batch) for batch in batches))"),
        sentence="counts rows instead of targets",
        hints=_TELLS_HINTS,
    ),
    Mistake(
        id="train-step-counts-last-batch",
        component=PART,
        old="    return StepResult(mean_loss, grad_norm, tokens)",
        new="    return StepResult(mean_loss, grad_norm, batches[-1][:, 1:].numel())",
        sentence="counts the last micro-batch's targets only",
        hints=_TELLS_HINTS,
    ),
    Mistake(
        id="train-step-ascent",
        component=PART,
        old=_BACKWARD,
        new="            (-weighted_loss).backward()\n",
        sentence="climbs: the gradient has the wrong sign",
        hints=_UPDATE_HINTS,
    ),
    Mistake(
        id="train-step-update-missing",
        component=PART,
        old=_UPDATE,
        new="",
        sentence="does not update the weights",
        hints=_UPDATE_HINTS,
    ),
    Mistake(
        id="train-step-updates-twice",
        component=PART,
        old=_UPDATE,
        new=("    optimizer.step()\n    optimizer.step()\n"),
        sentence="updates twice",
        hints=_UPDATE_HINTS,
    ),
    Mistake(
        id="train-step-updates-each-batch",
        component=PART,
        old=_BACKWARD,
        new=("            weighted_loss.backward()\n            optimizer.step()\n"),
        sentence="updates after every micro-batch as well",
        hints=_UPDATE_HINTS,
    ),
    Mistake(
        id="train-step-update-first",
        component=PART,
        old=_UPDATE,
        new="",
        also=((_ZERO, ("    optimizer.step()\n    optimizer.zero_grad()\n")),),
        sentence="updates before the gradients are there",
        hints=_UPDATE_HINTS,
    ),
    Mistake(
        id="train-step-decay-in-gradient",
        component=PART,
        old=_CLIP,
        new=(
            "for parameter in model.parameters():\n"
            "        parameter.grad.add_(parameter.detach(), alpha=0.1)\n"
            "    grad_norm = nn.utils.clip_grad_norm_(model.parameters(), "
            "max_grad_norm).item()"
        ),
        sentence=(
            "adds the weights to the gradient, as L2 does, instead of leaving decay "
            "to the optimiser"
        ),
        hints=_UPDATE_HINTS,
    ),
    Mistake(
        id="train-step-halves-gradient",
        component=PART,
        old=_CLIP,
        new=(
            "grad_norm = nn.utils.clip_grad_norm_(model.parameters(), "
            "max_grad_norm).item()\n"
            "    for parameter in model.parameters():\n"
            "        parameter.grad.mul_(0.5)"
        ),
        sentence="halves the gradient",
        hints=_UPDATE_HINTS,
    ),
    Mistake(
        id="train-step-frozen-embedding",
        component=PART,
        old=_CLIP,
        new=(
            "next(iter(model.parameters())).grad.zero_()\n"
            "    grad_norm = nn.utils.clip_grad_norm_(model.parameters(), "
            "max_grad_norm).item()"
        ),
        sentence="does not train the first parameter",
        hints=_UPDATE_HINTS,
    ),
    Mistake(
        id="train-step-empties-its-list",
        component=PART,
        old=_UPDATE,
        new=("    optimizer.step()\n    batches.clear()\n"),
        sentence="empties the list of micro-batches that it was given",
        hints=(
            "Print the list of micro-batches before and after the call.",
            "Whoever passed it in may still need it.",
            "for batch in batches: ...",
        ),
    ),
    Mistake(
        id="train-step-last-target-lost",
        component=PART,
        old=_BATCH_LOSS,
        new="return next_token_loss(model(batch[:, :-1]), batch[:, :-1])",
        sentence="leaves the last target of every window out",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="train-step-reads-last-token",
        component=PART,
        old=_BATCH_LOSS,
        new="return next_token_loss(model(batch), batch)",
        sentence="gives the model the last token too, which is one more than n_ctx",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="train-step-first-token-lost",
        component=PART,
        old=_BATCH_LOSS,
        new="return next_token_loss(model(batch[:, 1:-1]), batch[:, 1:])",
        sentence="leaves the first token of every window out",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="train-step-targets-unshifted",
        component=PART,
        old=_BATCH_LOSS,
        new=("return F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, :-1].flatten())"),
        sentence="takes its inputs for targets",
        hints=_WINDOW_HINTS,
    ),
    Mistake(
        id="train-step-infinite-gradient",
        component=PART,
        old=_FINITE,
        new="if not math.isfinite(mean_loss):",
        sentence="checks only the loss, and updates with a gradient that is not finite",
        hints=_FINITE_HINTS,
    ),
    Mistake(
        id="train-step-updates-before-it-looks",
        component=PART,
        old=_FINITE,
        new=f"optimizer.step(closure=None)\n    {_FINITE}",
        also=((_UPDATE, ""),),
        sentence="looks whether the loss and the gradient are finite after the update only",
        hints=_FINITE_HINTS,
    ),
    Mistake(
        id="train-step-tells-tensors",
        component=PART,
        old=_MEAN,
        new="mean_loss = torch.stack(losses).sum()",
        sentence="tells its loss as a tensor, not as a number",
        hints=_TELLS_HINTS,
    ),
    Mistake(
        id="train-step-refuses-nothing",
        component=PART,
        old=_FINITE,
        new="if False:",
        sentence="updates with a loss or a gradient that is not finite instead of refusing it",
        hints=(
            "What does your step do when the loss is infinite or NaN?",
            "Before the update, look whether the loss and the gradient's norm are finite.",
            "if not (math.isfinite(loss) and math.isfinite(norm)): raise FloatingPointError(...)",
        ),
    ),
    Mistake(
        id="train-step-in-evaluation",
        component=PART,
        old="    optimizer.zero_grad()\n    losses = []\n",
        new="    optimizer.zero_grad()\n    model.eval()\n    losses = []\n",
        sentence="switches the model to evaluation mode, so that dropout never acts",
        hints=(
            "In which mode does the model read the micro-batches?",
            "A step trains, so dropout acts; train has switched the model to training mode.",
            "no model.eval() in train_step",
        ),
    ),
    Mistake(
        id="train-step-ends-in-evaluation",
        component=PART,
        old="    optimizer.step()\n    return StepResult(",
        new="    optimizer.step()\n    model.eval()\n    return StepResult(",
        sentence="leaves the model in evaluation mode, without dropout in later steps",
        hints=(
            "In which mode is the model after the step?",
            "The caller chose training mode and takes the next step in it; leave the mode alone.",
            "no model.eval() in train_step",
        ),
    ),
    Mistake(
        id="train-step-never-exchanged",
        component=PART,
        old=_SYNC,
        new="last=False",
        sentence="does not exchange gradients between processes with the last micro-batch",
        hints=_PROCESSES_HINTS,
    ),
    Mistake(
        id="train-step-exchanged-too-early",
        component=PART,
        old=_SYNC,
        new="last=number == 1 < len(batches) or False",
        sentence="exchanges gradients with the first micro-batch instead of the last",
        hints=_PROCESSES_HINTS,
        same_as="train-step-never-exchanged",
    ),
    Mistake(
        id="train-step-exchanged-every-time",
        component=PART,
        old=_SYNC,
        new="last=True",
        sentence="exchanges gradients with every micro-batch, which only costs time",
        equivalent=True,
    ),
    Mistake(
        id="train-step-zeroed-after-update",
        component=PART,
        old=_ZERO,
        new="",
        also=((_UPDATE, "    optimizer.step()\n    optimizer.zero_grad()\n"),),
        sentence=(
            "zeroes the gradients after the update, so that those from "
            "before the first step are added"
        ),
        hints=_OLD_HINTS,
    ),
    Mistake(
        id="train-step-ignores-loss",
        component=PART,
        old=_WEIGHTED,
        new=_WEIGHTED.replace("loss(model, batch)", "batch_loss(model, batch)"),
        sentence="takes loss= and does not use it",
        hints=_SHARE_HINTS,
    ),
]
