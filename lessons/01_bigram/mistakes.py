"""List the known mistakes in the exercises of the bigram lesson, as edits."""

from functools import partial

from gpt2_small.checker.exercise_set import exercise_mistake

from .guides import GUIDES

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
