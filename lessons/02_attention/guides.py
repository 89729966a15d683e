"""Guide learners through the attention lesson: steps and hints for each part."""

from gpt2_small.checker.learner.hints import Guide

_MEAN_HINTS = (
    "What does position 0 get, and what the last one?",
    "Position p sees p + 1 vectors, its own among them.",
)

GUIDES = {
    "average_by_loop": Guide(
        steps=("For every position, take the mean over the vectors up to and including its own.",),
        hints=(*_MEAN_HINTS, "values[:, : position + 1].mean(dim=1)"),
    ),
    "average_by_matrix": Guide(
        steps=(
            "Make a matrix of ones on and below the diagonal.",
            "Divide every row by its sum.",
            "Multiply it with the values.",
        ),
        hints=(*_MEAN_HINTS, "ones.tril() / ones.tril().sum(dim=1, keepdim=True)"),
    ),
    "average_by_softmax": Guide(
        steps=(
            "Scores: 0 on and below the diagonal, -inf above it.",
            "Their softmax over the keys is the matrix of before.",
            "Multiply it with the values.",
        ),
        hints=(*_MEAN_HINTS, "torch.full((seq, seq), -math.inf).triu(diagonal=1).softmax(dim=-1)"),
    ),
    "attend": Guide(
        steps=(
            "Scores: the dot product of every query with every key, divided by sqrt(d_head).",
            "Hide the future: add -inf where the key is later than the query.",
            "The softmax over the keys is the pattern; mix the values by it.",
        ),
        hints=(
            "What is the shape of the scores, and which axis does the softmax run over?",
            "The mask is added before the softmax, so that every row still adds up to 1.",
            "(query @ key.mT / sqrt(d_head) + mask).softmax(dim=-1) @ values",
        ),
    ),
}
