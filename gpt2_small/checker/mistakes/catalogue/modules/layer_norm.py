"""List the known mistakes in LayerNorm."""

from gpt2_small.checker.mistakes.catalogue.modules.families import plain_tensors
from gpt2_small.checker.mistakes.mistake import Mistake

PART = "LayerNorm"
_EPS = "self.eps = config.layer_norm_eps"
_GAIN = "self.w = nn.Parameter(torch.ones(config.d_model))"
_ZEROS = "self.b = nn.Parameter(torch.zeros(config.d_model))"
_CENTERED = 'centered = residual - reduce(residual, "batch seq d_model -> batch seq 1", "mean")'
_VARIANCE = 'variance = reduce(centered.square(), "batch seq d_model -> batch seq 1", "mean")'
_SCALE = "scale = self.hook_scale((variance + self.eps).sqrt())"
_NORMALIZED = "normalized = self.hook_normalized(centered / scale)"
_RESULT = "return normalized * self.w + self.b"

_EPSILON_HINTS = (
    "Feed it numbers of size 0.0003, or another layer_norm_eps: there epsilon decides.",
    "Epsilon is config.layer_norm_eps, and it is added to the variance.",
    "scale = sqrt(variance + config.layer_norm_eps)",
)
_AXES_HINTS = (
    "Does the output of a position depend on other positions or rows? It must not.",
    "Mean and variance are over the last axis, d_model, alone.",
    "mean = x.mean(dim=-1, keepdim=True)",
)
_SPREAD_HINTS = (
    "Before gain and bias every position should have mean 0 and variance 1. Has it?",
    "Centre first; the divisor is the root of the mean squared deviation.",
    "normalized = (x - mean) / sqrt(mean((x - mean)^2) + eps)",
)
_AFFINE_HINTS = (
    "Set w and b to something other than 1 and 0, and look again.",
    "First the normalized numbers are multiplied by the gain, then the bias is added.",
    "output = normalized * w + b",
)
_FRESH_HINTS = (
    "What does a fresh LayerNorm do? It should leave normalized numbers as they are.",
    "The gain starts at 1 and the bias at 0, one number for each feature.",
    "w = Parameter(torch.ones(d_model)); b = Parameter(torch.zeros(d_model))",
)
_TAPS_HINTS = (
    "The output is right; an activation on the way is not.",
    "hook_scale is the divisor; hook_normalized stands before gain and bias.",
    "normalized = hook_normalized(centered / hook_scale(sqrt(variance + eps)))",
)


def _rooted_first(name: str, scale: str) -> Mistake:
    """The root of the sum of squares divided by the width, in one of the usual forms."""
    return Mistake(
        id=f"layer-norm-{name}",
        component=PART,
        old=_SCALE,
        new=(
            "squares = centered.square().sum(dim=-1, keepdim=True)\n"
            "        width = residual.shape[-1]\n"
            f"        scale = self.hook_scale({scale})"
        ),
        sentence=(
            "takes the root of the sum of squares, and divides afterwards: the sum has to be "
            "divided by d_model before the root is taken"
        ),
        hints=_SPREAD_HINTS,
    )


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
        id="layer-norm-std-and-1e-6",
        component=PART,
        old=_SCALE,
        new="scale = self.hook_scale(residual.std(dim=-1, keepdim=True) + 1e-6)",
        sentence=(
            "divides by torch's std plus 1e-6: with d_model - 1 for d_model, and an epsilon of its "
            "own outside the square root"
        ),
        hints=(
            "By how many numbers is the sum of squares divided, and what is added to what?",
            "std divides by d_model - 1; epsilon, config.layer_norm_eps, belongs to the variance.",
            "scale = sqrt(x.var(dim=-1, correction=0, keepdim=True) + config.layer_norm_eps)",
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
        id="layer-norm-gain-and-bias-swapped",
        component=PART,
        old=_RESULT,
        new="return normalized * self.b + self.w",
        sentence="multiplies by the bias b and adds the gain w",
        hints=_AFFINE_HINTS,
    ),
    Mistake(
        id="layer-norm-gain-for-bias",
        component=PART,
        old=_RESULT,
        new="return normalized * self.w + self.w",
        sentence="adds the gain w instead of the bias b",
        hints=_AFFINE_HINTS,
    ),
    Mistake(
        id="layer-norm-mean-not-squared",
        component=PART,
        old=_VARIANCE,
        new=(
            'mean = reduce(residual, "batch seq d_model -> batch seq 1", "mean")\n'
            "        variance = reduce(residual.square(), "
            '"batch seq d_model -> batch seq 1", "mean") - mean'
        ),
        sentence="subtracts the mean itself, not its square, from the mean square",
        hints=_SPREAD_HINTS,
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
    Mistake(
        id="layer-norm-epsilon-1e-6",
        component=PART,
        old=_EPS,
        new="self.eps = 1e-6",
        sentence="uses an epsilon of 1e-6 whatever the configuration says",
        hints=_EPSILON_HINTS,
    ),
    Mistake(
        id="layer-norm-epsilon-1e-12",
        component=PART,
        old=_EPS,
        new="self.eps = 1e-12",
        sentence="uses an epsilon of 1e-12 whatever the configuration says",
        hints=_EPSILON_HINTS,
    ),
    Mistake(
        id="layer-norm-epsilon-1e-5-fixed",
        component=PART,
        old=_EPS,
        new="self.eps = 1e-5",
        sentence="always uses an epsilon of 1e-5, GPT-2's, instead of the configuration's",
        hints=_EPSILON_HINTS,
    ),
    Mistake(
        id="layer-norm-epsilon-squared",
        component=PART,
        old=_SCALE,
        new="scale = self.hook_scale((variance + self.eps**2).sqrt())",
        sentence="adds the square of epsilon to the variance",
        hints=_EPSILON_HINTS,
    ),
    Mistake(
        id="layer-norm-epsilon-as-floor",
        component=PART,
        old=_SCALE,
        new="scale = self.hook_scale(variance.clamp(min=self.eps).sqrt())",
        sentence="takes epsilon for the least variance instead of adding it",
        hints=_EPSILON_HINTS,
    ),
    Mistake(
        id="layer-norm-epsilon-subtracted",
        component=PART,
        old=_SCALE,
        new="scale = self.hook_scale((variance - self.eps).abs().sqrt())",
        sentence="subtracts epsilon from the variance instead of adding it",
        hints=_EPSILON_HINTS,
    ),
    Mistake(
        id="layer-norm-mean-kept",
        component=PART,
        old=_NORMALIZED,
        new="normalized = self.hook_normalized(residual / scale)",
        sentence="divides by the right scale but does not subtract the mean",
        hints=_SPREAD_HINTS,
    ),
    Mistake(
        id="layer-norm-variance-around-zero",
        component=PART,
        old=_VARIANCE,
        new=('variance = reduce(residual.square(), "batch seq d_model -> batch seq 1", "mean")'),
        sentence=(
            "takes the mean square of its input for the variance, before the mean is removed"
        ),
        hints=_SPREAD_HINTS,
    ),
    Mistake(
        id="layer-norm-sum-of-squares",
        component=PART,
        old=_VARIANCE,
        new="variance = centered.square().sum(dim=-1, keepdim=True)",
        sentence=(
            "divides by the length of the centred vector: the squares are summed, not averaged"
        ),
        hints=_SPREAD_HINTS,
    ),
    Mistake(
        id="layer-norm-absolute-deviation",
        component=PART,
        old=_SCALE,
        new=("scale = self.hook_scale(centered.abs().mean(dim=-1, keepdim=True) + self.eps)"),
        sentence="divides by the mean absolute deviation instead of the standard deviation",
        hints=_SPREAD_HINTS,
    ),
    Mistake(
        id="layer-norm-largest-deviation",
        component=PART,
        old=_SCALE,
        new=("scale = self.hook_scale(centered.abs().amax(dim=-1, keepdim=True) + self.eps)"),
        sentence="divides by the largest deviation instead of the standard deviation",
        hints=_SPREAD_HINTS,
    ),
    Mistake(
        id="layer-norm-only-centered",
        component=PART,
        old=_NORMALIZED,
        new="normalized = self.hook_normalized(centered)",
        sentence="subtracts the mean but does not divide by the standard deviation",
        hints=_SPREAD_HINTS,
    ),
    Mistake(
        id="layer-norm-median",
        component=PART,
        old=_CENTERED,
        new="centered = residual - residual.median(dim=-1, keepdim=True).values",
        sentence="subtracts the median instead of the mean",
        hints=_SPREAD_HINTS,
    ),
    Mistake(
        id="layer-norm-gain-unused",
        component=PART,
        old=_RESULT,
        new="return normalized + self.b",
        sentence="does not multiply by the gain w",
        hints=_AFFINE_HINTS,
    ),
    Mistake(
        id="layer-norm-gain-and-bias-unused",
        component=PART,
        old=_RESULT,
        new="return normalized",
        sentence="uses neither the gain w nor the bias b",
        hints=_AFFINE_HINTS,
    ),
    Mistake(
        id="layer-norm-bias-before-gain",
        component=PART,
        old=_RESULT,
        new="return (normalized + self.b) * self.w",
        sentence="adds the bias before it multiplies by the gain",
        hints=_AFFINE_HINTS,
    ),
    Mistake(
        id="layer-norm-bias-subtracted",
        component=PART,
        old=_RESULT,
        new="return normalized * self.w - self.b",
        sentence="subtracts the bias instead of adding it",
        hints=_AFFINE_HINTS,
    ),
    Mistake(
        id="layer-norm-statistics-over-batch-and-seq",
        component=PART,
        old=_CENTERED,
        new="centered = residual - residual.mean(dim=(0, 1), keepdim=True)",
        also=((_VARIANCE, "variance = centered.square().mean(dim=(0, 1), keepdim=True)"),),
        sentence="takes mean and variance over batch and positions, as BatchNorm does",
        hints=_AXES_HINTS,
    ),
    Mistake(
        id="layer-norm-statistics-over-everything",
        component=PART,
        old=_CENTERED,
        new="centered = residual - residual.mean()",
        also=((_VARIANCE, "variance = centered.square().mean()"),),
        sentence="takes one mean and one variance over the whole tensor",
        hints=_AXES_HINTS,
    ),
    Mistake(
        id="layer-norm-statistics-over-the-row",
        component=PART,
        old=_CENTERED,
        new="centered = residual - residual.mean(dim=(1, 2), keepdim=True)",
        also=((_VARIANCE, "variance = centered.square().mean(dim=(1, 2), keepdim=True)"),),
        sentence="takes mean and variance over positions and features of a row together",
        hints=_AXES_HINTS,
    ),
    Mistake(
        id="layer-norm-variance-over-seq",
        component=PART,
        old=_VARIANCE,
        new="variance = centered.square().mean(dim=1, keepdim=True)",
        sentence="takes the mean over d_model but the variance over the positions",
        hints=_AXES_HINTS,
    ),
    Mistake(
        id="layer-norm-mean-over-seq",
        component=PART,
        old='centered = residual - reduce(residual, "batch seq d_model -> batch seq 1", "mean")',
        new="centered = residual - residual.mean(dim=1, keepdim=True)",
        sentence="subtracts the mean over the positions instead of the one over d_model",
        hints=_AXES_HINTS,
    ),
    Mistake(
        id="layer-norm-gain-starts-at-zero",
        component=PART,
        old=_GAIN,
        new="self.w = nn.Parameter(torch.zeros(config.d_model))",
        sentence="starts with a gain of 0, so that a fresh model gives nothing",
        hints=_FRESH_HINTS,
    ),
    Mistake(
        id="layer-norm-gain-random",
        component=PART,
        old=_GAIN,
        new="self.w = nn.Parameter(torch.randn(config.d_model))",
        sentence="draws its gain at random instead of starting at 1",
        hints=_FRESH_HINTS,
    ),
    Mistake(
        id="layer-norm-bias-starts-at-one",
        component=PART,
        old="self.b = nn.Parameter(torch.zeros(config.d_model))",
        new="self.b = nn.Parameter(torch.ones(config.d_model))",
        sentence="starts with a bias of 1",
        hints=_FRESH_HINTS,
    ),
    Mistake(
        id="layer-norm-one-gain-for-all",
        component=PART,
        old=_GAIN,
        new="self.w = nn.Parameter(torch.ones(1))",
        sentence="has one gain for all features",
        hints=_FRESH_HINTS,
    ),
    Mistake(
        id="layer-norm-other-names",
        component=PART,
        old=_GAIN,
        new="self.gamma = nn.Parameter(torch.ones(config.d_model))",
        also=((_RESULT, "return normalized * self.gamma + self.b"),),
        sentence="calls its gain other than w, so that GPT-2's weights do not load",
        hints=(
            "Print the names of your parameters.",
            "The contract calls the gain w and the bias b.",
            "self.w = nn.Parameter(torch.ones(config.d_model))",
        ),
    ),
    Mistake(
        id="layer-norm-gain-frozen",
        component=PART,
        old=_GAIN,
        new="self.w = torch.ones(config.d_model)",
        sentence="keeps its gain in a plain tensor, so that it is not a parameter",
        hints=(
            "List its parameters. Are there two?",
            "What is learned is an nn.Parameter.",
            "self.w = nn.Parameter(torch.ones(config.d_model))",
        ),
    ),
    Mistake(
        id="layer-norm-scale-detached",
        component=PART,
        old=_SCALE,
        new="scale = self.hook_scale((variance + self.eps).sqrt().detach())",
        sentence="lets no gradient through the standard deviation",
        hints=(
            "The output is right. Is the gradient of the input?",
            "Mean and variance depend on the input too; nothing is detached.",
            "scale = sqrt(variance + eps), without detach, .data or no_grad",
        ),
    ),
    Mistake(
        id="layer-norm-mean-detached",
        component=PART,
        old=_CENTERED,
        new=(
            'centered = residual - reduce(residual, "batch seq d_model -> batch seq '
            '1", "mean").detach()'
        ),
        sentence="lets no gradient through the mean",
        hints=(
            "The output is right. Is the gradient of the input?",
            "Mean and variance depend on the input too; nothing is detached.",
            "centered = x - x.mean(dim=-1, keepdim=True), without detach, .data or no_grad",
        ),
    ),
    Mistake(
        id="layer-norm-tap-normalized-after-gain",
        component=PART,
        old=_NORMALIZED,
        new="normalized = self.hook_normalized(centered / scale * self.w)",
        also=((_RESULT, "return normalized + self.b"),),
        sentence="shows the numbers after the gain at hook_normalized",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="layer-norm-tap-scale-of-variance",
        component=PART,
        old=_SCALE,
        new="scale = (self.hook_scale(variance) + self.eps).sqrt()",
        sentence="shows the variance at hook_scale instead of the divisor",
        hints=_TAPS_HINTS,
    ),
    Mistake(
        id="layer-norm-by-torch",
        component=PART,
        old=_RESULT,
        new=("return F.layer_norm(residual, residual.shape[-1:], self.w, self.b, self.eps)"),
        sentence="is torch's own layer_norm",
        equivalent=True,
    ),
    Mistake(
        id="layer-norm-reciprocal-root",
        component=PART,
        old=_NORMALIZED,
        new=("normalized = self.hook_normalized(centered * torch.rsqrt(variance + self.eps))"),
        sentence="multiplies by the reciprocal square root",
        equivalent=True,
    ),
    Mistake(
        id="layer-norm-population-variance",
        component=PART,
        old=_VARIANCE,
        new="variance = residual.var(dim=-1, correction=0, keepdim=True)",
        sentence="takes torch's variance with correction=0",
        equivalent=True,
    ),
    Mistake(
        id="layer-norm-inverse-affine",
        component=PART,
        old=_RESULT,
        new="return (normalized - self.b) / self.w",
        sentence="subtracts the bias and divides by the gain",
        hints=_AFFINE_HINTS,
    ),
    Mistake(
        id="layer-norm-variance-over-everything",
        component=PART,
        old=_VARIANCE,
        new="variance = centered.square().mean()",
        sentence="takes the mean over d_model but the variance over everything",
        hints=_AXES_HINTS,
    ),
    Mistake(
        id="layer-norm-variance-over-batch",
        component=PART,
        old=_VARIANCE,
        new="variance = centered.square().mean(dim=0, keepdim=True)",
        sentence="takes the mean over d_model but the variance over the rows of the batch",
        hints=_AXES_HINTS,
    ),
    Mistake(
        id="layer-norm-statistics-over-seq-unbiased",
        component=PART,
        old=_CENTERED,
        new="centered = residual - residual.mean(dim=1, keepdim=True)",
        also=((_VARIANCE, "variance = residual.var(dim=1, keepdim=True)"),),
        sentence=(
            "takes mean and variance over the positions instead of over "
            "d_model, and divides by seq - 1"
        ),
        hints=_AXES_HINTS,
    ),
    Mistake(
        id="layer-norm-scale-not-inverted",
        component=PART,
        old=_NORMALIZED,
        new="normalized = self.hook_normalized(centered * scale)",
        sentence="multiplies by the scale instead of dividing",
        hints=_SPREAD_HINTS,
    ),
    Mistake(
        id="layer-norm-divides-by-variance-and-epsilon",
        component=PART,
        old=_SCALE,
        new="scale = self.hook_scale(variance.sqrt().sqrt() + self.eps)",
        sentence="takes the square root of the variance twice",
        hints=_SPREAD_HINTS,
    ),
    _rooted_first("root-before-division", "squares.sqrt() / width + self.eps"),
    _rooted_first("root-before-division-no-epsilon", "squares.sqrt() / width"),
    _rooted_first("root-before-division-epsilon-inside", "(squares + self.eps).sqrt() / width"),
    _rooted_first("root-before-division-n-minus-one", "squares.sqrt() / (width - 1)"),
    plain_tensors(
        PART,
        "layer-norm-gain-and-bias",
        "its gain and bias",
        {_GAIN: "torch.ones(config.d_model)", _ZEROS: "torch.zeros(config.d_model)"},
    ),
]
