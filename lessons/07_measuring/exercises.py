"""Define the exercises of the measuring lesson: claims, known mistakes and hints."""

import math
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims import OPTIMISERS, Claim
from gpt2_small.checker.claims.failure import Failure
from gpt2_small.checker.claims.observation import Observation
from gpt2_small.checker.claims.probes import draws, text
from gpt2_small.checker.claims.refusals import ending
from gpt2_small.checker.exercise_set import ExerciseSet, exercise_mistake
from gpt2_small.checker.learner.hints import Guide


def number(given: object, what: str) -> Tensor:
    """A number as a float64. Raises Failure for anything else."""
    try:
        return torch.tensor(float(given), dtype=torch.float64)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise Failure(f"{what} gives {text(given)}, not a number") from None


SCHEDULE = {"peak": 0.8, "warmup_steps": 4, "decay_steps": 5, "total_steps": 14}
SCHEDULES = {
    "with a warm-up of 4 and a decay of 5": SCHEDULE,
    "without a warm-up": SCHEDULE | {"warmup_steps": 0},
    "without a decay": SCHEDULE | {"decay_steps": 0},
    "whose decay follows the warm-up": SCHEDULE | {"warmup_steps": 9},
}


def rates(module: ModuleType, _seed: int) -> Observation:
    return {
        f"the rates of 17 steps {name}": torch.stack(
            [number(module.trapezoid(step, **given), "trapezoid") for step in range(17)]
        )
        for name, given in SCHEDULES.items()
    }


def rates_by_torch(_reference: ModuleType, _seed: int) -> Observation:
    """torch's schedulers, joined: a linear one up, a constant one, a linear one down."""
    from torch.optim.lr_scheduler import ConstantLR, LinearLR, SequentialLR

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    rising = LinearLR(optimizer, start_factor=1 / 4, end_factor=1.0, total_iters=3)
    level = ConstantLR(optimizer, factor=1.0, total_iters=0)
    falling = LinearLR(optimizer, start_factor=1.0, end_factor=1e-300, total_iters=5)
    schedule = SequentialLR(optimizer, [rising, level, falling], milestones=[4, 8])
    found = []
    for _ in range(17):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    rates = torch.tensor(found, dtype=torch.float64)
    return {"the rates of 17 steps with a warm-up of 4 and a decay of 5": rates}


def rate_refusals(module: ModuleType, _seed: int) -> Observation:
    given = SCHEDULE | {"warmup_steps": 10}
    return {"a warm-up of 10 and a decay of 5 in 14 steps": ending(
        partial(module.trapezoid, 0, **given))}  # fmt: skip


class Line(nn.Module):
    """A small model with two parameters."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = draws(seed, "line")
        self.weight = nn.Parameter(torch.randn(4, 4, generator=generator, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(4, generator=generator, dtype=torch.float64))

    def forward(self, tokens: Tensor) -> Tensor:
        return (self.weight[tokens] + self.bias).tanh()


def mean_of_rows(model: nn.Module, batch: Tensor) -> Tensor:
    """A loss that is the mean over the rows."""
    return (model(batch[:, :-1]) - batch[:, 1:, None]).square().mean()


def micro_batches(seed: int) -> list[Tensor]:
    """Micro-batches of 2, 5 and 1 rows."""
    rows = torch.randint(0, 4, (8, 6), generator=draws(seed, "rows"))
    return list(rows.split([2, 5, 1]))


def gradients(model: nn.Module) -> Observation:
    return {
        f"the gradient of the {name}": torch.zeros_like(each) if each.grad is None else each.grad
        for name, each in model.named_parameters()
    }


def accumulated(module: ModuleType, seed: int) -> Observation:
    model = Line(seed)
    made = module.accumulate(model, micro_batches(seed), mean_of_rows)
    return {"the loss it returns": number(made, "accumulate"), **gradients(model)}


def accumulated_at_once(_reference: ModuleType, seed: int) -> Observation:
    """The gradient of all rows in one batch."""
    model = Line(seed)
    loss = mean_of_rows(model, torch.cat(micro_batches(seed)))
    loss.backward()
    return {"the loss it returns": loss.detach(), **gradients(model)}


def accumulated_again(module: ModuleType, seed: int) -> Observation:
    """With gradients of an earlier step still there."""
    model = Line(seed)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    module.accumulate(model, micro_batches(seed), mean_of_rows)
    return {f"{name} after an earlier step": each for name, each in gradients(model).items()}


def parameters_kept(module: ModuleType, seed: int) -> Observation:
    model, before = Line(seed), Line(seed).state_dict()
    module.accumulate(model, micro_batches(seed), mean_of_rows)
    kept = all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    return {"the parameters afterwards": "as before" if kept else "changed"}


def accumulate_refusals(module: ModuleType, seed: int) -> Observation:
    return {"no micro-batch": ending(partial(module.accumulate, Line(seed), [], mean_of_rows))}


def results(seed: int, count: int) -> list[float]:
    drawn = torch.randn(count, generator=draws(seed, f"results {count}"), dtype=torch.float64)
    return (2.5 + 0.3 * drawn).tolist()


def bounds(given: object, count: int) -> Tensor:
    """Two numbers. Raises Failure for anything else."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise Failure(f"interval gives {text(given)}, not two numbers")
    return torch.stack([number(each, f"an end of the interval of {count}") for each in given])


def intervals(module: ModuleType, seed: int) -> Observation:
    return {
        f"the interval of {count} values": bounds(module.interval(results(seed, count)), count)
        for count in (2, 3, 5, 10)
    }


def intervals_by_hand(_reference: ModuleType, seed: int) -> Observation:
    """Of 3 values, with Student's quantile for 2 degrees of freedom in closed form."""
    a, b, c = results(seed, 3)
    middle = (a + b + c) / 3
    variance = ((a - middle) ** 2 + (b - middle) ** 2 + (c - middle) ** 2) / 2
    share = 2 * 0.025
    quantile = round((1 - share) * math.sqrt(2 / (share * (2 - share))), 4)
    half = quantile * math.sqrt(variance / 3)
    ends = torch.tensor([middle - half, middle + half], dtype=torch.float64)
    return {"the interval of 3 values": ends}


def equal_values(module: ModuleType, _seed: int) -> Observation:
    return {"the interval of 4 equal values": bounds(module.interval([1.5] * 4), 4)}


def interval_refusals(module: ModuleType, _seed: int) -> Observation:
    return {"one value": ending(partial(module.interval, [2.0]))}


TEXT = "naïve café, 東京 🙂 and plain words"


def log_probs(seed: int, count: int, name: str = "log-probabilities") -> Tensor:
    drawn = torch.rand(count, generator=draws(seed, name), dtype=torch.float64)
    return -4 * drawn - 0.05


def bits(module: ModuleType, seed: int) -> Observation:
    found = {"a text with letters of several bytes": (log_probs(seed, 12), TEXT),
             "a plain text": (log_probs(seed, 3), "plain words")}  # fmt: skip
    return {
        f"the bits per byte of {name}": number(module.bits_per_byte(*given), "bits_per_byte")
        for name, given in found.items()
    }


def bits_of_the_harness(_reference: ModuleType, seed: int) -> Observation:
    """lm-evaluation-harness: -sum of log-likelihoods / sum of bytes / ln 2."""
    total, size = log_probs(seed, 12).sum().item(), len(TEXT.encode("utf-8"))
    value = -1 / math.log(2) * (total / size)
    name = "the bits per byte of a text with letters of several bytes"
    return {name: torch.tensor(value, dtype=torch.float64)}


def a_guess(module: ModuleType, _seed: int) -> Observation:
    """A model of bytes that knows nothing needs 8 bits for each."""
    even = torch.full((4,), -math.log(256), dtype=torch.float64)
    return {"the bits per byte of a guess": number(module.bits_per_byte(even, "four"), "it")}


def bits_refusals(module: ModuleType, _seed: int) -> Observation:
    call = partial(module.bits_per_byte, torch.zeros(0), "")
    return {"an empty text": ending(call)}


def questions(seed: int) -> list[tuple[list[Tensor], list[str]]]:
    """Endings of several lengths, in tokens and in characters, which do not go together."""
    generator = draws(seed, "questions")
    found = []
    for question in range(60):
        tokens = torch.randint(1, 7, (4,), generator=generator).tolist()
        letters = torch.randint(1, 30, (4,), generator=generator).tolist()
        given = [log_probs(seed, count, f"{question} {n}") for n, count in enumerate(tokens)]
        found.append((given, ["éx"[n % 2] * count for n, count in enumerate(letters)]))
    return found


def chosen(module: ModuleType, seed: int) -> Observation:
    return {
        f"the endings by {by} of 60 questions": torch.tensor(
            [int(module.best_ending(*question, by)) for question in questions(seed)]
        )
        for by in ("sum", "token", "character")
    }


def chosen_by_the_harness(_reference: ModuleType, seed: int) -> Observation:
    """argmax of the sums, of the means, and of the sums over the endings' lengths."""
    rows: dict[str, list[int]] = {"sum": [], "token": [], "character": []}
    for given, endings in questions(seed):
        sums = torch.stack([each.sum() for each in given])
        lengths = torch.tensor([float(len(ending)) for ending in endings])
        rows["sum"].append(int(sums.argmax()))
        rows["token"].append(int(torch.stack([each.mean() for each in given]).argmax()))
        rows["character"].append(int((sums / lengths).argmax()))
    return {f"the endings by {by} of 60 questions": torch.tensor(row) for by, row in rows.items()}


def a_tie(module: ModuleType, _seed: int) -> Observation:
    equal = [torch.tensor([-1.0, -1.0])] * 3
    return {
        f"of equal ones by {by}": str(int(module.best_ending(equal, ["one", "two", "six"], by)))
        for by in ("sum", "token", "character")
    }


def choice_refusals(module: ModuleType, _seed: int) -> Observation:
    call = partial(module.best_ending, [torch.tensor([-1.0])] * 2, ["a", "b"], "bytes")
    return {"the definition 'bytes'": ending(call)}


CLAIMS = {
    "trapezoid": (
        Claim("trapezoid", "It rises, stays and falls as torch's joined schedulers do", rates,
              also=(rates_by_torch,), gate=True, imports=OPTIMISERS),
        Claim("trapezoid", "A warm-up and a decay that do not fit are refused with ValueError",
              rate_refusals, group="refusals"),
    ),
    "accumulate": (
        Claim("accumulate", "Loss and gradients are those of one large batch", accumulated,
              also=(accumulated_at_once,), gate=True),
        Claim("accumulate", "Gradients of an earlier step are dropped", accumulated_again),
        Claim("accumulate", "The parameters stay as they are", parameters_kept, group="inputs"),
        Claim("accumulate", "No micro-batch is refused with ValueError", accumulate_refusals,
              group="refusals"),
    ),
    "interval": (
        Claim("interval", "It is Student's 95 % interval of the mean", intervals,
              also=(intervals_by_hand,), gate=True),
        Claim("interval", "Equal values have an interval of one point", equal_values),
        Claim("interval", "A single value is refused with ValueError", interval_refusals,
              group="refusals"),
    ),
    "bits_per_byte": (
        Claim("bits_per_byte", "It is lm-evaluation-harness's number", bits,
              also=(bits_of_the_harness,), gate=True),
        Claim("bits_per_byte", "A guess among 256 bytes needs 8 bits", a_guess),
        Claim("bits_per_byte", "An empty text is refused with ValueError", bits_refusals,
              group="refusals"),
    ),
    "best_ending": (
        Claim("best_ending", "Each of the three definitions finds its best ending", chosen,
              also=(chosen_by_the_harness,), gate=True),
        Claim("best_ending", "Of equal ones the first is taken", a_tie),
        Claim("best_ending", "Another definition is refused with ValueError", choice_refusals,
              group="refusals"),
    ),
}  # fmt: skip

GUIDES = {
    "trapezoid": Guide(
        steps=(
            "Refuse a warm-up and a decay that together are longer than the run, with a ValueError.",
            "In the warm-up, the rate is the share (step + 1) / warmup_steps of the peak.",
            "In the last decay_steps steps, it is the share of steps that are left, and 0 at the "
            "end.",
            "Between the two it is the peak.",
        ),
        hints=(
            "Which share of the peak has the first step, and which the last?",
            "total_steps - 1 - step steps are left after this one.",
            "peak * min((step + 1) / warmup_steps, max(total_steps - 1 - step, 0) / decay_steps, 1)",
        ),
    ),
    "accumulate": Guide(
        steps=(
            "Refuse an empty list with a ValueError, and drop the gradients that are there.",
            "Weigh the loss of each micro-batch by its share of all rows, and go backward.",
            "Return the sum of the weighed losses.",
        ),
        hints=(
            "backward() adds to what is there: to what must it not add, and to what must it?",
            "A micro-batch's loss is the mean over its rows; how many of all rows are those?",
            "(loss(model, batch) * len(batch) / rows).backward()",
        ),
    ),
    "interval": Guide(
        steps=(
            "Refuse fewer than 2 or more than 10 values with a ValueError that says how many.",
            "The standard error is the sample's standard deviation over the root of the count.",
            "Give the mean less and plus Student's quantile times that.",
        ),
        hints=(
            "How does the error of a mean fall with the number of values?",
            "n values have n - 1 degrees of freedom; STUDENT begins with 1.",
            "mean -/+ STUDENT[n - 2] * statistics.stdev(values) / sqrt(n)",
        ),
    ),
    "bits_per_byte": Guide(
        steps=(
            "Refuse an empty text with a ValueError.",
            "Add up the surprise of all tokens, in bits.",
            "Divide by the number of the text's bytes.",
        ),
        hints=(
            "What do a token, a character and a byte have in common, and what not?",
            "A nat is 1 / ln 2 bits; a text's bytes are those of text.encode().",
            "-log_probs.sum() / math.log(2) / len(text.encode())",
        ),
    ),
    "best_ending": Guide(
        steps=(
            "The score of an ending is the sum of its tokens' log-probabilities.",
            "By token, divide by how many there are; by character, by the ending's length.",
            "Refuse another definition with a ValueError; give the number of the largest score.",
        ),
        hints=(
            "Why has a long ending a disadvantage when nothing is divided?",
            "Log-probabilities are negative: the best score is the one nearest to 0.",
            "max(range(len(scores)), key=scores.__getitem__)",
        ),
    ),
}


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

EXERCISES = ExerciseSet(
    name="measuring",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
