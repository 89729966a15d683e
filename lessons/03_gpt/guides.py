"""Guide learners through the lesson from one head to GPT: steps and hints for each part."""

from gpt2_small.checker.learner.hints import Guide

GUIDES = {
    "head": Guide(
        steps=(
            "Queries, keys and values: multiply the positions by W_Q, W_K and W_V.",
            "Scores: the dot product of every query with every key, divided by sqrt(d_head).",
            "Hide the future with -inf; the softmax over the keys is the pattern.",
            "Mix the values by the pattern.",
        ),
        hints=(
            "Lesson 02's attention is inside: what does it need that is new here?",
            "residual @ W_Q is [batch seq d_head]; d_head is the last size of W_Q.",
            "(query @ key.mT / sqrt(d_head) + mask).softmax(dim=-1) @ value",
        ),
    ),
    "multi_head": Guide(
        steps=(
            "Queries, keys and values of every head: multiply by W_Q, W_K, W_V, add the biases.",
            "Scores and pattern of every head, as for one.",
            "Mix the values of each head by its pattern.",
            "Project every head's result by its W_O, add up over heads, and add b_O once.",
        ),
        hints=(
            "Which axis tells the heads apart, and where does it disappear again?",
            "One einsum does all heads: keep the head axis in the output of the scores.",
            'einsum(z, W_O, "batch seq head d_head, head d_head d_model -> batch seq d_model")',
        ),
    ),
    "mlp": Guide(
        steps=(
            "A linear map to d_mlp: W_in and b_in.",
            "GELU in its tanh form.",
            "A linear map back: W_out and b_out.",
        ),
        hints=(
            "Does a position need to know of the others here?",
            "W_in is [d_model d_mlp], so it stands on the right of the product.",
            'F.gelu(x @ W_in + b_in, approximate="tanh") @ W_out + b_out',
        ),
    ),
    "block": Guide(
        steps=(
            "Attention reads the stream through ln1; add its output to the stream.",
            "The MLP reads the sum through ln2; add its output to the sum.",
        ),
        hints=(
            "What does the MLP read: what came in, or the sum after attention?",
            'under(weights, "attn.") gives the weights of attention under their own names.',
            "mid = x + multi_head(layer_norm(x)); mid + mlp(layer_norm(mid))",
        ),
    ),
    "gpt": Guide(
        steps=(
            "Refuse more tokens than W_pos has rows with a ValueError that says how many.",
            "Row t of W_E for every token t, plus row p of W_pos for position p.",
            "Run the blocks in order, then the final norm.",
            "Logits: the product with the transposed W_E.",
        ),
        hints=(
            "Which two tables give the stream its beginning?",
            'under(weights, f"blocks.{number}.") gives the weights of one block.',
            "layer_norm(residual, under(weights, 'ln_final.')) @ W_E.T",
        ),
    ),
}
