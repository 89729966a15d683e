"""List the steps and hints for every part."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Guide:
    """Instructions for a part.

    steps: its steps in order, numbered comments in the learner's file.
    hints: from a first pointer to the formula.
    """

    steps: tuple[str, ...]
    hints: tuple[str, ...]


GUIDES = {
    "LayerNorm": Guide(
        steps=(
            "Subtract from every position the mean over its d_model numbers.",
            "The variance is the mean of the squares of these differences.",
            "Add eps to the variance and take the square root: that is the scale (hook_scale).",
            "Divide by the scale (hook_normalized), then apply the gain w and the bias b.",
        ),
        hints=(
            "Each position is treated separately: over which axis do mean and variance run?",
            "Keep that axis with size 1, so that the mean can be subtracted again, and divide the "
            "sum of squares by d_model, not by d_model - 1.",
            "(x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * w + b",
        ),
    ),
    "Embedding": Guide(
        steps=("Take row t of W_E for every token t.",),
        hints=(
            "A table look-up: no product of matrices is needed.",
            "A tensor can be indexed with a tensor of whole numbers; the result has the shape of "
            "the index, followed by the shape of a row.",
            "W_E[tokens]",
        ),
    ),
    "PositionalEmbedding": Guide(
        steps=(
            "Refuse more than n_ctx positions with a ValueError that says how many there are.",
            "Take the first seq rows of W_pos.",
            "Give the same rows to every row of the batch.",
        ),
        hints=(
            "The tokens at the positions do not matter here; only their number does.",
            "Position p gets row p, counted from 0; the result has a batch axis of full size.",
            'repeat(W_pos[:seq], "seq d_model -> batch seq d_model", batch=batch)',
        ),
    ),
    "MultiHeadAttention": Guide(
        steps=(
            "Queries, keys and values of every head: multiply by W_Q, W_K, W_V and add b_Q, b_K, "
            "b_V (hook_q, hook_k, hook_v).",
            "Scores: the dot product of every query with every key, divided by sqrt(d_head).",
            "Hide the future: where the key is later than the query, the score is -inf "
            "(hook_attn_scores).",
            "Pattern: a softmax over the keys (hook_pattern), then pattern_dropout.",
            "z: the values, weighted by the pattern and summed over the keys (hook_z).",
            "Multiply z by W_O, sum over heads, add b_O once, then output_dropout.",
        ),
        hints=(
            "Write down the shape after each step: [batch seq head d_head] for q, k, v and z, "
            "[batch head seq_q seq_k] for the scores and the pattern.",
            "The last axis of the scores belongs to the keys: it is the one that is masked above "
            "the diagonal, and the one the softmax runs over.",
            "softmax(q k^T / sqrt(d_head) + mask) v W_O + b_O, where the mask is -inf above the "
            "diagonal: torch.ones(seq, seq, dtype=torch.bool).triu(diagonal=1)",
        ),
    ),
    "MLP": Guide(
        steps=(
            "Multiply by W_in and add b_in (hook_pre).",
            "Apply gelu_tanh (hook_post).",
            "Multiply by W_out, add b_out, then output_dropout.",
        ),
        hints=(
            "Two linear maps with a nonlinearity between; every position is treated separately.",
            "The activation is gelu_tanh, given above; it follows the first bias.",
            "gelu_tanh(x W_in + b_in) W_out + b_out",
        ),
    ),
    "TransformerBlock": Guide(
        steps=(
            "Attention reads the residual stream (hook_resid_pre) through ln1 (hook_attn_out).",
            "Add its output to the stream (hook_resid_mid).",
            "The MLP reads that sum through ln2 (hook_mlp_out).",
            "Add its output to the sum (hook_resid_post).",
        ),
        hints=(
            "The stream itself is never normalised; only the parts' inputs are.",
            "The MLP reads the stream after attention has been added, and is added to that.",
            "mid = x + attn(ln1(x)); result = mid + mlp(ln2(mid))",
        ),
    ),
    "Unembedding": Guide(
        steps=("Multiply by W_U and add b_U.",),
        hints=(
            "One linear map, from d_model to d_vocab, at every position.",
            "There is no softmax here: the output of the map is the logits.",
            "x W_U + b_U",
        ),
    ),
    "Transformer": Guide(
        steps=(
            "Add the token embedding (hook_embed) and the position embedding (hook_pos_embed), "
            "then embed_dropout.",
            "Let the blocks work on it, one after the other.",
            "Apply ln_final.",
            "Unembed: with `unembed`, or, where that is None, with the transposed W_E.",
        ),
        hints=(
            "Each block reads what the one before it returned.",
            "There is one norm after the last block, and the tied unembedding has no bias.",
            "ln_final(blocks(embed(t) + pos_embed(t))) W_E^T",
        ),
    ),
    "next_token_loss": Guide(
        steps=(
            "Refuse, with a ValueError, tokens that are neither as many as the logits nor one "
            "more, and tokens without any target.",
            "The targets are all tokens but the first; the logits at p predict token p + 1.",
            "Leave out the last logits where they have no target.",
            "Take the mean cross-entropy over all targets of the batch.",
        ),
        hints=(
            "Which token should the logits at position 0 predict?",
            "F.cross_entropy takes logits [targets d_vocab] and targets [targets]: flatten batch "
            "and seq together, in the same order.",
            "F.cross_entropy(logits[:, : seq_tokens - 1].flatten(0, 1), tokens[:, 1:].flatten())",
        ),
    ),
    "sample": Guide(
        steps=(
            "Refuse, with a ValueError, a negative temperature, a top_k below 1, a top_p outside "
            "(0, 1].",
            "At temperature 0 return the most likely token of every row.",
            "Divide the logits by the temperature.",
            "top_k: give every token but the k most likely ones the logit -inf.",
            "top_p: of those, drop a token when the more likely ones add up to top_p already.",
            "Draw one token a row from the softmax of the remaining logits, with the generator.",
        ),
        hints=(
            "Sorting the logits first makes both cuts simple; remember which token each was.",
            "For top_p compare with the sum of the probabilities before a token, not with it "
            "included; so the token that crosses top_p stays, and the first one always does.",
            "keep where cumsum(p) - p < top_p, with p = softmax(sorted logits / temperature) after "
            "top_k; then torch.multinomial(p, 1, generator=generator), and back to the token",
        ),
    ),
    "generate": Guide(
        steps=(
            "Refuse, with a ValueError, an empty prompt or a negative max_new_tokens.",
            "Switch dropout off with model.eval(); leave the model as it was, whatever happens.",
            "For every new token: let the model read the last n_ctx tokens,",
            "draw the next token from the logits of the last position with `sample`,",
            "and append it to every row.",
        ),
        hints=(
            "The model reads all tokens so far, but at most the last n_ctx.",
            "Only the logits of the last position are about the next token; pass all of sample's "
            "arguments on, and put model.train(was_training) behind a `finally`.",
            "next = sample(model(tokens[:, -n_ctx:])[:, -1], ...); tokens = cat([tokens, next])",
        ),
    ),
    "learning_rate": Guide(
        steps=(
            "Refuse, with a ValueError, a negative peak, a fraction outside [0, 1], and numbers of "
            "steps that make no schedule.",
            "In the warm-up, rise linearly: step warmup_steps - 1 has the peak itself.",
            "After it, go down half a cosine, and reach final_fraction * peak at total_steps - 1.",
            "Stay there for every later step.",
        ),
        hints=(
            "Steps count from 0. What is the rate of step 0 when warmup_steps is 10?",
            "The cosine starts at the last step of the warm-up and ends at total_steps - 1; its "
            "progress is 0 at the first of these and 1 at the other.",
            "peak * (step + 1) / warmup_steps; then final + (peak - final) * (1 + cos(pi * "
            "progress)) / 2, with final = final_fraction * peak",
        ),
    ),
    "parameter_groups": Guide(
        steps=(
            "Go through the named parameters: those named W_... are matrices, the rest vectors.",
            "Return the matrices with weight_decay, then the vectors with a weight decay of 0.",
        ),
        hints=(
            "The number of axes does not tell: b_Q has two of them and is a bias all the same.",
            "Look at the last piece of the name: blocks.0.attn.W_Q is a matrix, ln_final.w is not.",
            '[{"params": matrices, "weight_decay": weight_decay}, '
            '{"params": vectors, "weight_decay": 0.0}]',
        ),
    ),
    "train_step": Guide(
        steps=(
            "Refuse, with a ValueError, an empty list of batches and a max_grad_norm that is not "
            "above 0.",
            "Count the targets of all micro-batches: seq of seq + 1 tokens in every row.",
            "Clear the old gradients.",
            "For every micro-batch: weigh its loss by its share of the targets and call backward; "
            "only the last one inside synchronised(model, last=True).",
            "Clip the gradients to max_grad_norm; the function that does it returns the norm.",
            "Raise a FloatingPointError when the loss or the norm is not finite.",
            "Let the optimiser step, and return StepResult(loss, grad_norm, tokens).",
        ),
        hints=(
            "Two micro-batches must give the update that one large batch would have given.",
            "A micro-batch with three quarters of the targets has three quarters of the say. "
            "Gradients add up by themselves unless they are cleared between two backwards.",
            "(loss(model, batch) * batch[:, 1:].numel() / tokens).backward() for each; then "
            "nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm); then optimizer.step()",
        ),
    ),
    "train": Guide(
        steps=(
            "For every list of micro-batches: set the rate of schedule(step) in every group of the "
            "optimiser, steps counted from 0.",
            "Switch to training mode and call train_step.",
            "Add up the targets, and yield a TrainRecord whose step counts from 1.",
        ),
        hints=(
            "This is a generator: it yields after each step, and prints nothing.",
            "The rate is set before the step that uses it, in all of optimizer.param_groups.",
            'group["lr"] = schedule(step); result = train_step(...); yield TrainRecord(step + 1, '
            "result.loss, result.grad_norm, rate, tokens so far)",
        ),
    ),
}
