"""List the known mistakes in the exercises of the lesson from one head to GPT, as edits."""

from functools import partial

from gpt2_small.checker.exercise_set import exercise_mistake

from .guides import GUIDES

mistake = partial(exercise_mistake, GUIDES)

_PROJECTED = "query, key, value = residual @ W_Q, residual @ W_K, residual @ W_V"

_HEAD_MASK = "mask = torch.full((seq, seq), -math.inf, dtype=residual.dtype).triu(diagonal=1)"

_HEAD_PATTERN = "pattern = (scores / math.sqrt(W_Q.shape[-1]) + mask).softmax(dim=-1)"

_BIASED = 'einsum(residual, weights[f"W_{name}"], project) + weights[f"b_{name}"] for name in "QKV"'

_LATER = "is_later = torch.ones(seq, seq, dtype=torch.bool).triu(diagonal=1)"

_SIMILARITY = "similarity = (scores / math.sqrt(query.shape[-1])).masked_fill(is_later, -math.inf)"

_PATTERN = "pattern = similarity.softmax(dim=-1)"

_OUTPUT = 'z, weights["W_O"], "batch seq head d_head, head d_head d_model -> batch seq d_model"'

_PLUS_B_O = 'return output + weights["b_O"]'

_PRE = 'pre = residual @ weights["W_in"] + weights["b_in"]'

_POST = 'post = F.gelu(pre, approximate="tanh")'

_OUT = 'return post @ weights["W_out"] + weights["b_out"]'

_ATTN_OUT = (
    'attn_out = multi_head(layer_norm(residual, under(weights, "ln1.")), under(weights, "attn."))'
)

_MID = "resid_mid = residual + attn_out"

_MLP_OUT = 'mlp_out = mlp(layer_norm(resid_mid, under(weights, "ln2.")), under(weights, "mlp."))'

_POST_SUM = "return resid_mid + mlp_out"

_EMBED = "residual = W_E[tokens] + W_pos[:seq]"

_RANGE = "for number in range(n_layers):"

_BLOCK = 'residual = block(residual, under(weights, f"blocks.{number}."))'

_FINAL = 'final = layer_norm(residual, under(weights, "ln_final."))'

_LOGITS = "return final @ W_E.T"

MISTAKES = {
    "head": (
        mistake("head", "not-scaled", _HEAD_PATTERN, "pattern = (scores + mask).softmax(dim=-1)",
                "does not divide the scores by sqrt(d_head)",
                "How does the size of a dot product grow with d_head?"),
        mistake("head", "scaled-by-d-model", _HEAD_PATTERN,
                "pattern = (scores / math.sqrt(W_Q.shape[0]) + mask).softmax(dim=-1)",
                "divides the scores by sqrt(d_model)", "How many numbers does a dot product add?"),
        mistake("head", "scaled-by-d-head", _HEAD_PATTERN,
                "pattern = (scores / W_Q.shape[-1] + mask).softmax(dim=-1)",
                "divides the scores by d_head", "Of what is the root taken?"),
        mistake("head", "no-mask", _HEAD_PATTERN,
                "pattern = (scores / math.sqrt(W_Q.shape[-1])).softmax(dim=-1)",
                "hides nothing", "What may position 0 see?"),
        mistake("head", "masked-afterwards", _HEAD_PATTERN,
                "pattern = (scores / math.sqrt(W_Q.shape[-1])).softmax(dim=-1) * (mask == 0)",
                "hides the future after the softmax, so that rows add up to less than 1",
                "What do the weights of a row add up to?"),
        mistake("head", "over-queries", _HEAD_PATTERN,
                "pattern = (scores / math.sqrt(W_Q.shape[-1]) + mask).nan_to_num(neginf=-1e9)"
                ".softmax(dim=-2)",
                "takes the softmax over the queries", "What do the weights of a row add up to?"),
        mistake("head", "one-ahead", _HEAD_MASK,
                "mask = torch.full((seq, seq), -math.inf, dtype=residual.dtype).triu(diagonal=2)",
                "looks one position ahead", "What may position 0 see?"),
        mistake("head", "past-hidden", _HEAD_MASK,
                "mask = torch.full((seq, seq), -math.inf, dtype=residual.dtype).tril(diagonal=-1)",
                "hides the past instead of the future", "Which triangle is the future?"),
        mistake("head", "values-are-keys", _PROJECTED,
                "query, key, value = residual @ W_Q, residual @ W_K, residual @ W_K",
                "uses the keys as values", "What is W_V for?"),
        mistake("head", "queries-are-keys", _PROJECTED,
                "query, key, value = residual @ W_K, residual @ W_K, residual @ W_V",
                "uses the keys as queries", "What is W_Q for?"),
        mistake("head", "exchanged", _PROJECTED,
                "query, key, value = residual @ W_K, residual @ W_Q, residual @ W_V",
                "exchanges queries and keys", "Which of the two asks?"),
        mistake("head", "pattern-detached", _HEAD_PATTERN,
                "pattern = (scores / math.sqrt(W_Q.shape[-1]) + mask).softmax(dim=-1).detach()",
                "gives queries and keys no gradient", "What does detach do?"),
    ),
    "multi_head": (
        mistake("multi_head", "not-scaled", _SIMILARITY,
                "similarity = scores.masked_fill(is_later, -math.inf)",
                "does not divide the scores by sqrt(d_head)",
                "How does the size of a dot product grow with d_head?"),
        mistake("multi_head", "scaled-by-d-model", _SIMILARITY,
                "similarity = (scores / math.sqrt(residual.shape[-1]))"
                ".masked_fill(is_later, -math.inf)",
                "divides the scores by sqrt(d_model)", "How many numbers does a dot product add?"),
        mistake("multi_head", "no-mask", _SIMILARITY,
                "similarity = scores / math.sqrt(query.shape[-1])",
                "hides nothing", "What may position 0 see?"),
        mistake("multi_head", "filled-with-zero", _SIMILARITY,
                "similarity = (scores / math.sqrt(query.shape[-1])).masked_fill(is_later, 0.0)",
                "gives later positions the score 0, which is not the weight 0", "What is exp(0)?"),
        mistake("multi_head", "one-ahead", _LATER,
                "is_later = torch.ones(seq, seq, dtype=torch.bool).triu(diagonal=2)",
                "looks one position ahead", "What may position 0 see?"),
        mistake("multi_head", "over-queries", _PATTERN,
                "pattern = similarity.nan_to_num(neginf=-1e9).softmax(dim=-2)",
                "takes the softmax over the queries", "What do the weights of a row add up to?"),
        mistake("multi_head", "over-heads", _PATTERN,
                "pattern = similarity.nan_to_num(neginf=-1e9).softmax(dim=1)",
                "takes the softmax over the heads", "What do the weights of a row add up to?"),
        mistake("multi_head", "without-biases", _BIASED,
                'einsum(residual, weights[f"W_{name}"], project) for name in "QKV"',
                "leaves the biases of queries, keys and values out",
                "What is added to a query?"),
        mistake("multi_head", "without-output-bias", _PLUS_B_O, "return output",
                "leaves b_O out", "What is added after the projection?"),
        mistake("multi_head", "output-bias-for-each-head", _PLUS_B_O,
                'return output + len(weights["W_O"]) * weights["b_O"]',
                "adds b_O once for every head", "How often is b_O added?"),
        mistake("multi_head", "mean-over-heads", _PLUS_B_O,
                'return output / len(weights["W_O"]) + weights["b_O"]',
                "averages over the heads instead of adding them up",
                "What becomes of the head axis?"),
        mistake("multi_head", "heads-mixed", _OUTPUT,
                'z.flip(2), weights["W_O"], '
                '"batch seq head d_head, head d_head d_model -> batch seq d_model"',
                "projects each head's result by another head's W_O",
                "Which W_O belongs to head 0?"),
        mistake("multi_head", "pattern-of-the-first-head", "        pattern,\n        value,",
                "        pattern[:, :1].expand_as(pattern),\n        value,",
                "mixes the values of all heads by the pattern of the first one",
                "How many patterns are there?"),
    ),
    "mlp": (
        mistake("mlp", "no-activation", _POST, "post = pre",
                "has no activation, so that the two maps are one", "What do two linear maps make?"),
        mistake("mlp", "relu", _POST, "post = F.relu(pre)", "uses ReLU", "Which activation has GPT-2?"),
        mistake("mlp", "exact-gelu", _POST, "post = F.gelu(pre)",
                "uses the exact GELU, not its tanh form", "Which of torch's two GELUs is it?"),
        mistake("mlp", "silu", _POST, "post = F.silu(pre)", "uses SiLU",
                "Which activation has GPT-2?"),
        mistake("mlp", "sigmoid-gelu", _POST, "post = pre * torch.sigmoid(1.702 * pre)",
                "uses the sigmoid form of GELU", "Which form of GELU is it?"),
        mistake("mlp", "activation-first", _PRE,
                'pre = F.gelu(residual, approximate="tanh") @ weights["W_in"] + weights["b_in"]',
                "applies the activation to its input, too", "How often is the activation applied?"),
        mistake("mlp", "activation-last", _OUT,
                'return F.gelu(post @ weights["W_out"] + weights["b_out"], approximate="tanh")',
                "applies the activation to its output, too", "How often is the activation applied?"),
        mistake("mlp", "without-b-in", _PRE, 'pre = residual @ weights["W_in"]',
                "leaves b_in out", "What is added before the activation?"),
        mistake("mlp", "without-b-out", _OUT, 'return post @ weights["W_out"]',
                "leaves b_out out", "What is added at the end?"),
        mistake("mlp", "b-in-afterwards", _POST,
                'post = F.gelu(pre - weights["b_in"], approximate="tanh") + weights["b_in"]',
                "adds b_in after the activation", "What is added before the activation?"),
        mistake("mlp", "adds-its-input", _OUT,
                'return residual + post @ weights["W_out"] + weights["b_out"]',
                "adds its input, which is the block's work", "Who adds the residual?"),
    ),
    "block": (
        mistake("block", "without-attention-residual", _MID, "resid_mid = attn_out",
                "does not add what came in to attention's output", "What does the stream keep?"),
        mistake("block", "without-mlp-residual", _POST_SUM, "return mlp_out",
                "does not add the sum to the MLP's output", "What does the stream keep?"),
        mistake("block", "post-norm", _ATTN_OUT,
                'attn_out = multi_head(residual, under(weights, "attn."))',
                "norms after the sums, as the original transformer does",
                "Does attention read the stream, or its norm?",
                also=((_MID, 'resid_mid = layer_norm(residual + attn_out, under(weights, "ln1."))'),
                      (_MLP_OUT, 'mlp_out = mlp(resid_mid, under(weights, "mlp."))'),
                      (_POST_SUM,
                       'return layer_norm(resid_mid + mlp_out, under(weights, "ln2."))'))),
        mistake("block", "parallel", _MLP_OUT,
                'mlp_out = mlp(layer_norm(residual, under(weights, "ln2.")), under(weights, "mlp."))',
                "lets the MLP read what came in, beside attention",
                "Does the MLP know what attention found?"),
        mistake("block", "sum-without-attention", _POST_SUM, "return residual + mlp_out",
                "adds the MLP's output to what came in, so that attention's output is lost",
                "To which sum is the MLP's output added?"),
        mistake("block", "norms-exchanged", _ATTN_OUT,
                'attn_out = multi_head(layer_norm(residual, under(weights, "ln2.")), '
                'under(weights, "attn."))',
                "exchanges the two norms", "Which norm stands before attention?",
                also=((_MLP_OUT,
                       'mlp_out = mlp(layer_norm(resid_mid, under(weights, "ln1.")), '
                       'under(weights, "mlp."))'),)),
        mistake("block", "without-ln1", _ATTN_OUT,
                'attn_out = multi_head(residual, under(weights, "attn."))',
                "lets attention read the stream without a norm", "What is ln1 for?"),
        mistake("block", "without-ln2", _MLP_OUT,
                'mlp_out = mlp(resid_mid, under(weights, "mlp."))',
                "lets the MLP read the stream without a norm", "What is ln2 for?"),
        mistake("block", "ln1-twice", _MLP_OUT,
                'mlp_out = mlp(layer_norm(resid_mid, under(weights, "ln1.")), under(weights, "mlp."))',
                "uses ln1 for the MLP, too", "What is ln2 for?"),
        mistake("block", "normed-residual", _MID,
                'resid_mid = layer_norm(residual, under(weights, "ln1.")) + attn_out',
                "adds attention's output to the norm of the stream",
                "To what is attention's output added?"),
        mistake("block", "mlp-first", _ATTN_OUT,
                'attn_out = mlp(layer_norm(residual, under(weights, "ln1.")), under(weights, "mlp."))',
                "runs the MLP first, and attention second", "Which of the two comes first?",
                also=((_MLP_OUT,
                       'mlp_out = multi_head(layer_norm(resid_mid, under(weights, "ln2.")), '
                       'under(weights, "attn."))'),)),
    ),
    "gpt": (
        mistake("gpt", "without-positions", _EMBED, "residual = W_E[tokens]",
                "adds no position embedding", "How does the model know the order of the tokens?"),
        mistake("gpt", "positions-from-one", _EMBED,
                "residual = W_E[tokens] + W_pos[torch.arange(1, seq + 1) % len(W_pos)]",
                "counts positions from 1", "Which row of W_pos has the first token?"),
        mistake("gpt", "positions-backwards", _EMBED,
                "residual = W_E[tokens] + W_pos[:seq].flip(0)",
                "counts positions from the end", "Which row of W_pos has the first token?"),
        mistake("gpt", "last-positions", _EMBED,
                "residual = W_E[tokens] + W_pos[len(W_pos) - seq :]",
                "takes the last rows of W_pos", "Which row of W_pos has the first token?"),
        mistake("gpt", "embedding-scaled", _EMBED,
                "residual = W_E[tokens] * math.sqrt(W_E.shape[1]) + W_pos[:seq]",
                "multiplies the token embedding by sqrt(d_model)",
                "Which transformer scales its embeddings?"),
        mistake("gpt", "without-final-norm", _FINAL, "final = residual",
                "leaves the final norm out", "What is ln_final for?"),
        mistake("gpt", "first-block-again", _BLOCK,
                'residual = block(residual, under(weights, "blocks.0."))',
                "runs the first block again and again", "Which weights has block 1?"),
        mistake("gpt", "last-block-missing", _RANGE, "for number in range(n_layers - 1):",
                "leaves the last block out", "What is the number of the last block?"),
        mistake("gpt", "blocks-backwards", _RANGE, "for number in reversed(range(n_layers)):",
                "runs the blocks in the opposite order", "Which block reads the embeddings?"),
        mistake("gpt", "norm-in-every-block", _BLOCK,
                'residual = block(residual, under(weights, f"blocks.{number}."))\n'
                '        residual = layer_norm(residual, under(weights, "ln_final."))',
                "norms the stream after every block", "How often is the final norm applied?"),
        mistake("gpt", "probabilities", _LOGITS, "return (final @ W_E.T).softmax(dim=-1)",
                "gives probabilities instead of logits", "Who takes the softmax?"),
        mistake("gpt", "no-refusal", "if seq > len(W_pos):", "if seq > 9999:",
                "does not refuse more tokens than n_ctx with a ValueError",
                "What is the position embedding of token n_ctx?"),
        mistake("gpt", "refuses-n-ctx", "if seq > len(W_pos):", "if seq >= len(W_pos):",
                "refuses a text of exactly n_ctx tokens", "Do n_ctx tokens fit?"),
    ),
}  # fmt: skip
