"""Guide learners through the bigram lesson: steps and hints for each part."""

from gpt2_small.checker.learner.hints import Guide

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
