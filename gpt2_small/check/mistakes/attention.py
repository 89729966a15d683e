"""What goes wrong in MultiHeadAttention."""

from gpt2_small.check.mistake import Mistake

PART = "MultiHeadAttention"
_SCORES = "scores = (similarity / math.sqrt(self.d_head)).masked_fill(future, -math.inf)"

MISTAKES = [
    Mistake(
        id="attention-scale-d-model",
        component=PART,
        old=_SCORES,
        new="scores = (similarity / math.sqrt(residual.shape[-1])).masked_fill(future, -math.inf)",
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
        old=_SCORES,
        new="scores = similarity.masked_fill(future, -math.inf)",
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
        new="scores = similarity / math.sqrt(self.d_head)",
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
        old="masked_fill(future, -math.inf)",
        new="masked_fill(future, 0.0)",
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
        old="masked_fill(future, -math.inf)",
        new="masked_fill(future, -1e5)",
        sentence="fills the masked scores with -1e5, which is as good as minus infinity here",
        equivalent=True,
    ),
]
