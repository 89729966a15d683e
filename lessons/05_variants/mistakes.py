"""List the known mistakes in the exercises of the lesson on variants, as edits."""

from functools import partial

from gpt2_small.checker.exercise_set import exercise_mistake

from .guides import GUIDES

mistake = partial(exercise_mistake, GUIDES)

_RATES = "rates = 10_000.0 ** (-torch.arange(0, d_model, 2) / d_model)"

_ANGLES = "angles = torch.arange(n_ctx)[:, None] * rates"

_WAVES = (
    "return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(start_dim=1)[:, :d_model]"
)

_HEAD_RATES = "rates = 10_000.0 ** (-torch.arange(0, d_head, 2) / d_head)"

_HEAD_ANGLES = "angles = torch.arange(seq)[:, None, None] * rates"

_HALVES = "first, second = vectors.chunk(2, dim=-1)"

_TURNED = "return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)"

_INNER = "inner = math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)"

_GELU = "return 0.5 * pre * (1 + torch.tanh(inner))"

_MEAN_SQUARE = "mean_square = residual.square().mean(dim=-1, keepdim=True)"

_NORM = "return residual / (mean_square + eps).sqrt() * gain"

_MID = "resid_mid = ln1(residual + attn(residual))"

_POST = "return ln2(resid_mid + mlp(resid_mid))"

MISTAKES = {
    "sinusoids": (
        mistake("sinusoids", "halves", _WAVES,
                "return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :d_model]",
                "puts all sines first and all cosines last", "Which feature follows the first sine?"),
        mistake("sinusoids", "cosine-first", _WAVES,
                "return torch.stack([angles.cos(), angles.sin()], dim=-1).flatten(start_dim=1)"
                "[:, :d_model]",
                "puts the cosine before the sine", "What is feature 0 of position 0?"),
        mistake("sinusoids", "positions-from-one", _ANGLES,
                "angles = torch.arange(1, n_ctx + 1)[:, None] * rates",
                "counts positions from 1", "What is the angle of the first position?"),
        mistake("sinusoids", "rate-of-one-i", _RATES,
                "rates = 10_000.0 ** (-torch.arange((d_model + 1) // 2) / d_model)",
                "takes i / d_model instead of 2i / d_model", "What is the smallest rate?"),
        mistake("sinusoids", "rates-for-every-feature", _WAVES,
                "every = 10_000.0 ** (-torch.arange(d_model) / d_model)\n"
                "    angle = torch.arange(n_ctx)[:, None] * every\n"
                "    return torch.where(torch.arange(d_model) % 2 == 0, angle.sin(), angle.cos())",
                "gives the cosine another rate than its sine", "Which features share a rate?"),
        mistake("sinusoids", "rates-inverted", _RATES,
                "rates = 10_000.0 ** (torch.arange(0, d_model, 2) / d_model)",
                "lets the rates grow with the feature", "Which feature changes fastest?"),
        mistake("sinusoids", "base-1000", _RATES,
                "rates = 1_000.0 ** (-torch.arange(0, d_model, 2) / d_model)",
                "takes 1,000 for 10,000", "What is the base of the rates?"),
        mistake("sinusoids", "only-sines", _WAVES,
                "return torch.stack([angles.sin(), angles.sin()], dim=-1).flatten(start_dim=1)"
                "[:, :d_model]",
                "has sines where the cosines belong", "What is feature 1 of position 0?"),
        mistake("sinusoids", "to-the-end", _RATES,
                "rates = 10_000.0 ** (-torch.linspace(0, 1, (d_model + 1) // 2))",
                "spreads the rates so that the last is 1 / 10,000, which no feature has",
                "What is the smallest rate?"),
        mistake("sinusoids", "times-two-pi", _ANGLES,
                "angles = 2 * math.pi * torch.arange(n_ctx)[:, None] * rates",
                "multiplies the angles by 2 pi", "Is the rate an angle or a number of turns?"),
    ),
    "rotary": (
        mistake("rotary", "backwards", _TURNED,
                "return torch.cat([first * cos + second * sin, second * cos - first * sin], dim=-1)",
                "turns in the other direction", "Where does (1, 0) go by a small angle?"),
        mistake("rotary", "neighbours", _HALVES,
                "first, second = vectors[..., ::2], vectors[..., 1::2]",
                "pairs neighbours, as RoFormer does, but puts them back as halves",
                "Which feature is the partner of feature 0?"),
        mistake("rotary", "interleaved", _HALVES,
                "first, second = vectors[..., ::2], vectors[..., 1::2]",
                "pairs neighbours, as RoFormer and GPT-J do",
                "Which feature is the partner of feature 0?",
                also=((_TURNED,
                       "turned = [first * cos - second * sin, first * sin + second * cos]\n"
                       "    return torch.stack(turned, dim=-1).flatten(start_dim=-2)"),)),
        mistake("rotary", "positions-from-one", _HEAD_ANGLES,
                "angles = torch.arange(1, seq + 1)[:, None, None] * rates",
                "counts positions from 1", "What becomes of the first position?"),
        mistake("rotary", "positions-of-heads", _HEAD_ANGLES,
                "angles = torch.arange(vectors.shape[2])[:, None] * rates",
                "turns by the number of the head", "Which axis is the position?"),
        mistake("rotary", "rate-of-one-i", _HEAD_RATES,
                "rates = 10_000.0 ** (-torch.arange(d_head // 2) / d_head)",
                "takes i / d_head instead of 2i / d_head", "What is the smallest rate?"),
        mistake("rotary", "one-rate", _HEAD_ANGLES,
                "angles = torch.arange(seq)[:, None, None] * rates[:1]",
                "turns all pairs at the rate of the first", "How many rates are there?"),
        mistake("rotary", "base-1000", _HEAD_RATES,
                "rates = 1_000.0 ** (-torch.arange(0, d_head, 2) / d_head)",
                "takes 1,000 for 10,000", "What is the base of the rates?"),
        mistake("rotary", "second-not-turned", _TURNED,
                "return torch.cat([first * cos - second * sin, second], dim=-1)",
                "turns the first of each pair only", "Does a vector keep its length?"),
        mistake("rotary", "halves-exchanged", _TURNED,
                "return torch.cat([first * sin + second * cos, first * cos - second * sin], dim=-1)",
                "puts the second half first", "What becomes of the first position?"),
        mistake("rotary", "no-sine", _TURNED,
                "return torch.cat([first * cos, second * cos], dim=-1)",
                "shrinks the features instead of turning them", "Does a vector keep its length?"),
        mistake("rotary", "no-refusal", "if d_head % 2:", "if d_head < 0:",
                "does not refuse an odd d_head with a ValueError",
                "What is the partner of the last of five features?"),
        mistake("rotary", "detached", _TURNED,
                "return torch.cat([first * cos - second.detach() * sin, "
                "first.detach() * sin + second * cos], dim=-1)",
                "lets only half of the gradient pass", "What does detach do?"),
    ),
    "gelu": (
        mistake("gelu", "exact", _GELU,
                "return 0.5 * pre * (1 + torch.erf(pre / math.sqrt(2)))",
                "is the exact GELU, not its tanh form", "Which of the two has GPT-2?"),
        mistake("gelu", "sigmoid", _GELU, "return pre * torch.sigmoid(1.702 * pre)",
                "is the sigmoid form of GELU", "Which of the forms has GPT-2?"),
        mistake("gelu", "half-missing", _GELU, "return pre * (1 + torch.tanh(inner))",
                "is twice as large", "What is GELU of a large number?"),
        mistake("gelu", "one-missing", _GELU, "return 0.5 * pre * torch.tanh(inner)",
                "leaves the 1 beside the tanh out", "What is GELU of a large negative number?"),
        mistake("gelu", "x-missing", _GELU, "return 0.5 * (1 + torch.tanh(inner))",
                "gives the share without multiplying it by x", "What is GELU of a large number?"),
        mistake("gelu", "constant", _INNER,
                "inner = math.sqrt(2 / math.pi) * (pre + 0.44715 * pre**3)",
                "has 0.44715 for 0.044715", "How many zeros has the constant?"),
        mistake("gelu", "square", _INNER,
                "inner = math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**2)",
                "squares where it should cube", "What is the power in the formula?"),
        mistake("gelu", "cube-missing", _INNER, "inner = math.sqrt(2 / math.pi) * pre",
                "leaves the cube out", "What is added to x inside the tanh?"),
        mistake("gelu", "root-missing", _INNER, "inner = 2 / math.pi * (pre + 0.044715 * pre**3)",
                "leaves the root of 2 / pi out", "What is the first factor inside the tanh?"),
        mistake("gelu", "root-inverted", _INNER,
                "inner = math.sqrt(math.pi / 2) * (pre + 0.044715 * pre**3)",
                "takes the root of pi / 2", "Is the first factor above or below 1?"),
        mistake("gelu", "relu", _GELU, "return pre.clamp(min=0)", "is ReLU",
                "What is GELU of -1?"),
    ),
    "rms_norm": (
        mistake("rms_norm", "centred", _MEAN_SQUARE,
                "residual = residual - residual.mean(dim=-1, keepdim=True)\n"
                "    mean_square = residual.square().mean(dim=-1, keepdim=True)",
                "subtracts the mean, as LayerNorm does", "What becomes of a constant vector?"),
        mistake("rms_norm", "by-the-deviation", _MEAN_SQUARE,
                "mean_square = residual.var(dim=-1, keepdim=True, correction=0)",
                "divides by the standard deviation without subtracting the mean",
                "What is the mean square of a constant vector?"),
        mistake("rms_norm", "sum-of-squares", _MEAN_SQUARE,
                "mean_square = residual.square().sum(dim=-1, keepdim=True)",
                "divides by the length of the vector", "What is the mean of four ones?"),
        mistake("rms_norm", "over-positions", _MEAN_SQUARE,
                "mean_square = residual.square().mean(dim=1, keepdim=True)",
                "takes the mean over the positions", "Does a position know of the others?"),
        mistake("rms_norm", "over-everything", _MEAN_SQUARE,
                "mean_square = residual.square().mean()",
                "takes one mean for all positions", "Does a position know of the others?"),
        mistake("rms_norm", "mean-of-sizes", _MEAN_SQUARE,
                "mean_square = residual.abs().mean(dim=-1, keepdim=True).square()",
                "divides by the mean of the absolute values", "Which comes first: square or mean?"),
        mistake("rms_norm", "eps-outside", _NORM, "return residual / (mean_square.sqrt() + eps) * gain",
                "adds eps after the root", "Where is eps added?"),
        mistake("rms_norm", "without-eps", _NORM,
                "return residual / mean_square.clamp(min=1e-30).sqrt() * gain",
                "leaves eps out", "Where is eps added?"),
        mistake("rms_norm", "without-root", _NORM, "return residual / (mean_square + eps) * gain",
                "leaves the root out", "What is the mean square of the output?"),
        mistake("rms_norm", "without-gain", _NORM, "return residual / (mean_square + eps).sqrt()",
                "does not apply the gain", "What is the gain for?"),
        mistake("rms_norm", "one-plus-gain", _NORM,
                "return residual / (mean_square + eps).sqrt() * (1 + gain)",
                "multiplies by 1 + gain, as Gemma does", "What does a gain of 1 do?"),
        mistake("rms_norm", "scale-detached", _NORM,
                "return residual / (mean_square.detach() + eps).sqrt() * gain",
                "lets no gradient pass through the scale", "What does detach do?"),
    ),
    "post_norm_block": (
        mistake("post_norm_block", "pre-norm", _MID, "resid_mid = residual + attn(ln1(residual))",
                "normalises before the parts, as GPT-2 does",
                "What did GPT-2 move?",
                also=((_POST, "return resid_mid + mlp(ln2(resid_mid))"),)),
        mistake("post_norm_block", "without-attention-residual", _MID,
                "resid_mid = ln1(attn(residual))",
                "does not add the stream to attention's output", "What is normalised first?"),
        mistake("post_norm_block", "without-mlp-residual", _POST, "return ln2(mlp(resid_mid))",
                "does not add the stream to the MLP's output", "What is normalised last?"),
        mistake("post_norm_block", "norm-inside-the-sum", _MID,
                "resid_mid = residual + ln1(attn(residual))",
                "normalises what the parts give, and adds that",
                "What is normalised: the part's output, or the sum?",
                also=((_POST, "return resid_mid + ln2(mlp(resid_mid))"),)),
        mistake("post_norm_block", "norms-exchanged", _MID, "resid_mid = ln2(residual + attn(residual))",
                "exchanges the two norms", "Which norm follows attention?",
                also=((_POST, "return ln1(resid_mid + mlp(resid_mid))"),)),
        mistake("post_norm_block", "ln1-twice", _POST, "return ln1(resid_mid + mlp(resid_mid))",
                "uses ln1 for both sums", "What is ln2 for?"),
        mistake("post_norm_block", "without-last-norm", _POST, "return resid_mid + mlp(resid_mid)",
                "does not normalise the second sum", "What happens last?"),
        mistake("post_norm_block", "without-first-norm", _MID,
                "resid_mid = residual + attn(residual)",
                "does not normalise the first sum", "What does the MLP read?"),
        mistake("post_norm_block", "parallel", _POST, "return ln2(resid_mid + mlp(residual))",
                "lets the MLP read what came in", "Does the MLP know what attention found?"),
        mistake("post_norm_block", "mlp-first", _MID, "resid_mid = ln1(residual + mlp(residual))",
                "runs the MLP first, and attention second", "Which of the two comes first?",
                also=((_POST, "return ln2(resid_mid + attn(resid_mid))"),)),
        mistake("post_norm_block", "old-stream", _POST, "return ln2(residual + mlp(resid_mid))",
                "adds the MLP's output to what came in", "To what is the MLP's output added?"),
    ),
}  # fmt: skip
