"""List the known mistakes in sample that mix the rows of a batch or lose the order of the ranks."""

from gpt2_small.checker.mistakes.mistake import Mistake

PART = "sample"
_BETTER = "probability_of_better_ranks = probabilities.cumsum(dim=-1) - probabilities"
_TOP_K = "descending[:, top_k:] = -math.inf"
_TOP_P = "probabilities = probabilities.masked_fill(probability_of_better_ranks >= top_p, 0.0)"
_RESULT = "return token_of_rank.gather(dim=-1, index=rank).squeeze(-1)"
_DROPPED = "dropped = probability_of_better_ranks >= top_p\n        "
_CROSSED = "crossed = probability_of_better_ranks + probabilities >= top_p\n        "
_SORTED_LOGITS = (
    "ordered = (logits / temperature).gather(-1, token_of_rank)\n"
    "        ordered = ordered.masked_fill(descending == -math.inf, -math.inf)\n"
    "        plain = ordered.scatter(-1, token_of_rank, ordered)\n"
    "        ordered = ordered.masked_fill(probability_of_better_ranks >= top_p, -math.inf)\n"
    "        "
)
_OF_RANKS = ".softmax(dim=-1).gather(-1, token_of_rank)"

_ROW_HINTS = (
    "Call it with two rows of quite different logits. Does one row change the other's draws?",
    "Logits are [batch d_vocab]: dimension 0 counts rows, and each row is cut by itself.",
    "use dim=-1, [:, 1:] and [:, 0], where code for one row has dim=0, [1:] and [0]",
)
_BACK_HINTS = (
    "Does each token keep its own logit when the sort is undone?",
    "The sort's indices tell for every rank its token, row by row: scatter along dimension 1.",
    "restored = torch.empty_like(ordered).scatter(1, indices, ordered)",
)
_ROW_NUMBER_HINTS = (
    "Give it two rows of seven logits. Which elements does logits[indices] change?",
    "One index into [batch d_vocab] counts rows; the sort's indices are tokens.",
    "logits.masked_fill(remove.scatter(1, sorted_indices, remove), -inf)",
)
_CUT_HINTS = (
    "Draw often with top_k=3 from seven tokens. Which tokens come, and how often?",
    "topk gives values and indices; the k-th largest value of a row is the last of its values.",
    "logits[logits < values[:, [-1]]] = -inf",
)


def _scattered(into: str, name: str) -> Mistake:
    """Sorted logits put back with scatter(0, ...) into some tensor."""
    return Mistake(
        id=f"sample-scatter-over-rows-{name}",
        component=PART,
        old=_TOP_P,
        new=(
            f"{_SORTED_LOGITS}probabilities = {into}.scatter(0, token_of_rank, ordered){_OF_RANKS}"
        ),
        sentence=(
            "puts the sorted logits back over the rows, not within each row: scatter(0, ...) where "
            "it should be scatter(1, ...)"
        ),
        hints=_BACK_HINTS,
    )


MISTAKES = [
    Mistake(
        id="sample-top-p-mask-not-sorted-back",
        component=PART,
        old=_TOP_P,
        new=(
            f"{_DROPPED}probabilities = probabilities.masked_fill("
            "dropped.gather(-1, token_of_rank), 0.0)"
        ),
        sentence="drops the tokens of top_p by rank instead of by id: the sort is not undone",
        hints=_BACK_HINTS,
    ),
    Mistake(
        id="sample-top-p-mask-scattered-over-rows",
        component=PART,
        old=_TOP_P,
        new=(
            f"{_DROPPED}dropped = dropped.scatter(0, token_of_rank, dropped)\n"
            "        probabilities = probabilities.masked_fill("
            "dropped.gather(-1, token_of_rank), 0.0)"
        ),
        sentence=(
            "puts the mask of top_p back over the rows, not within each row: scatter(0, ...) where "
            "it should be scatter(1, ...)"
        ),
        hints=_BACK_HINTS,
    ),
    _scattered("ordered", "into-sorted"),
    _scattered("plain", "into-logits"),
    _scattered("torch.zeros_like(ordered)", "into-zeros"),
    _scattered("torch.full_like(ordered, -math.inf)", "into-minus-infinity"),
    Mistake(
        id="sample-sorted-logits-gathered-back",
        component=PART,
        old=_TOP_P,
        new=f"{_SORTED_LOGITS}probabilities = ordered.gather(-1, token_of_rank){_OF_RANKS}",
        sentence="undoes top_p's sort with gather, which permutes a second time; scatter undoes it",
        hints=_BACK_HINTS,
    ),
    Mistake(
        id="sample-top-p-shifted-over-rows",
        component=PART,
        old=_TOP_P,
        new=(
            f"{_CROSSED}dropped = torch.zeros_like(crossed)\n"
            "        dropped[1:] = crossed[:-1]\n"
            "        probabilities = probabilities.masked_fill(dropped, 0.0)"
        ),
        sentence=(
            "shifts the mask of top_p by a row instead of by a token: mask[1:] where it should be "
            "mask[:, 1:]"
        ),
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="sample-top-p-first-row-kept",
        component=PART,
        old=_TOP_P,
        new=(
            f"{_CROSSED}crossed[0] = False\n"
            "        probabilities = probabilities.masked_fill(crossed, 0.0)"
        ),
        sentence=(
            "keeps the whole first row instead of the first token of each row: mask[0] where it "
            "should be mask[:, 0]"
        ),
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="sample-top-p-last-row-kept",
        component=PART,
        old=_TOP_P,
        new=(
            f"{_DROPPED}dropped[-1:] = False\n"
            "        probabilities = probabilities.masked_fill(dropped, 0.0)"
        ),
        sentence=(
            "cuts nothing from the last row: mask[-1:] = False where it should be "
            "mask[:, -1:] = False"
        ),
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="sample-top-p-first-row-for-all",
        component=PART,
        old=_TOP_P,
        new=(
            "last = int((probability_of_better_ranks >= top_p).nonzero()[0, 1])\n"
            "        probabilities[:, last:] = 0.0"
        ),
        sentence="keeps in every row as many tokens as top_p keeps of the first",
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="sample-top-p-over-batch",
        component=PART,
        old=_BETTER,
        new="probability_of_better_ranks = probabilities.cumsum(dim=0) - probabilities",
        sentence="adds up probabilities over the batch instead of over each row's tokens",
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="sample-top-k-returns-rank",
        component=PART,
        old=_RESULT,
        new=(
            "if top_k is not None:\n        return rank.squeeze(-1)\n"
            "    return token_of_rank.gather(dim=-1, index=rank).squeeze(-1)"
        ),
        sentence="returns which of the k largest logits was drawn, and not its token",
        hints=_CUT_HINTS,
    ),
    Mistake(
        id="sample-top-p-returns-rank",
        component=PART,
        old=_RESULT,
        new=(
            "if top_p is not None:\n        return rank.squeeze(-1)\n"
            "    return token_of_rank.gather(dim=-1, index=rank).squeeze(-1)"
        ),
        sentence="returns the rank among the tokens that it sorted for top_p, and not the token",
        hints=(
            "Draw with top_p=0.7 from logits whose largest is not the first. Which token comes?",
            "A draw from sorted probabilities is a rank; the sort's indices name its token.",
            "indices.gather(-1, rank)",
        ),
    ),
    Mistake(
        id="sample-top-k-rank-as-row",
        component=PART,
        old=_RESULT,
        new=(
            "if top_k is not None:\n        return token_of_rank[:, :top_k][rank].squeeze(-1)\n"
            "    return token_of_rank.gather(dim=-1, index=rank).squeeze(-1)"
        ),
        sentence=(
            "takes the drawn rank for the number of a row: indices[rank] where it should be "
            "indices.gather(-1, rank)"
        ),
        hints=_CUT_HINTS,
    ),
    Mistake(
        id="sample-top-k-largest-only",
        component=PART,
        old=_TOP_K,
        new="descending[:, 1:] = -math.inf",
        sentence="keeps with top_k the tokens that reach the largest logit, not the k-th",
        hints=_CUT_HINTS,
    ),
    Mistake(
        id="sample-least-threshold-for-all",
        component=PART,
        old=_TOP_K,
        new=(
            "scaled = logits / temperature\n"
            "        least = scaled.topk(min(top_k, logits.shape[-1])).values.min()\n"
            "        descending[scaled.gather(-1, token_of_rank) < least] = -math.inf"
        ),
        sentence=(
            "cuts every row at the least k-th logit of the batch: values.min() where it should be "
            "values[:, [-1]]"
        ),
        hints=_CUT_HINTS,
    ),
    Mistake(
        id="sample-last-threshold-for-all",
        component=PART,
        old=_TOP_K,
        new=(
            "scaled = logits / temperature\n"
            "        least = scaled[-1].topk(min(top_k, logits.shape[-1])).values[-1]\n"
            "        descending[scaled.gather(-1, token_of_rank) < least] = -math.inf"
        ),
        sentence=(
            "cuts every row at the k-th logit of the last: values[-1] where it should be "
            "values[:, [-1]]"
        ),
        hints=_CUT_HINTS,
    ),
    Mistake(
        id="sample-top-p-tokens-as-rows",
        component=PART,
        old=_TOP_P,
        new="probabilities[token_of_rank[probability_of_better_ranks >= top_p]] = 0.0",
        sentence=(
            "takes the tokens that top_p drops for numbers of rows: logits[indices] = -inf empties "
            "whole rows"
        ),
        hints=_ROW_NUMBER_HINTS,
    ),
    Mistake(
        id="sample-top-k-tokens-as-rows",
        component=PART,
        old=_TOP_K,
        new=(
            "kept = torch.zeros_like(descending, dtype=torch.bool)\n"
            "        kept[token_of_rank[:, :top_k]] = True\n"
            "        descending = descending.masked_fill(~kept, -math.inf)"
        ),
        sentence=(
            "takes the k most likely tokens for numbers of rows: logits[indices] is whole rows"
        ),
        hints=_ROW_NUMBER_HINTS,
    ),
    Mistake(
        id="sample-top-k-mixes-rows",
        component=PART,
        old=_TOP_K,
        new=(
            "kept = torch.isin(token_of_rank, token_of_rank[:, :top_k].unique())\n"
            "        descending = descending.masked_fill(~kept, -math.inf)"
        ),
        sentence=(
            "keeps in every row the k most likely tokens of all rows: logits[:, indices] works on "
            "all rows at once"
        ),
        hints=_CUT_HINTS,
    ),
    Mistake(
        id="sample-top-p-first-row-alone",
        component=PART,
        old=_TOP_P,
        new=(
            "dropped = token_of_rank[probability_of_better_ranks >= top_p].unique()\n"
            "        probabilities[0, torch.isin(token_of_rank[0], dropped)] = 0.0"
        ),
        sentence=(
            "drops from the first row what any row drops, and nothing from the others: "
            "logits[0, indices] is one row"
        ),
        hints=_ROW_HINTS,
    ),
    Mistake(
        id="sample-top-p-filled-with-zero",
        component=PART,
        old=_TOP_P,
        new=(
            f"{_SORTED_LOGITS.replace('>= top_p, -math.inf', '>= top_p, 0.0')}"
            "probabilities = ordered.softmax(dim=-1)"
        ),
        sentence="gives the logits that top_p drops the value 0 instead of minus infinity",
        hints=(
            "What is the probability of a token whose logit is 0?",
            "What is dropped must never be drawn; exp(-inf) is 0, and exp(0) is 1.",
            "logits.masked_fill(remove, -inf)",
        ),
    ),
    Mistake(
        id="sample-last-rows-thresholds",
        component=PART,
        old=_TOP_K,
        new=(
            "least = (relative / temperature).topk(min(top_k, logits.shape[-1])).values[-1]\n"
            "        descending = descending.masked_fill(relative < least, -math.inf)"
        ),
        sentence=(
            "compares with the k largest logits of the last row: values[-1] where it should be "
            "values[:, [-1]]"
        ),
        hints=_CUT_HINTS,
    ),
    Mistake(
        id="sample-thresholds-over-tokens",
        component=PART,
        old=_TOP_K,
        new=(
            "least = (relative / temperature).topk(min(top_k, logits.shape[-1])).values[:, -1]\n"
            "        descending = descending.masked_fill(relative < least, -math.inf)"
        ),
        sentence=(
            "compares each token, not each row, with a row's k-th logit: values[:, -1] where it "
            "should be values[:, [-1]]"
        ),
        hints=_CUT_HINTS,
    ),
]
