"""What goes wrong in LayerNorm."""

from gpt2_small.check.mistake import Mistake

PART = "LayerNorm"
_VARIANCE = 'variance = reduce(centered.square(), "batch seq d_model -> batch seq 1", "mean")'
_SCALE = "scale = self.hook_scale((variance + self.eps).sqrt())"
_RESULT = "return normalized * self.w + self.b"

MISTAKES = [
    Mistake(
        id="layer-norm-unbiased-variance",
        component=PART,
        old=_VARIANCE,
        new="variance = residual.var(dim=-1, keepdim=True)",
        sentence="divides the squared deviations by d_model - 1 instead of d_model",
        hints=(
            "By how many numbers is the sum of squares divided?",
            "The variance here is a plain mean over d_model; torch's var and std do not take it "
            "unless told so.",
            "variance = x.var(dim=-1, correction=0, keepdim=True)",
        ),
    ),
    Mistake(
        id="layer-norm-epsilon-outside",
        component=PART,
        old=_SCALE,
        new="scale = self.hook_scale(variance.sqrt() + self.eps)",
        sentence="adds epsilon to the standard deviation, outside the square root",
        hints=(
            "Feed it numbers of size 0.0003: there epsilon decides.",
            "Epsilon belongs to the variance, before the square root is taken.",
            "scale = sqrt(variance + eps)",
        ),
    ),
    Mistake(
        id="layer-norm-no-epsilon",
        component=PART,
        old=_SCALE,
        new="scale = self.hook_scale(variance.sqrt())",
        sentence="uses no epsilon, so that a row of equal numbers gives NaN",
        hints=(
            "What happens to a row whose numbers are all equal?",
            "config.layer_norm_eps keeps the divisor above 0.",
            "scale = sqrt(variance + eps)",
        ),
    ),
    Mistake(
        id="layer-norm-no-square-root",
        component=PART,
        old=_SCALE,
        new="scale = self.hook_scale(variance + self.eps)",
        sentence="divides by the variance instead of its square root",
        hints=(
            "What is the variance of your output? It should be 1 before gain and bias.",
            "The divisor is a standard deviation.",
            "scale = sqrt(variance + eps)",
        ),
    ),
    Mistake(
        id="layer-norm-rms-norm",
        component=PART,
        old=_VARIANCE,
        new='variance = reduce(residual.square(), "batch seq d_model -> batch seq 1", "mean")',
        also=(("centered / scale", "residual / scale"),),
        sentence="does not remove the mean: that is RMSNorm",
        hints=(
            "What is the mean of your output, before gain and bias?",
            "Centre first; the variance is that of the centred numbers.",
            "normalized = (x - mean) / sqrt(mean((x - mean)^2) + eps)",
        ),
    ),
    Mistake(
        id="layer-norm-bias-unused",
        component=PART,
        old=_RESULT,
        new="return normalized * self.w",
        sentence="does not add the bias b",
        hints=(
            "A fresh bias is 0, so you do not see it; look at its gradient.",
            "There are two parameters, and both act on the normalized numbers.",
            "output = normalized * w + b",
        ),
    ),
    Mistake(
        id="layer-norm-gain-plus-one",
        component=PART,
        old=_RESULT,
        new="return normalized * (1 + self.w) + self.b",
        sentence="multiplies by 1 + w instead of w",
        hints=(
            "What does a gain of 1 do to the normalized numbers?",
            "w is the gain itself; it starts at 1.",
            "output = normalized * w + b",
        ),
    ),
    Mistake(
        id="layer-norm-statistics-over-seq",
        component=PART,
        old='centered = residual - reduce(residual, "batch seq d_model -> batch seq 1", "mean")',
        new="centered = residual - residual.mean(dim=1, keepdim=True)",
        also=((_VARIANCE, "variance = centered.square().mean(dim=1, keepdim=True)"),),
        sentence="takes mean and variance over the positions instead of over d_model",
        hints=(
            "Does the output of a position depend on other positions? It must not.",
            "Mean and variance are over the last axis.",
            "mean = x.mean(dim=-1, keepdim=True)",
        ),
    ),
    Mistake(
        id="layer-norm-in-place",
        component=PART,
        old="normalized = self.hook_normalized(centered / scale)",
        new="normalized = self.hook_normalized(residual.data.copy_(centered / scale))",
        sentence="changes its input in place",
        hints=(
            "Print the input before and after the call.",
            "The residual stream is still needed by whoever passed it in.",
            "Use x = x - mean, which makes a new tensor, not x -= mean",
        ),
    ),
]
