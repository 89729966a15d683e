"""Guide learners through the measuring lesson: steps and hints for each part."""

from gpt2_small.checker.learner.hints import Guide

GUIDES = {
    "trapezoid": Guide(
        steps=(
            "Refuse a warm-up and a decay that together exceed the run, with a ValueError.",
            "In the warm-up, the rate is the share (step + 1) / warmup_steps of the peak.",
            "In the last decay_steps steps, it is the share of steps that are left, and 0 at the "
            "end.",
            "Between the two it is the peak.",
        ),
        hints=(
            "Which share of the peak has the first step, and which the last?",
            "total_steps - 1 - step steps are left after this one.",
            "peak * min((step + 1) / warmup_steps, "
            "max(total_steps - 1 - step, 0) / decay_steps, 1)",
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
