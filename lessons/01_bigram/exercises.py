"""Define the exercises of the bigram lesson: claims, known mistakes and hints."""

from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.observation import Counts, Distribution, Observation
from gpt2_small.checker.claims.probes import draws
from gpt2_small.checker.claims.refusals import ending
from gpt2_small.checker.exercise_set import ExerciseSet, exercise_mistake
from gpt2_small.checker.learner.hints import Guide

D_VOCAB = 7


def text(seed: int, name: str, length: int = 60, d_vocab: int = D_VOCAB) -> Tensor:
    """Tokens in which id 5 never comes first in a pair, and 6 never comes at all."""
    drawn = torch.randint(d_vocab - 2, (length,), generator=draws(seed, name))
    return torch.cat([drawn, torch.tensor([5])]) if d_vocab == D_VOCAB else drawn


def table(seed: int, name: str, d_vocab: int = D_VOCAB) -> Tensor:
    """A row-stochastic table whose rows differ."""
    drawn = torch.rand(d_vocab, d_vocab, generator=draws(seed, name), dtype=torch.float64) ** 3
    return (drawn + 0.01) / (drawn + 0.01).sum(dim=1, keepdim=True)


def counted(module: ModuleType, seed: int) -> Observation:
    counts = module.count_pairs(text(seed, "pairs"), D_VOCAB)
    return {"the counts": counts.long()}


def counted_long(module: ModuleType, seed: int) -> Observation:
    tokens = text(seed, "many pairs", length=3000, d_vocab=11)
    return {"the counts of 3,000 tokens": module.count_pairs(tokens, 11).long()}


def counted_short(module: ModuleType, seed: int) -> Observation:
    return {"the counts of two tokens": module.count_pairs(torch.tensor([2, 0]), 3).long()}


def count_refusals(module: ModuleType, _seed: int) -> Observation:
    return {"a text of one token": ending(partial(module.count_pairs, torch.tensor([1]), 3))}


def input_kept(module: ModuleType, seed: int) -> Observation:
    tokens = text(seed, "kept")
    before = tokens.clone()
    module.count_pairs(tokens, D_VOCAB)
    return {"the tokens afterwards": "as before" if torch.equal(tokens, before) else "changed"}


def counts_of(seed: int) -> Tensor:
    counts = torch.randint(0, 9, (D_VOCAB, D_VOCAB), generator=draws(seed, "counts"))
    counts[5] = 0
    counts[0, 3] = 0
    return counts


def smoothed(module: ModuleType, seed: int) -> Observation:
    counts = counts_of(seed)
    return {
        f"the probabilities with {added:g} added": module.probabilities(counts, added).double()
        for added in (1.0, 0.25, 10.0)
    }


def unsmoothed(module: ModuleType, seed: int) -> Observation:
    return {"the probabilities with 0 added": module.probabilities(counts_of(seed), 0.0).double()}


def default_added(module: ModuleType, seed: int) -> Observation:
    return {"the probabilities by default": module.probabilities(counts_of(seed)).double()}


def probability_refusals(module: ModuleType, seed: int) -> Observation:
    return {"a negative number added": ending(partial(module.probabilities, counts_of(seed), -1.0))}


def counts_kept(module: ModuleType, seed: int) -> Observation:
    counts = counts_of(seed)
    before = counts.clone()
    module.probabilities(counts, 1.0)
    return {"the counts afterwards": "as before" if torch.equal(counts, before) else "changed"}


def loss(module: ModuleType, seed: int) -> Observation:
    return {
        "the loss of 61 tokens": module.mean_loss(table(seed, "loss"), text(seed, "loss")).double(),
        "the loss of two tokens": module.mean_loss(
            table(seed, "loss"), torch.tensor([3, 1])
        ).double(),
    }


def impossible_pair(module: ModuleType, seed: int) -> Observation:
    certain = torch.eye(3, dtype=torch.float64)
    value = module.mean_loss(certain, torch.tensor([0, 0, 1]))
    return {"the loss with a pair of probability 0": value.double()}


def loss_refusals(module: ModuleType, seed: int) -> Observation:
    one = torch.tensor([1])
    return {"a text of one token": ending(partial(module.mean_loss, table(seed, "loss"), one))}


DRAWS = 4000


def drawn(module: ModuleType, seed: int) -> Observation:
    """A long text by a table whose rows differ, and how often each token follows each."""
    probabilities = table(seed, "drawn", 4)
    tokens = module.draw(probabilities, 2, DRAWS, generator=draws(seed, "draw"))
    pairs = tokens[:-1] * 4 + tokens[1:]
    return {"what follows what": torch.bincount(pairs, minlength=16).view(4, 4)}


def followers(observed: Observation) -> Observation:
    counts = observed["what follows what"]
    assert isinstance(counts, Tensor)
    return {"what follows what": Counts(counts)}


def expected_followers(_reference: ModuleType, seed: int) -> Observation:
    return {"what follows what": Distribution(table(seed, "drawn", 4))}


def drawn_shape(module: ModuleType, seed: int) -> Observation:
    tokens = module.draw(table(seed, "drawn", 4), 3, 5, generator=draws(seed, "draw"))
    alone = module.draw(table(seed, "drawn", 4), 3, 1, generator=draws(seed, "draw"))
    return {
        "how many tokens": str(len(tokens)),
        "the first token": str(int(tokens[0])),
        "a text of one token": str(alone.tolist()),
        "kind": "whole numbers" if not tokens.dtype.is_floating_point else str(tokens.dtype),
    }


def drawn_again(module: ModuleType, seed: int) -> Observation:
    first, second = (
        module.draw(table(seed, "drawn", 4), 3, 40, generator=draws(seed, "again")).tolist()
        for _ in range(2)
    )
    before = torch.default_generator.get_state()
    module.draw(table(seed, "drawn", 4), 3, 40, generator=draws(seed, "again"))
    after = torch.default_generator.get_state()
    return {
        "two texts from equally seeded generators": "equal" if first == second else "different",
        "torch's global generator": "untouched" if torch.equal(before, after) else "used",
    }


def draw_refusals(module: ModuleType, seed: int) -> Observation:
    return {"a length of 0": ending(partial(module.draw, table(seed, "drawn", 4), 0, 0))}


def logits_of(seed: int) -> Tensor:
    return torch.randn(D_VOCAB, D_VOCAB, generator=draws(seed, "logits"), dtype=torch.float64) * 3


def loss_of_logits(module: ModuleType, seed: int) -> Observation:
    tokens = text(seed, "logits")
    return {
        "the loss": module.logits_loss(logits_of(seed), tokens).double(),
        "the loss with logits 1,000 higher": module.logits_loss(
            logits_of(seed) + 1000, tokens
        ).double(),
    }


def gradient(module: ModuleType, seed: int) -> Observation:
    logits = logits_of(seed).requires_grad_()
    module.logits_loss(logits, text(seed, "logits")).backward()
    return {"the gradient of the logits": logits.grad}


def gradient_by_counting(_reference: ModuleType, seed: int) -> Observation:
    """The softmax minus the observed share of each follower, weighted by how often a row is read."""
    tokens, logits = text(seed, "logits"), logits_of(seed)
    pairs = torch.bincount(tokens[:-1] * D_VOCAB + tokens[1:], minlength=D_VOCAB**2)
    counts = pairs.view(D_VOCAB, D_VOCAB).double()
    rows = counts.sum(dim=1, keepdim=True)
    return {
        "the gradient of the logits": (rows * logits.softmax(dim=1) - counts) / (len(tokens) - 1)
    }


CLAIMS = {
    "count_pairs": (
        Claim("count_pairs", "It counts every pair of neighbours", counted, gate=True),
        Claim("count_pairs", "It counts a long text", counted_long),
        Claim("count_pairs", "Two tokens have one pair", counted_short),
        Claim("count_pairs", "The tokens stay as they are", input_kept, group="inputs"),
        Claim("count_pairs", "A text without a pair is refused with ValueError", count_refusals,
              group="refusals"),
    ),
    "probabilities": (
        Claim("probabilities", "Every row is a distribution, with what is added", smoothed,
              gate=True),
        Claim("probabilities", "Without anything added, an empty row is all zeros", unsmoothed),
        Claim("probabilities", "By default 1 is added", default_added),
        Claim("probabilities", "The counts stay as they are", counts_kept, group="inputs"),
        Claim("probabilities", "A negative number is refused with ValueError",
              probability_refusals, group="refusals"),
    ),
    "mean_loss": (
        Claim("mean_loss", "It is the mean negative log-probability, in nats", loss, gate=True),
        Claim("mean_loss", "A pair of probability 0 makes it infinite", impossible_pair),
        Claim("mean_loss", "A text without a target is refused with ValueError", loss_refusals,
              group="refusals"),
    ),
    "draw": (
        Claim("draw", "It gives a text of the length, which begins with the first token",
              drawn_shape, gate=True),
        Claim("draw", "Every token is drawn by the row of the one before it", drawn,
              summary=followers, expect=expected_followers),
        Claim("draw", "The generator that is given is used, and no other", drawn_again,
              group="chance"),
        Claim("draw", "A length below 1 is refused with ValueError", draw_refusals,
              group="refusals"),
    ),
    "logits_loss": (
        Claim("logits_loss", "It is the loss of the softmax of the rows", loss_of_logits,
              gate=True),
        Claim("logits_loss", "Its gradient is the softmax minus the observed shares", gradient,
              also=(gradient_by_counting,), group="gradient"),
    ),
}  # fmt: skip


GUIDES = {
    "count_pairs": Guide(
        steps=(
            "Refuse fewer than two tokens with a ValueError that says how many there are.",
            "Pair every token with the one after it, and count each pair at [first, second].",
        ),
        hints=(
            "How many pairs has the text a b c, and which are they?",
            "tokens[:-1] are the first and tokens[1:] the second ones of all pairs.",
            "torch.bincount(first * d_vocab + second, minlength=d_vocab**2), reshaped",
        ),
    ),
    "probabilities": Guide(
        steps=(
            "Refuse a negative `added` with a ValueError that says it.",
            "Add `added` to every count, as float64.",
            "Divide every row by its sum; a row without counts stays zero.",
        ),
        hints=(
            "What must the numbers of a row add up to?",
            "Row a is the distribution of what follows a: sum over the second axis, and keep it.",
            "(counts + added) / (counts + added).sum(dim=1, keepdim=True)",
        ),
    ),
    "mean_loss": Guide(
        steps=(
            "Refuse fewer than two tokens with a ValueError that says how many there are.",
            "Take the probability of every token in the row of the one before it.",
            "The loss is the mean of their negative logarithms.",
        ),
        hints=(
            "Which entry of the table is the probability of b after a?",
            "A tensor can be indexed by two tensors at once: rows, and columns.",
            "-table[tokens[:-1], tokens[1:]].log().mean()",
        ),
    ),
    "draw": Guide(
        steps=(
            "Refuse a length below 1 with a ValueError that says it.",
            "Begin with the first token.",
            "Draw the next token from the row of the last one, until the text is long enough.",
        ),
        hints=(
            "Which row of the table says what comes next?",
            "torch.multinomial draws an index by its probability, and takes a generator.",
            "torch.multinomial(table[text[-1]], num_samples=1, generator=generator)",
        ),
    ),
    "logits_loss": Guide(
        steps=(
            "Look up the row of logits of every token but the last.",
            "Score it against the token that comes next by cross-entropy.",
        ),
        hints=(
            "What does cross-entropy do with logits before it takes a logarithm?",
            "Indexing the table with tokens[:-1] gives one row of logits for each target.",
            "F.cross_entropy(logits[tokens[:-1]], tokens[1:])",
        ),
    ),
}

_PAIR = "pair = tokens[:-1] * d_vocab + tokens[1:]"
_BINCOUNT = "return torch.bincount(pair, minlength=d_vocab * d_vocab).view(d_vocab, d_vocab)"
_SMOOTHED = "smoothed = counts.double() + added"
_TOTAL = "total = smoothed.sum(dim=1, keepdim=True)"
_LOSS = "return -table[tokens[:-1], tokens[1:]].log().mean()"
_DRAW = "text.append(int(torch.multinomial(table[text[-1]], num_samples=1, generator=generator)))"
_LOGITS = "return F.cross_entropy(logits[tokens[:-1]], tokens[1:])"

mistake = partial(exercise_mistake, GUIDES)

MISTAKES = {
    "count_pairs": (
        mistake("count_pairs", "transposed", _PAIR, "pair = tokens[1:] * d_vocab + tokens[:-1]",
                "counts b before a at [a, b]: rows and columns are exchanged",
                "After 'q' comes 'u': which row, and which column?"),
        mistake("count_pairs", "every-other", _PAIR,
                "pair = tokens[:-1:2] * d_vocab + tokens[1::2]",
                "counts pairs that do not overlap, half of them",
                "How many pairs has the text a b c d?"),
        mistake("count_pairs", "of-itself", _PAIR, "pair = tokens * d_vocab + tokens",
                "counts every token with itself", "What is the second of a pair?"),
        mistake("count_pairs", "two-apart", _PAIR, "pair = tokens[:-2] * d_vocab + tokens[2:]",
                "counts tokens that are two places apart",
                "Which token follows the first one?"),
        mistake("count_pairs", "last-missing", _PAIR,
                "pair = tokens[:-2] * d_vocab + tokens[1:-1]",
                "leaves the last pair out", "How many pairs has the text a b?"),
        mistake("count_pairs", "around", _PAIR, "pair = tokens * d_vocab + tokens.roll(-1)",
                "lets the first token follow the last one",
                "What follows the last token of a text?"),
        mistake("count_pairs", "only-seen", _BINCOUNT,
                "return (torch.bincount(pair, minlength=d_vocab * d_vocab) > 0).long()"
                ".view(d_vocab, d_vocab)",
                "says whether a pair was seen, not how often",
                "What is the count of a pair that occurs twice?"),
        mistake("count_pairs", "of-tokens", _BINCOUNT,
                "return torch.bincount(tokens, minlength=d_vocab).expand(d_vocab, d_vocab)",
                "counts single tokens, the same in every row",
                "Do all tokens have the same followers?"),
        mistake("count_pairs", "no-refusal",
                'raise ValueError(f"{len(tokens)} tokens hold no pair; give at least 2")', "pass",
                "accepts a text that has no pair", "How many pairs has a text of one token?"),
    ),
    "probabilities": (
        mistake("probabilities", "by-column", _TOTAL, "total = smoothed.sum(dim=0, keepdim=True)",
                "makes the columns add up to 1, not the rows",
                "What do the numbers of row a add up to?"),
        mistake("probabilities", "of-pairs", _TOTAL, "total = smoothed.sum()[None, None]",
                "divides by the number of all pairs, which gives joint probabilities",
                "What do the numbers of one row add up to?"),
        mistake("probabilities", "without-keepdim", _TOTAL, "total = smoothed.sum(dim=1)",
                "divides column b by the sum of row b, since the sum lost its axis",
                "How is a vector of d_vocab numbers broadcast against a table?"),
        mistake("probabilities", "always-one", _SMOOTHED, "smoothed = counts.double() + 1",
                "adds 1 whatever `added` is", "What changes with added = 10?"),
        mistake("probabilities", "never-added", _SMOOTHED, "smoothed = counts.double()",
                "adds nothing", "What is the probability of a pair that was never seen?"),
        mistake("probabilities", "only-to-zeros", _SMOOTHED,
                "smoothed = torch.where(counts == 0, added, counts.double())",
                "adds to pairs that were never seen only",
                "Add-one smoothing adds one to which counts?"),
        mistake("probabilities", "added-to-the-row", _TOTAL,
                "total = counts.double().sum(dim=1, keepdim=True) + added",
                "adds to the sum of a row once instead of once a token",
                "By how much does a row's sum grow when every count grows by 1?"),
        mistake("probabilities", "softmax", _SMOOTHED,
                "smoothed = (counts.double() + added).exp()",
                "takes the exponential of the counts", "Counts are not logits: what are they?"),
        mistake("probabilities", "empty-row-is-nan",
                "return torch.where(total > 0, smoothed / total.clamp(min=1e-300), 0.0)",
                "return smoothed / total",
                "divides a row without counts by 0, which gives nan",
                "What is 0 divided by 0?"),
        mistake("probabilities", "no-refusal", "if added < 0:", "if added < -99:",
                "accepts a negative number", "What are the probabilities with added = -1?"),
    ),
    "mean_loss": (
        mistake("mean_loss", "positive", _LOSS, "return table[tokens[:-1], tokens[1:]].log().mean()",
                "has the opposite sign", "Is a logarithm of a probability above or below 0?"),
        mistake("mean_loss", "sum", _LOSS, "return -table[tokens[:-1], tokens[1:]].log().sum()",
                "sums over the targets instead of averaging",
                "Does the loss of a text grow with its length?"),
        mistake("mean_loss", "bits", _LOSS, "return -table[tokens[:-1], tokens[1:]].log2().mean()",
                "is in bits instead of nats", "Which logarithm gives nats?"),
        mistake("mean_loss", "transposed", _LOSS,
                "return -table[tokens[1:], tokens[:-1]].log().mean()",
                "reads the table with rows and columns exchanged",
                "Which row says what follows token a?"),
        mistake("mean_loss", "logarithm-of-the-mean", _LOSS,
                "return -table[tokens[:-1], tokens[1:]].mean().log()",
                "takes the logarithm of the mean probability",
                "Which comes first, the logarithm or the mean?"),
        mistake("mean_loss", "whole-table", _LOSS,
                "return -table[tokens[:-1]][:, tokens[1:]].log().mean()",
                "averages over all pairs of a first and a second token of the text",
                "What is the shape of what the index gives?"),
        mistake("mean_loss", "by-all-tokens", _LOSS,
                "return -table[tokens[:-1], tokens[1:]].log().sum() / len(tokens)",
                "divides by the number of tokens, one more than there are targets",
                "How many targets has a text of two tokens?"),
        mistake("mean_loss", "clamped", _LOSS,
                "return -table[tokens[:-1], tokens[1:]].clamp(min=1e-8).log().mean()",
                "is finite for a pair of probability 0",
                "How surprising is what cannot happen?"),
        mistake("mean_loss", "no-refusal",
                'raise ValueError(f"{len(tokens)} tokens have no target; give at least 2")', "pass",
                "accepts a text that has no target", "What is the mean of no numbers?"),
    ),
    "draw": (
        mistake("draw", "from-the-first", _DRAW,
                "text.append(int(torch.multinomial(table[first], num_samples=1, "
                "generator=generator)))",
                "draws every token by the row of the first one",
                "Which token does the next one follow?"),
        mistake("draw", "by-column", _DRAW,
                "text.append(int(torch.multinomial(table[:, text[-1]], num_samples=1, "
                "generator=generator)))",
                "draws by the column of the last token: what comes before it",
                "Which axis of the table is the next token?"),
        mistake("draw", "greedy", _DRAW, "text.append(int(table[text[-1]].argmax()))",
                "takes the most likely token instead of drawing one",
                "How often should a token of probability 0.2 be drawn?"),
        mistake("draw", "uniform", _DRAW,
                "text.append(int(torch.randint(len(table), (1,), generator=generator)))",
                "draws every token with the same probability", "Where does the table come in?"),
        mistake("draw", "own-randomness", _DRAW,
                "text.append(int(torch.multinomial(table[text[-1]], num_samples=1)))",
                "draws from torch's global generator instead of the one that is given",
                "What is `generator` for?"),
        mistake("draw", "one-more", "while len(text) < length:", "while len(text) <= length:",
                "gives one token too many", "Is the first token part of the length?"),
        mistake("draw", "one-less", "while len(text) < length:", "while len(text) < length - 1:",
                "gives one token too few", "Is the first token part of the length?"),
        mistake("draw", "sharpened", _DRAW,
                "text.append(int(torch.multinomial(table[text[-1]] ** 2, num_samples=1, "
                "generator=generator)))",
                "draws by the squared probabilities", "What does multinomial do with its weights?"),
        mistake("draw", "no-refusal", "if length < 1:", "if length < -99:",
                "accepts a length of 0", "What does a text of no tokens begin with?"),
    ),
    "logits_loss": (
        mistake("logits_loss", "of-probabilities", _LOGITS,
                "return F.cross_entropy(logits[tokens[:-1]].softmax(dim=1), tokens[1:])",
                "takes a softmax before the cross-entropy, which takes one itself",
                "What does F.cross_entropy expect?"),
        mistake("logits_loss", "without-softmax", _LOGITS,
                "return -logits[tokens[:-1], tokens[1:]].mean()",
                "takes the logits for logarithms of probabilities",
                "Do the exponentials of a row of logits add up to 1?"),
        mistake("logits_loss", "over-columns", _LOGITS,
                "return F.nll_loss(logits.log_softmax(dim=0)[tokens[:-1]], tokens[1:])",
                "normalises the columns instead of the rows",
                "Over which axis is the distribution of the next token?"),
        mistake("logits_loss", "transposed", _LOGITS,
                "return F.cross_entropy(logits.T[tokens[:-1]], tokens[1:])",
                "reads the columns of the table", "Which row belongs to token a?"),
        mistake("logits_loss", "sum", _LOGITS,
                'return F.cross_entropy(logits[tokens[:-1]], tokens[1:], reduction="sum")',
                "sums over the targets instead of averaging",
                "Does the loss of a text grow with its length?"),
        mistake("logits_loss", "predicts-itself", _LOGITS,
                "return F.cross_entropy(logits[tokens[:-1]], tokens[:-1])",
                "scores the row of a token against that token", "What is the target of token a?"),
        mistake("logits_loss", "backwards", _LOGITS,
                "return F.cross_entropy(logits[tokens[1:]], tokens[:-1])",
                "predicts the token before", "What is the target of token a?"),
        mistake("logits_loss", "exponential-overflows", _LOGITS,
                "e = logits[tokens[:-1]].exp()\n"
                "    p = e.gather(1, tokens[1:, None])[:, 0] / e.sum(dim=1)\n"
                "    return -p.log().mean()",
                "overflows for large logits", "What is exp(1000)?"),
        mistake("logits_loss", "detached", _LOGITS,
                "return F.cross_entropy(logits[tokens[:-1]].detach(), tokens[1:])"
                " + 0 * logits.sum()",
                "has no gradient", "What does detach do?"),
    ),
}  # fmt: skip

EXERCISES = ExerciseSet(
    name="bigram",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
