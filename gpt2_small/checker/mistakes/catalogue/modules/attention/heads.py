"""List the known mistakes in MultiHeadAttention: queries, keys, values, heads."""

from gpt2_small.checker.mistakes.mistake import Mistake

PART = "MultiHeadAttention"
_QUERY = "query = self.hook_q(einsum(residual, self.W_Q, project) + self.b_Q)"
_KEY = "key = self.hook_k(einsum(residual, self.W_K, project) + self.b_K)"
_VALUE = "value = self.hook_v(einsum(residual, self.W_V, project) + self.b_V)"
_Z = "self.hook_z(z),"
_OUTPUT = "return self.output_dropout(output + self.b_O)"

_PROJECT_HINTS = (
    "Compare query, key and value with the reference, one by one.",
    (
        "Each has a matrix and a bias of its own: query W_Q and b_Q, key W_K and b_K, value "
        "W_V and b_V."
    ),
    "query = x @ W_Q + b_Q; key = x @ W_K + b_K; value = x @ W_V + b_V",
)
_BIAS_HINTS = (
    "A fresh bias is 0, so you do not see it; set it to something else, or look at its gradient.",
    "Queries, keys, values and the output have a bias each.",
    "query = x @ W_Q + b_Q, and so on; output = z @ W_O + b_O, summed over heads",
)
_SPLIT_HINTS = (
    "Does each head get the numbers of one position, and its own d_head of them?",
    (
        "A split by view keeps seq before head: [batch seq head d_head], and only then may "
        "axes be swapped."
    ),
    "x.view(batch, seq, head, d_head).transpose(1, 2)",
)
_MERGE_HINTS = (
    "z is right. Is W_O's input?",
    "Each head has its own W_O [d_head d_model]; the products are added up, with b_O once.",
    (
        'output = einsum(z, W_O, "batch seq head d_head, head d_head d_model -> batch seq '
        'd_model") + b_O'
    ),
)
_APPLY_HINTS = (
    "The pattern is right. Is z?",
    "A query gets the sum over keys of pattern[query, key] times value[key].",
    "z = pattern @ value",
)

MISTAKES = [
    Mistake(
        id="attention-key-by-w-q",
        component=PART,
        old="self.W_K, project)",
        new="self.W_Q, project)",
        sentence="makes the keys with W_Q",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-query-by-w-k",
        component=PART,
        old="self.W_Q, project)",
        new="self.W_K, project)",
        sentence="makes the queries with W_K",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-value-by-w-k",
        component=PART,
        old="self.W_V, project)",
        new="self.W_K, project)",
        sentence="makes the values with W_K",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-value-by-w-q",
        component=PART,
        old="self.W_V, project)",
        new="self.W_Q, project)",
        sentence="makes the values with W_Q",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-key-value-swapped",
        component=PART,
        old=_KEY,
        new="key = self.hook_k(einsum(residual, self.W_V, project) + self.b_V)",
        also=((_VALUE, "value = self.hook_v(einsum(residual, self.W_K, project) + self.b_K)"),),
        sentence="swaps keys and values",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-query-value-swapped",
        component=PART,
        old=_QUERY,
        new="query = self.hook_q(einsum(residual, self.W_V, project) + self.b_V)",
        also=((_VALUE, "value = self.hook_v(einsum(residual, self.W_Q, project) + self.b_Q)"),),
        sentence="swaps queries and values",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-qkv-rotated",
        component=PART,
        old=_QUERY,
        new="query = self.hook_q(einsum(residual, self.W_K, project) + self.b_K)",
        also=(
            (_KEY, "key = self.hook_k(einsum(residual, self.W_V, project) + self.b_V)"),
            (_VALUE, "value = self.hook_v(einsum(residual, self.W_Q, project) + self.b_Q)"),
        ),
        sentence=(
            "takes query, key and value from the fused product in the wrong order: "
            "key, value, query"
        ),
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-value-of-key",
        component=PART,
        old=_VALUE,
        new="value = self.hook_v(key)",
        sentence="uses the keys as values",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-value-of-key-without-bias",
        component=PART,
        old=_VALUE,
        new="value = self.hook_v(einsum(residual, self.W_K, project))",
        sentence="uses the keys, without their bias, as values",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-query-by-w-v",
        component=PART,
        old="self.W_Q, project)",
        new="self.W_V, project)",
        sentence="makes the queries with W_V",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-key-by-w-v",
        component=PART,
        old="self.W_K, project)",
        new="self.W_V, project)",
        sentence="makes the keys with W_V",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-query-of-value",
        component=PART,
        old=_QUERY,
        new="query = self.hook_q(einsum(residual, self.W_V, project) + self.b_V)",
        sentence="uses the values as queries",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-key-of-value",
        component=PART,
        old=_KEY,
        new="key = self.hook_k(einsum(residual, self.W_V, project) + self.b_V)",
        sentence="uses the values as keys",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-query-of-key",
        component=PART,
        old=_QUERY,
        new="query = self.hook_q(einsum(residual, self.W_K, project) + self.b_K)",
        sentence="uses the keys as queries",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-key-of-query",
        component=PART,
        old=_KEY,
        new="key = self.hook_k(einsum(residual, self.W_Q, project) + self.b_Q)",
        sentence="uses the queries as keys",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-input-as-value",
        component=PART,
        old=_VALUE,
        new=("value = self.hook_v(residual.unflatten(-1, self.b_V.shape) + 0 * self.b_V)"),
        sentence="uses its input itself as values",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-b-q-unused",
        component=PART,
        old="self.W_Q, project) + self.b_Q",
        new="self.W_Q, project)",
        sentence="does not add b_Q to the queries",
        hints=_BIAS_HINTS,
    ),
    Mistake(
        id="attention-b-v-unused",
        component=PART,
        old="self.W_V, project) + self.b_V",
        new="self.W_V, project)",
        sentence="does not add b_V to the values",
        hints=_BIAS_HINTS,
    ),
    Mistake(
        id="attention-biases-unused",
        component=PART,
        old=_QUERY,
        new="query = self.hook_q(einsum(residual, self.W_Q, project))",
        also=(
            (_KEY, "key = self.hook_k(einsum(residual, self.W_K, project))"),
            (_VALUE, "value = self.hook_v(einsum(residual, self.W_V, project))"),
            (_OUTPUT, "return self.output_dropout(output)"),
        ),
        sentence="adds none of its four biases",
        hints=_BIAS_HINTS,
    ),
    Mistake(
        id="attention-key-with-b-q",
        component=PART,
        old="self.W_K, project) + self.b_K",
        new="self.W_K, project) + self.b_Q",
        sentence="adds b_Q to the keys",
        hints=_BIAS_HINTS,
    ),
    Mistake(
        id="attention-query-with-b-k",
        component=PART,
        old="self.W_Q, project) + self.b_Q",
        new="self.W_Q, project) + self.b_K",
        sentence="adds b_K to the queries",
        hints=_BIAS_HINTS,
    ),
    Mistake(
        id="attention-value-with-b-k",
        component=PART,
        old="self.W_V, project) + self.b_V",
        new="self.W_V, project) + self.b_K",
        sentence="adds b_K to the values",
        hints=_BIAS_HINTS,
    ),
    Mistake(
        id="attention-b-o-for-every-head",
        component=PART,
        old=_OUTPUT,
        new="return self.output_dropout(output + len(self.W_O) * self.b_O)",
        sentence="adds b_O once for every head",
        hints=_BIAS_HINTS,
    ),
    Mistake(
        id="attention-split-by-view",
        component=PART,
        old=_QUERY,
        new=(
            "query = self.hook_q((einsum(residual, self.W_Q, project) + "
            "self.b_Q).transpose(1, 2).reshape(*residual.shape[:2], *self.b_Q.shape))"
        ),
        sentence=(
            "splits the queries' heads by a view to [batch head seq d_head], which mixes positions"
        ),
        hints=_SPLIT_HINTS,
    ),
    Mistake(
        id="attention-all-split-by-view",
        component=PART,
        old=_QUERY,
        new=(
            "batch, length = residual.shape[:2]\n"
            "        heads = self.b_Q.shape[0]\n"
            "\n"
            "        def split(x):\n"
            "            return x.reshape(batch, heads, length, "
            "self.d_head).transpose(1, 2)\n"
            "\n"
            "        query = self.hook_q(split(einsum(residual, self.W_Q, project) + "
            "self.b_Q))"
        ),
        also=(
            (_KEY, "key = self.hook_k(split(einsum(residual, self.W_K, project) + self.b_K))"),
            (
                _VALUE,
                "value = self.hook_v(split(einsum(residual, self.W_V, project) + self.b_V))",
            ),
        ),
        sentence=(
            "splits the heads by a view to [batch head seq d_head], which mixes positions and heads"
        ),
        hints=_SPLIT_HINTS,
    ),
    Mistake(
        id="attention-split-interleaved",
        component=PART,
        old=_QUERY,
        new=(
            "heads = self.b_Q.shape[0]\n"
            "\n"
            "        def split(x):\n"
            "            return x.flatten(2).unflatten(2, (self.d_head, "
            "heads)).transpose(2, 3)\n"
            "\n"
            "        query = self.hook_q(split(einsum(residual, self.W_Q, project) + "
            "self.b_Q))"
        ),
        also=(
            (_KEY, "key = self.hook_k(split(einsum(residual, self.W_K, project) + self.b_K))"),
            (
                _VALUE,
                "value = self.hook_v(split(einsum(residual, self.W_V, project) + self.b_V))",
            ),
        ),
        sentence="splits d_model as (d_head head) instead of (head d_head)",
        hints=_SPLIT_HINTS,
    ),
    Mistake(
        id="attention-weights-reshaped",
        component=PART,
        old=_QUERY,
        new=(
            "flat = (residual.shape[-1], self.b_Q.numel())\n"
            "        query = self.hook_q((residual @ "
            "self.W_Q.reshape(flat)).unflatten(2, self.b_Q.shape) + self.b_Q)"
        ),
        also=(
            (
                _KEY,
                (
                    "key = self.hook_k((residual @ self.W_K.reshape(flat)).unflatten(2, "
                    "self.b_K.shape) + self.b_K)"
                ),
            ),
            (
                _VALUE,
                (
                    "value = self.hook_v((residual @ self.W_V.reshape(flat)).unflatten(2, "
                    "self.b_V.shape) + self.b_V)"
                ),
            ),
        ),
        sentence=(
            "reshapes W_Q, W_K and W_V to [d_model, head d_head] without moving the head axis"
        ),
        hints=_SPLIT_HINTS,
    ),
    Mistake(
        id="attention-merged-without-transpose",
        component=PART,
        old=_Z,
        new="self.hook_z(z).transpose(1, 2).reshape(z.shape),",
        sentence="merges the heads by a view without moving the head axis back",
        hints=_MERGE_HINTS,
    ),
    Mistake(
        id="attention-merged-interleaved",
        component=PART,
        old=_Z,
        new="self.hook_z(z).transpose(2, 3).reshape(z.shape),",
        sentence="merges d_model as (d_head head) instead of (head d_head)",
        hints=_MERGE_HINTS,
    ),
    Mistake(
        id="attention-w-o-unused",
        component=PART,
        old=_OUTPUT,
        new="return self.output_dropout(z.flatten(2) + self.b_O)",
        sentence="leaves out W_O",
        hints=_MERGE_HINTS,
    ),
    Mistake(
        id="attention-output-projection-missing",
        component=PART,
        old=_OUTPUT,
        new="return self.output_dropout(z.flatten(2))",
        sentence="returns the heads side by side: there is neither W_O nor b_O",
        hints=_MERGE_HINTS,
    ),
    Mistake(
        id="attention-w-o-transposed",
        component=PART,
        old="            self.W_O,\n",
        new="            self.W_O.flatten(0, 1).T.reshape(self.W_O.shape),\n",
        sentence="multiplies by W_O transposed, which fits because it is square",
        hints=_MERGE_HINTS,
    ),
    Mistake(
        id="attention-heads-averaged",
        component=PART,
        old=_OUTPUT,
        new="return self.output_dropout(output / len(self.W_O) + self.b_O)",
        sentence="averages the heads instead of adding them up",
        hints=_MERGE_HINTS,
    ),
    Mistake(
        id="attention-first-head-only",
        component=PART,
        old=_Z,
        new=("self.hook_z(z) * (torch.arange(z.shape[2], device=z.device) == 0).unsqueeze(-1),"),
        sentence="uses the first head only",
        hints=_MERGE_HINTS,
    ),
    Mistake(
        id="attention-last-head-only",
        component=PART,
        old=_Z,
        new=(
            "self.hook_z(z) * (torch.arange(z.shape[2], device=z.device) == z.shape[2] - 1)"
            ".unsqueeze(-1),"
        ),
        sentence="keeps the last head's part of the output only",
        hints=_MERGE_HINTS,
    ),
    Mistake(
        id="attention-w-o-of-first-head",
        component=PART,
        old="            self.W_O,\n",
        new="            self.W_O[:1].expand_as(self.W_O),\n",
        sentence="projects every head with the W_O of the first",
        hints=_MERGE_HINTS,
    ),
    Mistake(
        id="attention-keys-of-first-head",
        component=PART,
        old=_KEY,
        new=(
            "key = self.hook_k((einsum(residual, self.W_K, project) + self.b_K)[:, "
            ":, :1].expand_as(query))"
        ),
        sentence="uses the first head's keys for all heads",
        hints=_PROJECT_HINTS,
    ),
    Mistake(
        id="attention-output-of-query",
        component=PART,
        old=_OUTPUT,
        new="return self.output_dropout(output + self.b_O) + residual",
        sentence="adds its input to its output: that is the block's work",
        hints=(
            "What does it give when W_O and b_O are 0? It should be 0.",
            "The residual stream is added to in the block.",
            "output = z @ W_O + b_O, summed over heads",
        ),
    ),
    Mistake(
        id="attention-pattern-transposed",
        component=PART,
        old="self.pattern_dropout(pattern),",
        new="self.pattern_dropout(pattern.mT),",
        sentence="transposes the pattern when it is applied to the values",
        hints=_APPLY_HINTS,
    ),
    Mistake(
        id="attention-values-unlinked",
        component=PART,
        old="batch head seq_q seq_k, batch seq_k head d_head -> batch seq_q head d_head",
        new="batch head seq_q seq_k, batch seq_v head d_head -> batch seq_q head d_head",
        sentence=(
            "gives the pattern's keys and the values different letters in its einsum, so that each "
            "is summed by itself"
        ),
        hints=_APPLY_HINTS,
    ),
    Mistake(
        id="attention-pattern-unused",
        component=PART,
        old="self.pattern_dropout(pattern),",
        new=(
            "self.pattern_dropout(torch.eye(seq, dtype=pattern.dtype, "
            "device=pattern.device).expand_as(pattern)),"
        ),
        sentence="does not apply its pattern: every position gets its own value",
        hints=_APPLY_HINTS,
    ),
    Mistake(
        id="attention-pattern-uniform",
        component=PART,
        old="self.pattern_dropout(pattern),",
        new=("self.pattern_dropout((torch.zeros_like(scores) + mask).softmax(-1)),"),
        sentence="averages all values that it sees, whatever the scores say",
        hints=_APPLY_HINTS,
    ),
    Mistake(
        id="attention-one-full-width-head",
        component=PART,
        old=(
            "            query / math.sqrt(self.d_head),\n"
            "            key,\n"
            '            "batch seq_q head d_head, batch seq_k head d_head -> '
            'batch head seq_q seq_k",\n'
        ),
        new=(
            "            query / math.sqrt(residual.shape[-1]),\n"
            "            key,\n"
            '            "batch seq_q head d_head, batch seq_k head d_head -> '
            'batch seq_q seq_k",\n'
        ),
        also=(
            (
                "scores = similarity + mask",
                "scores = (similarity + mask).unsqueeze(1).expand(-1, self.W_Q.shape[0], -1, -1)",
            ),
        ),
        sentence=(
            "compares queries and keys over the full width, as one head, "
            "and divides by sqrt(d_model)"
        ),
        hints=_SPLIT_HINTS,
    ),
    Mistake(
        id="attention-one-full-width-head-not-causal",
        component=PART,
        old=(
            "            query / math.sqrt(self.d_head),\n"
            "            key,\n"
            '            "batch seq_q head d_head, batch seq_k head d_head -> '
            'batch head seq_q seq_k",\n'
        ),
        new=(
            "            query / math.sqrt(residual.shape[-1]),\n"
            "            key,\n"
            '            "batch seq_q head d_head, batch seq_k head d_head -> '
            'batch seq_q seq_k",\n'
        ),
        also=(
            (
                "scores = similarity + mask",
                "scores = similarity.unsqueeze(1).expand(-1, self.W_Q.shape[0], -1, -1)",
            ),
        ),
        sentence=(
            "compares queries and keys over the full width, as one head, and has no causal mask"
        ),
        hints=_SPLIT_HINTS,
    ),
    Mistake(
        id="attention-one-full-width-head-scaled-by-d-head",
        component=PART,
        old=(
            '            "batch seq_q head d_head, batch seq_k head d_head -> '
            'batch head seq_q seq_k",\n'
        ),
        new=(
            '            "batch seq_q head d_head, batch seq_k head d_head -> batch seq_q seq_k",\n'
        ),
        also=(
            (
                "scores = similarity + mask",
                "scores = (similarity + mask).unsqueeze(1).expand(-1, self.W_Q.shape[0], -1, -1)",
            ),
        ),
        sentence="compares queries and keys over the full width, as one head",
        hints=_SPLIT_HINTS,
    ),
    Mistake(
        id="attention-b-o-before-w-o",
        component=PART,
        old=_Z,
        new="self.hook_z(z) + self.b_O.view(z.shape[2], z.shape[3]),",
        also=((_OUTPUT, "return self.output_dropout(output)"),),
        sentence="adds b_O before the projection by W_O",
        hints=_BIAS_HINTS,
    ),
]
