"""Guide learners through the lesson on variants: steps and hints for each part."""

from gpt2_small.checker.learner.hints import Guide

GUIDES = {
    "sinusoids": Guide(
        steps=(
            "A rate for every pair of features: 10,000 ** (-2i / d_model).",
            "The angle of every position and pair: their product.",
            "Put the sine and the cosine of each angle side by side, sine first.",
        ),
        hints=(
            "How many different rates are there, and what is the first?",
            "torch.stack([sin, cos], dim=-1) puts them side by side; flatten makes one axis.",
            "(p[:, None] * 10_000.0 ** (-torch.arange(0, d_model, 2) / d_model)).sin()",
        ),
    ),
    "rotary": Guide(
        steps=(
            "Refuse an odd d_head with a ValueError that says it.",
            "A rate for every pair, and the angle of every position and pair.",
            "Split the features into first and second half; turn each pair by its angle.",
        ),
        hints=(
            "Which feature is the partner of feature 0?",
            "Angles are [seq 1 d_head/2], so that they broadcast over batch and heads.",
            "cat([first * cos - second * sin, first * sin + second * cos], dim=-1)",
        ),
    ),
    "gelu": Guide(
        steps=(
            "What the tanh is taken of: sqrt(2 / pi) times x plus 0.044715 times its cube.",
            "Half of x, times 1 plus that tanh.",
        ),
        hints=(
            "What is GELU of 0, of a large number, and of a large negative one?",
            "Take the formula of the docstring from the inside out.",
            "0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))",
        ),
    ),
    "rms_norm": Guide(
        steps=(
            "The mean of the squares over d_model, for every position.",
            "Divide by the root of that mean plus eps, and multiply by the gain.",
        ),
        hints=(
            "What does LayerNorm do that this norm leaves out?",
            "Keep the axis of the mean with size 1, so that it divides every feature.",
            "x / sqrt(mean(x^2) + eps) * gain",
        ),
    ),
    "post_norm_block": Guide(
        steps=(
            "Add attention's output to the stream, and normalise the sum with ln1.",
            "Add the MLP's output to that, and normalise the sum with ln2.",
        ),
        hints=(
            "What does attention read: the stream, or its norm?",
            "A norm is the last thing that happens to each of the two sums.",
            "mid = ln1(x + attn(x)); ln2(mid + mlp(mid))",
        ),
    ),
}
