"""List the known mistakes in the exercises of the measuring lesson, as edits."""

from functools import partial

from gpt2_small.checker.exercise_set import exercise_mistake

from .guides import GUIDES

mistake = partial(exercise_mistake, GUIDES)

_RISING = "rising = (step + 1) / warmup_steps if step < warmup_steps else 1.0"

_LEFT = "left = total_steps - 1 - step"

_FALLING = "falling = 1.0 if left >= decay_steps else max(left, 0) / max(decay_steps, 1)"

_RATE = "return peak * min(rising, falling)"

_TOO_LONG = "if warmup_steps + decay_steps > total_steps:"

_ZERO = "    model.zero_grad()\n"

_SHARE = "share = loss(model, batch) * (len(batch) / rows)"

_BACKWARD = "        share.backward()\n"

_RETURN_TOTAL = "        total += share.item()\n    return total"

_HALF = "half = STUDENT[count - 2] * statistics.stdev(values) / math.sqrt(count)"

_ENDS = "return statistics.fmean(values) - half, statistics.fmean(values) + half"

_COUNT = "if not 2 <= count <= 10:"

_BITS = "return -float(log_probs.sum()) / math.log(2) / len(text.encode())"

_SCORES = "scores = [float(each.sum()) for each in log_probs]"

_BY_TOKEN = "scores = [score / len(each) for score, each in zip(scores, log_probs, strict=True)]"

_BY_LETTER = "scores = [score / len(ending) for score, ending in zip(scores, endings, strict=True)]"

_BEST = "return max(range(len(scores)), key=scores.__getitem__)"

MISTAKES = {
    "trapezoid": (
        mistake("trapezoid", "starts-at-zero", _RISING,
                "rising = step / warmup_steps if step < warmup_steps else 1.0",
                "begins with a rate of 0, so that the first step does nothing",
                "Which share of the peak has step 0?"),
        mistake("trapezoid", "peak-one-later", _RISING,
                "rising = (step + 1) / (warmup_steps + 1) if step < warmup_steps else 1.0",
                "reaches the peak a step after the warm-up",
                "Which share of the peak has step warmup_steps - 1?"),
        mistake("trapezoid", "no-warm-up", _RISING, "rising = 1.0", "has no warm-up",
                "What is the rate of step 0?"),
        mistake("trapezoid", "no-decay", _FALLING, "falling = 1.0", "never falls",
                "What is the rate of the last step?"),
        mistake("trapezoid", "ends-above-zero", _LEFT, "left = total_steps - step",
                "ends one step too late, above 0", "How many steps are left after the last one?"),
        mistake("trapezoid", "from-the-start", _FALLING,
                "falling = max(left, 0) / (total_steps - 1)",
                "falls from the first step on", "When does the decay begin?"),
        mistake("trapezoid", "falls-at-once", _FALLING,
                "falling = 0.0 if left < decay_steps else 1.0",
                "drops to 0 at once", "Which shape has a trapezoid?"),
        mistake("trapezoid", "negative", _FALLING,
                "falling = 1.0 if left >= decay_steps else left / max(decay_steps, 1)",
                "goes below 0 after the last step", "What is the rate after the end?"),
        mistake("trapezoid", "cosine", _FALLING,
                "falling = 1.0 if left >= decay_steps else "
                "0.5 - 0.5 * math.cos(math.pi * max(left, 0) / max(decay_steps, 1))",
                "falls along a cosine", "Which shape has a trapezoid?"),
        mistake("trapezoid", "product-of-peaks", _RATE, "return peak * peak * min(rising, falling)",
                "multiplies by the peak twice", "What is the rate in the middle?"),
        mistake("trapezoid", "no-refusal", _TOO_LONG, "if False:",
                "accepts a warm-up and a decay that overlap", "When would the decay begin?"),
    ),
    "accumulate": (
        mistake("accumulate", "mean-of-means", _SHARE,
                "share = loss(model, batch) / len(batches)",
                "gives every micro-batch the same weight, whatever its size",
                "How much does each row count?"),
        mistake("accumulate", "sum", _SHARE, "share = loss(model, batch) * 1.0",
                "adds the losses up without a weight", "What do the weights add up to?"),
        mistake("accumulate", "not-zeroed", _ZERO, "",
                "adds to the gradients of the step before", "What is in .grad at the start?"),
        mistake("accumulate", "zeroed-in-between", _BACKWARD,
                "        model.zero_grad()\n        share.backward()\n",
                "drops the gradients before every micro-batch, so that the last one alone counts",
                "How often are gradients dropped?"),
        mistake("accumulate", "first-only", _BACKWARD,
                "        if total == 0.0:\n            share.backward()\n",
                "goes backward on the first micro-batch only",
                "How often is backward called?"),
        mistake("accumulate", "by-tokens-of-one", _SHARE,
                "share = loss(model, batch) * (len(batches[0]) / rows)",
                "weighs every micro-batch as the first one", "Whose rows are divided by all rows?"),
        mistake("accumulate", "detached", _BACKWARD,
                "        share.detach().requires_grad_().backward()\n",
                "cuts the loss off from the model", "What does detach do?"),
        mistake("accumulate", "last-loss", _RETURN_TOTAL, "        total = share.item()\n    return total",
                "returns the last micro-batch's part of the loss", "Over which rows is the mean?"),
        mistake("accumulate", "loss-doubled", _BACKWARD, "        (2 * share).backward()\n",
                "goes backward on twice the loss", "Of which number are these the gradients?"),
        mistake("accumulate", "steps-too", _RETURN_TOTAL,
                "        total += share.item()\n    with torch.no_grad():\n"
                "        for parameter in model.parameters():\n"
                "            parameter -= 0.1 * parameter.grad\n    return total",
                "changes the parameters, too", "Whose job is the update?"),
        mistake("accumulate", "no-refusal",
                '    if not batches:\n        raise ValueError("0 micro-batches have no gradient; give at least 1")',
                "    if not batches:\n        return 0.0", "accepts no micro-batch",
                "What is the mean of no rows?"),
    ),
    "interval": (
        mistake("interval", "normal", _HALF, "half = 1.96 * statistics.stdev(values) / math.sqrt(count)",
                "takes the normal quantile 1.96, as for many values",
                "How sure can one be of a spread that was estimated from 3 values?"),
        mistake("interval", "spread-of-values", _HALF,
                "half = STUDENT[count - 2] * statistics.stdev(values)",
                "is the spread of single values, not of their mean",
                "How does the error of a mean fall with the number of values?"),
        mistake("interval", "divided-by-count", _HALF,
                "half = STUDENT[count - 2] * statistics.stdev(values) / count",
                "divides by the count instead of its root",
                "How does the error of a mean fall with the number of values?"),
        mistake("interval", "over-n", _HALF,
                "half = STUDENT[count - 2] * statistics.pstdev(values) / math.sqrt(count)",
                "divides the squares by n instead of n - 1",
                "How many values are free once the mean is known?"),
        mistake("interval", "variance", _HALF,
                "half = STUDENT[count - 2] * statistics.variance(values) / math.sqrt(count)",
                "takes the variance for the standard deviation", "What is the unit of a variance?"),
        mistake("interval", "one-degree-more", _HALF,
                "half = STUDENT[min(count - 1, 8)] * statistics.stdev(values) / math.sqrt(count)",
                "looks the quantile up for one degree of freedom too many",
                "How many degrees of freedom have n values?"),
        mistake("interval", "standard-error", _HALF,
                "half = statistics.stdev(values) / math.sqrt(count)",
                "is one standard error wide on both sides, some 68 %",
                "How much is the quantile?"),
        mistake("interval", "around-the-median", _ENDS,
                "return statistics.median(values) - half, statistics.median(values) + half",
                "lies around the median", "Of what is it the interval?"),
        mistake("interval", "range", _ENDS, "return min(values), max(values)",
                "is the range of the values", "How wide would the range of 10 values be?"),
        mistake("interval", "mean-and-half", _ENDS, "return statistics.fmean(values), half",
                "gives the mean and half the width", "Which two numbers are returned?"),
        mistake("interval", "no-refusal", _COUNT, "if count == 1:\n        return values[0], values[0]\n    if False:",
                "gives an interval of one value, of no width", "What does one seed say about others?"),
    ),
    "bits_per_byte": (
        mistake("bits_per_byte", "nats", _BITS, "return -float(log_probs.sum()) / len(text.encode())",
                "is in nats", "How many nats is a bit?"),
        mistake("bits_per_byte", "multiplied", _BITS,
                "return -float(log_probs.sum()) * math.log(2) / len(text.encode())",
                "multiplies by ln 2", "Is a bit more or less than a nat?"),
        mistake("bits_per_byte", "per-character", _BITS,
                "return -float(log_probs.sum()) / math.log(2) / len(text)",
                "divides by the characters, of which some have several bytes",
                "How many bytes has 東?"),
        mistake("bits_per_byte", "per-token", _BITS,
                "return -float(log_probs.mean()) / math.log(2)",
                "divides by the tokens", "Do two tokenizers agree on the number of tokens?"),
        mistake("bits_per_byte", "mean-over-bytes", _BITS,
                "return -float(log_probs.mean()) / math.log(2) / len(text.encode())",
                "divides by the tokens and by the bytes", "What is divided by the bytes?"),
        mistake("bits_per_byte", "negative", _BITS,
                "return float(log_probs.sum()) / math.log(2) / len(text.encode())",
                "has the opposite sign", "Is a log-probability above or below 0?"),
        mistake("bits_per_byte", "log10", _BITS,
                "return -float(log_probs.sum()) / math.log(10) / len(text.encode())",
                "counts decimal digits instead of bits", "To which base is a bit?"),
        mistake("bits_per_byte", "first-missing", _BITS,
                "return -float(log_probs[1:].sum()) / math.log(2) / len(text.encode())",
                "leaves the first token out, whose bytes it counts",
                "Which tokens have the bytes?"),
        mistake("bits_per_byte", "utf-16", _BITS,
                'return -float(log_probs.sum()) / math.log(2) / len(text.encode("utf-16"))',
                "counts the bytes of UTF-16", "In which encoding are bytes counted?"),
        mistake("bits_per_byte", "no-refusal", "    if not text:", "    if not text:\n        return 0.0\n    if False:",
                "gives 0 for an empty text", "What is 0 divided by 0?"),
    ),
    "best_ending": (
        mistake("best_ending", "sum-only", '    if by == "token":', '    if by == "nothing":',
                "does not divide by the tokens", "Which definition divides by what?",
                also=(('    elif by != "sum":', '    elif by not in ("sum", "token"):'),)),
        mistake("best_ending", "characters-not-divided", _BY_LETTER, "scores = [*scores]",
                "does not divide by the characters", "Which definition divides by what?"),
        mistake("best_ending", "exchanged", '    if by == "token":', '    if by == "character":',
                "exchanges the two normalised definitions", "Which definition divides by what?",
                also=(('    elif by == "character":', '    elif by == "token":'),)),
        mistake("best_ending", "worst", _BEST, "return min(range(len(scores)), key=scores.__getitem__)",
                "takes the least likely ending", "Is a score near 0 good or bad?"),
        mistake("best_ending", "last-of-equals", _BEST,
                "return max(reversed(range(len(scores))), key=scores.__getitem__)",
                "takes the last of equal ones", "Which of equal ones is taken?"),
        mistake("best_ending", "bytes", _BY_LETTER,
                "scores = [score / len(ending.encode()) for score, ending in "
                "zip(scores, endings, strict=True)]",
                "divides by the bytes instead of the characters",
                "What does the harness count, characters or bytes?"),
        mistake("best_ending", "mean-everywhere", _SCORES,
                "scores = [float(each.mean()) for each in log_probs]",
                "averages over the tokens in every definition", "Which definition divides by what?"),
        mistake("best_ending", "first-token", _SCORES,
                "scores = [float(each[0]) for each in log_probs]",
                "scores the first token of an ending only", "Which tokens has an ending?"),
        mistake("best_ending", "last-token", _SCORES,
                "scores = [float(each[-1]) for each in log_probs]",
                "scores the last token of an ending only", "Which tokens has an ending?"),
        mistake("best_ending", "probabilities", _SCORES,
                "scores = [float(each.exp().sum()) for each in log_probs]",
                "adds up probabilities instead of their logarithms",
                "How likely are two tokens one after the other?"),
        mistake("best_ending", "times-length", _BY_TOKEN,
                "scores = [score * len(each) for score, each in zip(scores, log_probs, strict=True)]",
                "multiplies by the tokens", "Is a long ending to be punished or not?"),
        mistake("best_ending", "no-refusal", '    elif by != "sum":', "    elif False:",
                "takes the sum for a definition that it does not know",
                "What if somebody writes 'bytes'?"),
    ),
}  # fmt: skip
