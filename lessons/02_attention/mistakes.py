"""List the known mistakes in the exercises of the attention lesson, as edits."""

from functools import partial

from gpt2_small.checker.exercise_set import exercise_mistake

from .guides import GUIDES

mistake = partial(exercise_mistake, GUIDES)

_LOOP = "values[:, : position + 1].mean(dim=1)"

_ONES = "weights = torch.ones(seq, seq, dtype=values.dtype).tril()"

_ROWS = "weights = weights / weights.sum(dim=1, keepdim=True)"

_ZEROS = "scores = torch.full((seq, seq), -math.inf, dtype=values.dtype).triu(diagonal=1)"

_SOFTMAX = "pattern = scores.softmax(dim=-1)"

_SCORES = (
    'scores = einsum(query, key, "batch seq_q d_head, batch seq_k d_head -> batch seq_q seq_k")'
)

_MASK = "mask = torch.full((seq, seq), -math.inf, dtype=values.dtype).triu(diagonal=1)"

_PATTERN = "pattern = (scores / math.sqrt(d_head) + mask).softmax(dim=-1)"

MISTAKES = {
    "average_by_loop": (
        mistake("average_by_loop", "without-itself", _LOOP,
                "values[:, : max(position, 1)].mean(dim=1)",
                "leaves a position's own vector out", "Does position 1 see itself?"),
        mistake("average_by_loop", "nothing-at-first", _LOOP, "values[:, :position].mean(dim=1)",
                "leaves a position's own vector out, and the mean of none, at position 0, is nan",
                "What is values[:, :0]?"),
        mistake("average_by_loop", "rounded-down", _LOOP,
                "values[:, : position + 1].sum(dim=1) // (position + 1)",
                "rounds the means down: // is floor division", "What is 7 // 2?"),
        mistake("average_by_loop", "sees-one-ahead", _LOOP, "values[:, : position + 2].mean(dim=1)",
                "looks one position ahead", "What may position 0 see?"),
        mistake("average_by_loop", "of-all", _LOOP, "values.mean(dim=1)",
                "averages over all positions", "What may position 0 see?"),
        mistake("average_by_loop", "sum", _LOOP, "values[:, : position + 1].sum(dim=1)",
                "sums instead of averaging", "How large is the output at the last position?"),
        mistake("average_by_loop", "by-seq", _LOOP,
                "values[:, : position + 1].sum(dim=1) / values.shape[1]",
                "divides by the length of the sequence", "By how many is position 0 divided?"),
        mistake("average_by_loop", "over-the-batch", _LOOP,
                "values[:, : position + 1].mean(dim=(0, 1), keepdim=True)[0]"
                ".expand(len(values), -1)",
                "averages over the batch, too", "Do two texts of a batch know of each other?"),
        mistake("average_by_loop", "backwards", _LOOP, "values[:, position:].mean(dim=1)",
                "averages over the positions from its own on",
                "Which direction is the past?"),
        mistake("average_by_loop", "running", _LOOP,
                "(values[:, position] + values[:, max(position - 1, 0)]) / 2",
                "averages with the position before alone", "How many vectors does position 5 see?"),
    ),
    "average_by_matrix": (
        mistake("average_by_matrix", "not-normalised", _ROWS, "weights = weights * 1.0",
                "does not divide the rows by their sums", "What do the weights of a row add up to?"),
        mistake("average_by_matrix", "by-column", _ROWS,
                "weights = weights / weights.sum(dim=0, keepdim=True)",
                "divides the columns by their sums", "What do the weights of a row add up to?"),
        mistake("average_by_matrix", "without-keepdim", _ROWS,
                "weights = weights / weights.sum(dim=1)",
                "divides column k by the sum of row k, since the sum lost its axis",
                "How is a vector broadcast against a matrix?"),
        mistake("average_by_matrix", "upper", _ONES,
                "weights = torch.ones(seq, seq, dtype=values.dtype).triu()",
                "looks at the future instead of the past", "Which triangle is the past?"),
        mistake("average_by_matrix", "full", _ONES,
                "weights = torch.ones(seq, seq, dtype=values.dtype)",
                "hides nothing", "What may position 0 see?"),
        mistake("average_by_matrix", "without-itself", _ONES,
                "weights = torch.ones(seq, seq, dtype=values.dtype).tril(diagonal=-1)"
                " + torch.eye(seq, dtype=values.dtype) * (torch.arange(seq) == 0)",
                "leaves a position's own vector out", "Does position 1 see itself?"),
        mistake("average_by_matrix", "one-ahead", _ONES,
                "weights = torch.ones(seq, seq, dtype=values.dtype).tril(diagonal=1)",
                "looks one position ahead", "What may position 0 see?"),
        mistake("average_by_matrix", "by-seq", _ROWS, "weights = weights / seq",
                "divides every row by the length of the sequence",
                "By how many is position 0 divided?"),
    ),
    "average_by_softmax": (
        mistake("average_by_softmax", "zeros-are-not-hidden", _ZEROS,
                "scores = torch.zeros((seq, seq), dtype=values.dtype)",
                "hides nothing: a score of 0 is not a weight of 0", "What is exp(0)?"),
        mistake("average_by_softmax", "infinity-times-zero", _ZEROS,
                "scores = torch.ones((seq, seq), dtype=values.dtype).triu(diagonal=1) * -math.inf",
                "multiplies zeros by -inf, which gives nan", "What is 0 times infinity?"),
        mistake("average_by_softmax", "hides-itself", _ZEROS,
                "scores = torch.full((seq, seq), -math.inf, dtype=values.dtype)"
                ".triu(diagonal=0).index_fill(1, torch.tensor([0]), 0.0)",
                "hides a position from itself", "Does position 1 see itself?"),
        mistake("average_by_softmax", "one-ahead", _ZEROS,
                "scores = torch.full((seq, seq), -math.inf, dtype=values.dtype).triu(diagonal=2)",
                "looks one position ahead", "What may position 0 see?"),
        mistake("average_by_softmax", "past-hidden", _ZEROS,
                "scores = torch.full((seq, seq), -math.inf, dtype=values.dtype).tril(diagonal=-1)",
                "hides the past instead of the future", "Which triangle is the future?"),
        mistake("average_by_softmax", "over-queries", _SOFTMAX, "pattern = scores.softmax(dim=0)",
                "takes the softmax over the queries", "What do the weights of a row add up to?"),
        mistake("average_by_softmax", "small-fill", _ZEROS,
                "scores = torch.full((seq, seq), -4.0, dtype=values.dtype).triu(diagonal=1)",
                "hides the future with -4, which leaves it a weight", "What is exp(-4)?"),
        mistake("average_by_softmax", "exponential-only", _SOFTMAX, "pattern = scores.exp()",
                "does not divide by the sum", "What do the weights of a row add up to?"),
        mistake("average_by_softmax", "twice", _SOFTMAX,
                "pattern = scores.softmax(dim=-1).softmax(dim=-1)",
                "takes the softmax twice, so that the future has a weight again",
                "What is the softmax of a weight of 0?"),
    ),
    "attend": (
        mistake("attend", "not-scaled", _PATTERN, "pattern = (scores + mask).softmax(dim=-1)",
                "does not divide the scores by sqrt(d_head)",
                "How does the size of a dot product grow with d_head?"),
        mistake("attend", "scaled-by-d-head", _PATTERN,
                "pattern = (scores / d_head + mask).softmax(dim=-1)",
                "divides the scores by d_head", "Of what is the root taken?"),
        mistake("attend", "scaled-by-width-of-values", _PATTERN,
                "pattern = (scores / math.sqrt(values.shape[-1]) + mask).softmax(dim=-1)",
                "divides the scores by the root of the values' width",
                "How many products does a score add up?"),
        mistake("attend", "multiplied", _PATTERN,
                "pattern = (scores * math.sqrt(d_head) + mask).softmax(dim=-1)",
                "multiplies the scores by sqrt(d_head)", "Should scores become larger or smaller?"),
        mistake("attend", "no-mask", _PATTERN,
                "pattern = (scores / math.sqrt(d_head)).softmax(dim=-1)",
                "hides nothing", "What may position 0 see?"),
        mistake("attend", "masked-afterwards", _PATTERN,
                "pattern = (scores / math.sqrt(d_head)).softmax(dim=-1) * (mask == 0)",
                "hides the future after the softmax, so that rows add up to less than 1",
                "What do the weights of a row add up to?"),
        mistake("attend", "over-queries", _PATTERN,
                "pattern = (scores / math.sqrt(d_head) + mask).nan_to_num(neginf=-1e9)"
                ".softmax(dim=-2)",
                "takes the softmax over the queries", "What do the weights of a row add up to?"),
        mistake("attend", "exchanged", _SCORES,
                'scores = einsum(key, query, "batch seq_q d_head, batch seq_k d_head -> '
                'batch seq_q seq_k")',
                "exchanges queries and keys", "Which of the two asks?"),
        mistake("attend", "infinity-times-zero", _MASK,
                "mask = torch.ones((seq, seq), dtype=values.dtype).triu(diagonal=1) * -math.inf",
                "multiplies zeros by -inf, which gives nan", "What is 0 times infinity?"),
        mistake("attend", "hides-itself", _MASK,
                "mask = torch.full((seq, seq), -math.inf, dtype=values.dtype).triu(diagonal=0)"
                ".index_fill(1, torch.tensor([0]), 0.0)",
                "hides a position from itself", "Does position 1 see itself?"),
        mistake("attend", "one-ahead", _MASK,
                "mask = torch.full((seq, seq), -math.inf, dtype=values.dtype).triu(diagonal=2)",
                "looks one position ahead", "What may position 0 see?"),
        mistake("attend", "past-hidden", _MASK,
                "mask = torch.full((seq, seq), -math.inf, dtype=values.dtype).tril(diagonal=-1)",
                "hides the past instead of the future", "Which triangle is the future?"),
        mistake("attend", "small-fill", _MASK,
                "mask = torch.full((seq, seq), -4.0, dtype=values.dtype).triu(diagonal=1)",
                "hides the future with -4, which leaves it a weight", "What is exp(-4)?"),
    ),
}  # fmt: skip
