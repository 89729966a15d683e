"""List the known mistakes in MultiHeadAttention: scores, mask, softmax."""

from gpt2_small.checker.mistakes.mistake import Mistake

PART = "MultiHeadAttention"
_SCALE = "query / math.sqrt(self.d_head),"
_SCORES = "scores = similarity + mask"
_FILL = "scores = similarity.masked_fill(mask.isinf(), {})"
_PATTERN = "pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=-1))"
_OPERANDS = "            query / math.sqrt(self.d_head),\n            key,\n"

_SCALE_HINTS = (
    "Queries and keys are right. How large are the scores?",
    "The dot product runs over d_head numbers, so its size grows with sqrt(d_head).",
    "scores = query @ key / sqrt(d_head)",
)
_MASK_HINTS = (
    "Change the last token. Which outputs move? And what does the first position see?",
    (
        "A position sees itself and those before it; where seq_k > seq_q the score becomes "
        "minus infinity, before the softmax."
    ),
    "scores.masked_fill(ones(seq, seq).triu(1).bool(), -inf)",
)
_SOFTMAX_HINTS = (
    "Add up the pattern over seq_k. Is every row 1, and nothing negative?",
    "The softmax runs over the keys of one query, in one head and one row of the batch.",
    "pattern = scores.softmax(dim=-1)",
)

MISTAKES = [
    Mistake(
        id="attention-mask-of-1024",
        component=PART,
        old="mask = similarity.new_full((seq, seq), -math.inf).triu(diagonal=1)",
        new=("mask = similarity.new_full((1024, 1024), -math.inf).triu(diagonal=1)[:seq, :seq]"),
        sentence="has a mask for 1,024 positions, whatever n_ctx is",
        hints=(
            "What happens with a configuration whose n_ctx is 2,048?",
            "GPT-2's n_ctx is 1,024, but the configuration says it: config.n_ctx.",
            "torch.ones(seq, seq).triu(1), or a buffer of config.n_ctx by config.n_ctx",
        ),
    ),
    Mistake(
        id="attention-scale-d-model",
        component=PART,
        old=_SCALE,
        new="query / math.sqrt(residual.shape[-1]),",
        sentence="divides the scores by sqrt(d_model) instead of sqrt(d_head)",
        hints=(
            "Queries and keys are right. How large are the scores?",
            "The dot product runs over d_head numbers, so its size grows with sqrt(d_head).",
            "scores = query @ key / sqrt(d_head)",
        ),
    ),
    Mistake(
        id="attention-scale-missing",
        component=PART,
        old=_SCALE,
        new="query,",
        sentence="does not divide the scores by sqrt(d_head)",
        hints=(
            "Queries and keys are right. How large are the scores?",
            "Long dot products are large; something brings them back to size 1.",
            "scores = query @ key / sqrt(d_head)",
        ),
    ),
    Mistake(
        id="attention-mask-missing",
        component=PART,
        old=_SCORES,
        new="scores = similarity",
        sentence="has no causal mask: every position sees those after it",
        hints=(
            "Change the last token. Which outputs move?",
            "A position may see itself and those before it.",
            "scores = scores.masked_fill(ones(seq, seq).triu(1).bool(), -inf)",
        ),
    ),
    Mistake(
        id="attention-mask-diagonal",
        component=PART,
        old=".triu(diagonal=1)",
        new=".triu(diagonal=0)",
        sentence="masks the position itself as well as those after it",
        hints=(
            "What does the first position see?",
            "A position may see itself.",
            "Mask where seq_k > seq_q: triu(diagonal=1)",
        ),
    ),
    Mistake(
        id="attention-b-o-unused",
        component=PART,
        old="return self.output_dropout(output + self.b_O)",
        new="return self.output_dropout(output)",
        sentence="does not add b_O",
        hints=(
            "A fresh bias is 0, so you do not see it; look at its gradient.",
            "The output projection has a bias too.",
            "output = z @ W_O + b_O, summed over heads",
        ),
    ),
    Mistake(
        id="attention-b-k-unused",
        component=PART,
        old="key = self.hook_k(einsum(residual, self.W_K, project) + self.b_K)",
        new="key = self.hook_k(einsum(residual, self.W_K, project))",
        sentence="does not add b_K to the keys",
        hints=(
            "The output is right, but one parameter can never learn.",
            "Adding one number to all scores of a row changes nothing; still the keys have a bias.",
            "key = x @ W_K + b_K",
        ),
    ),
    Mistake(
        id="attention-mask-filled-with-zero",
        component=PART,
        old=_SCORES,
        new=_FILL.format("0.0"),
        sentence="fills the masked scores with 0 instead of minus infinity",
        hints=(
            "exp(0) is 1, not 0.",
            "After the softmax a masked position must have a weight of exactly 0.",
            "scores.masked_fill(future, -inf)",
        ),
    ),
    Mistake(
        id="attention-mask-filled-with-1e5",
        component=PART,
        old=_SCORES,
        new=_FILL.format("-1e5"),
        sentence="fills the masked scores with -1e5, which is as good as minus infinity here",
        equivalent=True,
    ),
    Mistake(
        id="attention-scale-without-root",
        component=PART,
        old=_SCALE,
        new="query / self.d_head,",
        sentence="divides the scores by d_head instead of its square root",
        hints=_SCALE_HINTS,
    ),
    Mistake(
        id="attention-scale-multiplied",
        component=PART,
        old=_SCALE,
        new="query * math.sqrt(self.d_head),",
        sentence="multiplies the scores by sqrt(d_head) instead of dividing",
        hints=_SCALE_HINTS,
    ),
    Mistake(
        id="attention-scale-d-model-multiplied",
        component=PART,
        old=_SCALE,
        new="query * math.sqrt(residual.shape[-1]),",
        sentence="multiplies the scores by sqrt(d_model) instead of dividing by sqrt(d_head)",
        hints=_SCALE_HINTS,
    ),
    Mistake(
        id="attention-scale-heads",
        component=PART,
        old=_SCALE,
        new="query / math.sqrt(len(self.W_Q)),",
        sentence="divides the scores by the square root of the number of heads",
        hints=_SCALE_HINTS,
    ),
    Mistake(
        id="attention-scale-seq",
        component=PART,
        old=_SCALE,
        new="query / math.sqrt(residual.shape[1]),",
        sentence="divides the scores by the square root of the sequence's length",
        hints=_SCALE_HINTS,
    ),
    Mistake(
        id="attention-scale-after-softmax",
        component=PART,
        old=_SCALE,
        new="query,",
        also=(
            (
                _PATTERN,
                (
                    "pattern = "
                    "self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=-1) / "
                    "math.sqrt(self.d_head))"
                ),
            ),
        ),
        sentence="divides by sqrt(d_head) after the softmax instead of before it",
        hints=_SCALE_HINTS,
    ),
    Mistake(
        id="attention-mask-too-late",
        component=PART,
        old=".triu(diagonal=1)",
        new=".triu(diagonal=2)",
        sentence="lets every position see the one after it",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-wrong-triangle",
        component=PART,
        old=".triu(diagonal=1)",
        new=".tril(diagonal=-1)",
        sentence="masks the past and keeps the future",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-filled-with-minus-10",
        component=PART,
        old=_SCORES,
        new=_FILL.format("-10.0"),
        sentence="fills the masked scores with -10, so that a little leaks through",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-filled-before-scaling-with-minus-20",
        component=PART,
        old=_SCORES,
        new=_FILL.format("-20.0 / math.sqrt(self.d_head)"),
        sentence=("fills the masked scores with -20 before scaling, so that some leaks through"),
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-filled-with-minus-1000",
        component=PART,
        old=_SCORES,
        new=_FILL.format("-1e3"),
        sentence="fills the masked scores with -1000, which very small visible scores fall below",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-added-as-one",
        component=PART,
        old=_SCORES,
        new="scores = similarity + mask.isfinite().to(similarity.dtype)",
        sentence="adds the mask as ones and zeros to the scores",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-nan",
        component=PART,
        old=_SCORES,
        new="scores = similarity + mask.isinf() * -math.inf",
        sentence="multiplies the mask by minus infinity, and 0 times infinity is NaN",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-filled-with-plus-infinity",
        component=PART,
        old=_SCORES,
        new=_FILL.format("math.inf"),
        sentence="fills the masked scores with plus infinity, which gives NaN",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-after-softmax",
        component=PART,
        old=_SCORES,
        new="scores = similarity",
        also=(
            (
                _PATTERN,
                (
                    "pattern = "
                    "self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=-1)"
                    ".masked_fill(mask.isinf(), 0.0))"
                ),
            ),
        ),
        sentence="masks after the softmax, so that the rows no longer add up to 1",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-window",
        component=PART,
        old=_SCORES,
        new="scores = similarity + mask + torch.full_like(mask, -math.inf).tril(-4)",
        sentence="sees the last four positions only",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-softmax-over-queries",
        component=PART,
        old=_PATTERN,
        new=("pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=-2))"),
        sentence="takes the softmax over the queries instead of the keys",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-softmax-over-heads",
        component=PART,
        old=_PATTERN,
        new=("pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=1))"),
        sentence="takes the softmax over the heads instead of the keys",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-softmax-over-heads-finite",
        component=PART,
        old=_SCORES,
        new=_FILL.format("-1e4"),
        also=(
            (
                _PATTERN,
                "pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=1))",
            ),
        ),
        sentence="takes the softmax over the heads instead of the keys, masked scores included",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-softmax-over-batch-finite",
        component=PART,
        old=_SCORES,
        new=_FILL.format("-1e4"),
        also=(
            (
                _PATTERN,
                "pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=0))",
            ),
        ),
        sentence="takes the softmax over the batch instead of the keys, masked scores included",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-softmax-over-batch",
        component=PART,
        old=_PATTERN,
        new=("pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=0))"),
        sentence="takes the softmax over the batch instead of the keys",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-softmax-missing",
        component=PART,
        old=_PATTERN,
        new=(
            "pattern = self.hook_pattern("
            "self.hook_attn_scores(scores).masked_fill(mask.isinf(), 0.0))"
        ),
        sentence="weighs the values by the scores themselves: there is no softmax",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-softmax-and-mask-missing",
        component=PART,
        old=_PATTERN,
        new="pattern = self.hook_pattern(self.hook_attn_scores(similarity))",
        sentence="weighs the values by all scores: there is neither a causal mask nor a softmax",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-softmax-twice",
        component=PART,
        old=_PATTERN,
        new=(
            "pattern = "
            "self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=-1).softmax("
            "dim=-1))"
        ),
        sentence="takes the softmax twice, which gives masked keys weight again",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-sigmoid",
        component=PART,
        old=_PATTERN,
        new="pattern = self.hook_pattern(self.hook_attn_scores(scores).sigmoid())",
        sentence="takes a sigmoid instead of a softmax",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-log-softmax",
        component=PART,
        old=_PATTERN,
        new=(
            "pattern = "
            "self.hook_pattern(self.hook_attn_scores(scores).log_softmax(dim=-1)"
            ".masked_fill(mask.isinf(), 0.0))"
        ),
        sentence="takes the logarithm of the softmax",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-query-key-swapped",
        component=PART,
        old=_OPERANDS,
        new="            key / math.sqrt(self.d_head),\n            query,\n",
        sentence="swaps queries and keys",
        hints=(
            "Take the scores of two positions, p and q. Which of them asks?",
            "The query comes from the position that looks, the key from the one looked at.",
            "scores[q, k] = query[q] · key[k] / sqrt(d_head)",
        ),
    ),
    Mistake(
        id="attention-mask-filled-with-float-min",
        component=PART,
        old=_SCORES,
        new=_FILL.format("torch.finfo(similarity.dtype).min"),
        sentence="fills the masked scores with the least number there is",
        equivalent=True,
    ),
    Mistake(
        id="attention-softmax-by-hand",
        component=PART,
        old=_PATTERN,
        new=(
            "exponentials = (self.hook_attn_scores(scores) - "
            "scores.detach().amax(-1, keepdim=True)).exp()\n"
            "        pattern = self.hook_pattern(exponentials / "
            "exponentials.sum(dim=-1, keepdim=True))"
        ),
        sentence="divides exponentials by their sum",
        equivalent=True,
    ),
    Mistake(
        id="attention-scores-scaled",
        component=PART,
        old=_SCALE,
        new="query,",
        also=((_SCORES, "scores = similarity / math.sqrt(self.d_head) + mask"),),
        sentence="scales the scores instead of the queries",
        equivalent=True,
    ),
    Mistake(
        id="attention-softmax-missing-infinite",
        component=PART,
        old=_PATTERN,
        new="pattern = self.hook_pattern(self.hook_attn_scores(scores))",
        sentence=(
            "weighs the values by the masked scores, minus infinity among them: there is no softmax"
        ),
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-exponentials-not-divided",
        component=PART,
        old=_PATTERN,
        new="pattern = self.hook_pattern(self.hook_attn_scores(scores).exp())",
        sentence="takes the exponentials of the scores without dividing them by their sum",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-exponentials-shifted-not-divided",
        component=PART,
        old=_PATTERN,
        new=(
            "shifted = self.hook_attn_scores(scores) - scores.amax(dim=-1, keepdim=True)\n"
            "        pattern = self.hook_pattern(shifted.exp())"
        ),
        sentence=(
            "takes the exponentials of the scores, less their maximum, "
            "without dividing them by their sum"
        ),
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-exponentials-over-everything",
        component=PART,
        old=_PATTERN,
        new=(
            "exponentials = self.hook_attn_scores(scores).exp()\n"
            "        pattern = self.hook_pattern(exponentials / exponentials.sum())"
        ),
        sentence="divides the exponentials by their sum over the whole batch",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-exponentials-overflow",
        component=PART,
        old=_PATTERN,
        new=(
            "exponentials = self.hook_attn_scores(scores).exp()\n"
            "        total = exponentials.sum(dim=-1, keepdim=True)\n"
            "        pattern = self.hook_pattern(exponentials / total)"
        ),
        sentence="takes exponentials without subtracting the maximum, which overflow",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-exponentials-of-one-maximum",
        component=PART,
        old=_PATTERN,
        new=(
            "exponentials = (self.hook_attn_scores(scores) - scores.max()).exp()\n"
            "        total = exponentials.sum(dim=-1, keepdim=True)\n"
            "        pattern = self.hook_pattern(exponentials / total)"
        ),
        sentence="subtracts one maximum from all scores instead of each row's own",
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-mask-inverted",
        component=PART,
        old=".triu(diagonal=1)",
        new=".tril(diagonal=0)",
        sentence=(
            "masks the position itself and the past, and keeps the future: the mask is inverted"
        ),
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-where-score-is-zero",
        component=PART,
        old=_SCORES,
        new=(
            "scores = similarity.tril()\n"
            "        scores = scores.masked_fill(scores == 0, -math.inf)"
        ),
        sentence="masks wherever a score is 0, which a visible one can be too",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-filled-with-minus-1",
        component=PART,
        old=_SCORES,
        new=_FILL.format("-1.0"),
        sentence="fills the masked scores with -1 instead of minus infinity",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-multiplied-with-minus-infinity",
        component=PART,
        old=_SCORES,
        new=(
            "scores = similarity * torch.ones_like(mask).tril() + "
            "torch.ones_like(mask).triu(1) * -1e-9"
        ),
        same_as="attention-mask-filled-with-zero",
        sentence="fills the masked scores with next to nothing instead of minus infinity",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-query-and-key-scaled",
        component=PART,
        old=_SCALE,
        new="query / self.d_head ** 0.25,",
        sentence="divides by the fourth root of d_head",
        hints=_SCALE_HINTS,
    ),
    Mistake(
        id="attention-heads-unlinked",
        component=PART,
        old=(
            '            "batch seq_q head d_head, batch seq_k head d_head -> '
            'batch head seq_q seq_k",\n'
        ),
        new=(
            '            "batch seq_q head d_head, batch seq_k other d_head -> '
            'batch head seq_q seq_k",\n'
        ),
        sentence=(
            "compares each head's queries with the keys of all heads "
            "together: the einsum does not link the two"
        ),
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-heads-over-positions",
        component=PART,
        old=(
            "        similarity = einsum(\n"
            "            query / math.sqrt(self.d_head),\n"
            "            key,\n"
            '            "batch seq_q head d_head, batch seq_k head d_head -> '
            'batch head seq_q seq_k",\n        )\n'
        ),
        new=(
            "        sdpa = F.scaled_dot_product_attention(query, key, value, is_causal=True)\n"
            "        similarity = query[:, :, :, 0].transpose(1, 2)[:, :, :, None] * 0 + 0 * key[\n"
            "            :, :, :, 0\n        ].transpose(1, 2)[:, :, None]\n"
        ),
        also=(("self.hook_z(z),", "self.hook_z(sdpa),"),),
        sentence=(
            "gives scaled_dot_product_attention [batch seq head d_head], "
            "so that heads look at heads; it takes [batch head seq d_head]"
        ),
        hints=_SOFTMAX_HINTS,
    ),
    Mistake(
        id="attention-sdpa-not-causal",
        component=PART,
        old="scores = similarity + mask",
        new="scores = similarity + 0 * similarity",
        same_as="attention-mask-missing",
        sentence="does not tell scaled_dot_product_attention that it is causal",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-inverted-for-sdpa",
        component=PART,
        old=".triu(diagonal=1)",
        new=".tril(diagonal=0)",
        also=(
            (
                _PATTERN,
                "pattern = self.hook_pattern("
                "self.hook_attn_scores(scores).softmax(dim=-1).nan_to_num(0.0))",
            ),
        ),
        sentence=(
            "hides what it should see: in the mask of scaled_dot_product_attention True stands for "
            "a key that may be seen"
        ),
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-diagonal-for-sdpa",
        component=PART,
        old=".triu(diagonal=1)",
        new=".triu(diagonal=0)",
        also=(
            (
                _PATTERN,
                "pattern = self.hook_pattern("
                "self.hook_attn_scores(scores).softmax(dim=-1).nan_to_num(0.0))",
            ),
        ),
        sentence="masks the position itself too, in scaled_dot_product_attention",
        hints=_MASK_HINTS,
    ),
    Mistake(
        id="attention-mask-adds-one-to-the-future",
        component=PART,
        old=_SCORES,
        new="scores = similarity + torch.ones_like(mask).triu(1)",
        sentence="adds 1 to the scores of the future instead of minus infinity",
        hints=_MASK_HINTS,
    ),
]
