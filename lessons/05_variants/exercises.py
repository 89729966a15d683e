"""Define the exercises of the lesson on variants: claims, known mistakes and hints."""

import math
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.observation import Observation
from gpt2_small.checker.claims.probes import draws
from gpt2_small.checker.claims.refusals import ending
from gpt2_small.checker.exercise_set import ExerciseSet, exercise_mistake
from gpt2_small.checker.learner.hints import Guide

BATCH, SEQ, HEADS, D_HEAD, D_MODEL, D_MLP = 2, 7, 3, 8, 12, 10
SIZES = ((50, 6), (3, 16), (9, 7), (1, 2))
EPS = 1e-3


def normal(seed: int, name: str, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random numbers whose mean is not 0."""
    drawn = torch.randn(shape, generator=draws(seed, name), dtype=torch.float64)
    return (drawn + 0.4).to(dtype)


# sinusoids


def waves(module: ModuleType, _seed: int) -> Observation:
    return {
        f"{n_ctx} positions of width {d_model}": module.sinusoids(n_ctx, d_model)
        for n_ctx, d_model in SIZES
    }


def published_waves(_reference: ModuleType, _seed: int) -> Observation:
    """The published formula, number by number, by Python's own sine and cosine."""

    def entry(position: int, feature: int, d_model: int) -> float:
        angle = position / 10_000 ** (2 * (feature // 2) / d_model)
        return math.cos(angle) if feature % 2 else math.sin(angle)

    return {
        f"{n_ctx} positions of width {d_model}": torch.tensor(
            [[entry(p, f, d_model) for f in range(d_model)] for p in range(n_ctx)]
        )
        for n_ctx, d_model in SIZES
    }


def wave_products(module: ModuleType, _seed: int) -> Observation:
    """Dot products of positions that are 3 apart."""
    table = module.sinusoids(20, 8)
    return {"dot products of positions 3 apart": (table[:-3] * table[3:]).sum(dim=1)}


def equal_products(_reference: ModuleType, _seed: int) -> Observation:
    product = sum(math.cos(3 / 10_000 ** (2 * pair / 8)) for pair in range(4))
    return {"dot products of positions 3 apart": torch.full((17,), product)}


# rotary


def vectors_of(seed: int, seq: int = SEQ, dtype: torch.dtype = torch.float64) -> Tensor:
    return normal(seed, "vectors", BATCH, seq, HEADS, D_HEAD, dtype=dtype)


def turned(module: ModuleType, seed: int) -> Observation:
    return {
        "the vectors": module.rotary(vectors_of(seed)),
        "the vectors of one position": module.rotary(vectors_of(seed, 1)),
    }


def turned_as_complex_numbers(_reference: ModuleType, seed: int) -> Observation:
    """Each pair as a complex number, times a number of length 1 (RoFormer, equation 12)."""
    vectors = vectors_of(seed)
    first, second = vectors[..., : D_HEAD // 2], vectors[..., D_HEAD // 2 :]
    angles = torch.tensor(
        [[p / 10_000 ** (2 * i / D_HEAD) for i in range(D_HEAD // 2)] for p in range(SEQ)],
        dtype=torch.float64,
    )
    turn = torch.polar(torch.ones_like(angles), angles)[:, None]
    found = torch.complex(first.contiguous(), second.contiguous()) * turn
    return {
        "the vectors": torch.cat([found.real, found.imag], dim=-1),
        "the vectors of one position": vectors_of(seed, 1),
    }


def far_turned(module: ModuleType, seed: int) -> Observation:
    """One vector at 60 positions, against one at the first: a function of the distance."""
    query, key = (normal(seed, name, 1, 1, 1, D_HEAD) for name in ("query", "key"))
    turned_query, turned_key = (
        module.rotary(each.expand(1, 60, 1, D_HEAD))[0, :, 0] for each in (query, key)
    )
    scores = turned_query @ turned_key.T
    return {
        "scores of neighbours": scores.diagonal(-1),
        "scores of positions 30 apart": scores.diagonal(-30),
    }


def lengths(module: ModuleType, seed: int) -> Observation:
    return {"the lengths of the vectors": module.rotary(vectors_of(seed)).norm(dim=-1)}


def same_lengths(_reference: ModuleType, seed: int) -> Observation:
    return {"the lengths of the vectors": vectors_of(seed).norm(dim=-1)}


def turned_in_float32(module: ModuleType, seed: int) -> Observation:
    return {"the vectors in float32": module.rotary(vectors_of(seed, dtype=torch.float32))}


def turned_gradient(module: ModuleType, seed: int) -> Observation:
    vectors = vectors_of(seed).requires_grad_()
    (module.rotary(vectors) * normal(seed, "weighting", *vectors.shape)).sum().backward()
    return {"the gradient of the vectors": vectors.grad}


def rotary_refusals(module: ModuleType, seed: int) -> Observation:
    odd = normal(seed, "odd", BATCH, SEQ, HEADS, 5)
    return {"an odd d_head": ending(partial(module.rotary, odd))}


def vectors_kept(module: ModuleType, seed: int) -> Observation:
    vectors = vectors_of(seed)
    module.rotary(vectors)
    same = torch.equal(vectors, vectors_of(seed))
    return {"the vectors afterwards": "as before" if same else "changed"}


# gelu


def points() -> Tensor:
    return torch.linspace(-6, 6, 97, dtype=torch.float64)


def activated(module: ModuleType, seed: int) -> Observation:
    return {
        "the values from -6 to 6": module.gelu(points()),
        "the values of a batch": module.gelu(normal(seed, "batch", 2, 3, 5)),
    }


def activated_by_torch(_reference: ModuleType, seed: int) -> Observation:
    return {
        "the values from -6 to 6": F.gelu(points(), approximate="tanh"),
        "the values of a batch": F.gelu(normal(seed, "batch", 2, 3, 5), approximate="tanh"),
    }


def activated_far(module: ModuleType, _seed: int) -> Observation:
    return {"the values of -1,000 and 1,000": module.gelu(torch.tensor([-1000.0, 1000.0]))}


def activated_far_by_torch(_reference: ModuleType, _seed: int) -> Observation:
    return {"the values of -1,000 and 1,000": torch.tensor([0.0, 1000.0])}


def slopes(module: ModuleType, _seed: int) -> Observation:
    pre = points().requires_grad_()
    module.gelu(pre).sum().backward()
    return {"the slopes from -6 to 6": pre.grad}


def slopes_by_torch(_reference: ModuleType, _seed: int) -> Observation:
    pre = points().requires_grad_()
    F.gelu(pre, approximate="tanh").sum().backward()
    return {"the slopes from -6 to 6": pre.grad}


def activated_in_float32(module: ModuleType, _seed: int) -> Observation:
    return {"the values in float32": module.gelu(points().float())}


def points_kept(module: ModuleType, _seed: int) -> Observation:
    pre = points()
    module.gelu(pre)
    same = torch.equal(pre, points())
    return {"the input afterwards": "as before" if same else "changed"}


# rms_norm


def residual_of(seed: int, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
    return scale * normal(seed, "residual", BATCH, SEQ, D_MODEL, dtype=dtype)


def gain_of(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return normal(seed, "gain", D_MODEL, dtype=dtype)


def normalised(module: ModuleType, seed: int) -> Observation:
    gain = gain_of(seed)
    return {
        "the output": module.rms_norm(residual_of(seed), gain, EPS),
        "the output of small vectors": module.rms_norm(residual_of(seed, 0.03), gain, EPS),
        "the output of zeros": module.rms_norm(residual_of(seed, 0.0), gain, EPS),
    }


def normalised_by_torch(_reference: ModuleType, seed: int) -> Observation:
    return {
        "the output": F.rms_norm(residual_of(seed), (D_MODEL,), gain_of(seed), EPS),
        "the output of small vectors": F.rms_norm(
            residual_of(seed, 0.03), (D_MODEL,), gain_of(seed), EPS
        ),
        "the output of zeros": torch.zeros(BATCH, SEQ, D_MODEL, dtype=torch.float64),
    }


def norm_gradients(module: ModuleType, seed: int) -> Observation:
    residual, gain = residual_of(seed).requires_grad_(), gain_of(seed).requires_grad_()
    weighting = normal(seed, "weighting", BATCH, SEQ, D_MODEL)
    (module.rms_norm(residual, gain, EPS) * weighting).sum().backward()
    zeros = torch.zeros_like
    return {
        "the gradient of the input": zeros(residual) if residual.grad is None else residual.grad,
        "the gradient of the gain": zeros(gain) if gain.grad is None else gain.grad,
    }


def normalised_in_float32(module: ModuleType, seed: int) -> Observation:
    given = residual_of(seed, dtype=torch.float32), gain_of(seed, torch.float32)
    return {"the output in float32": module.rms_norm(*given, EPS)}


def residual_kept(module: ModuleType, seed: int) -> Observation:
    residual = residual_of(seed)
    module.rms_norm(residual, gain_of(seed), EPS)
    same = torch.equal(residual, residual_of(seed))
    return {"the input afterwards": "as before" if same else "changed"}


# post_norm_block


def layer_of_torch(seed: int) -> nn.TransformerEncoderLayer:
    """torch's layer with its norms last, and random weights in all of its parts."""
    layer = nn.TransformerEncoderLayer(
        D_MODEL, HEADS, D_MLP, dropout=0.0, batch_first=True, dtype=torch.float64
    )
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            drawn = torch.randn(parameter.shape, generator=draws(seed, name), dtype=torch.float64)
            parameter.copy_(drawn / parameter.shape[-1] ** 0.5 + (parameter.dim() == 1) * 0.5)
    return layer


def parts_of(layer: nn.TransformerEncoderLayer) -> tuple[nn.Module | object, ...]:
    """The layer's attention, first norm, MLP and second norm, as functions of a stream."""

    def attn(residual: Tensor) -> Tensor:
        output: Tensor = layer.self_attn(residual, residual, residual, need_weights=False)[0]
        return output

    def mlp(residual: Tensor) -> Tensor:
        output: Tensor = layer.linear2(layer.linear1(residual).relu())
        return output

    return attn, layer.norm1, mlp, layer.norm2


def blocked(module: ModuleType, seed: int) -> Observation:
    parts = parts_of(layer_of_torch(seed))
    return {"the output": module.post_norm_block(residual_of(seed), *parts).detach()}


def blocked_by_torch(_reference: ModuleType, seed: int) -> Observation:
    return {"the output": layer_of_torch(seed)(residual_of(seed)).detach()}


def blocked_simply(module: ModuleType, _seed: int) -> Observation:
    """Parts that say by a digit that they have run: 2 x + 1, and so on."""
    parts = [
        lambda stream, factor=factor: factor * stream + factor for factor in (2.0, 3.0, 5.0, 7.0)
    ]
    return {"the output of simple parts": module.post_norm_block(torch.ones(1, 1, 1), *parts)}


def block_gradients(module: ModuleType, seed: int) -> Observation:
    layer, residual = layer_of_torch(seed), residual_of(seed).requires_grad_()
    module.post_norm_block(residual, *parts_of(layer)).square().sum().backward()
    seen = {"the gradient of the input": residual.grad}
    for name, parameter in layer.named_parameters():
        missing = parameter.grad is None
        seen[f"the gradient of {name}"] = torch.zeros(1) if missing else parameter.grad
    return seen


CLAIMS = {
    "sinusoids": (
        Claim("sinusoids", "It is the published formula", waves, also=(published_waves,),
              gate=True),
        Claim("sinusoids", "Dot products depend on the distance alone", wave_products,
              also=(equal_products,)),
    ),
    "rotary": (
        Claim("rotary", "It multiplies each pair, as a complex number, by one of length 1", turned,
              also=(turned_as_complex_numbers,), gate=True),
        Claim("rotary", "Scores depend on the distance alone", far_turned),
        Claim("rotary", "Vectors keep their lengths", lengths, also=(same_lengths,)),
        Claim("rotary", "The vectors get the right gradient", turned_gradient, group="gradient"),
        Claim("rotary", "It computes in the type of its input", turned_in_float32, group="dtypes"),
        Claim("rotary", "The vectors stay as they are", vectors_kept, group="inputs"),
        Claim("rotary", "An odd d_head is refused with ValueError", rotary_refusals,
              group="refusals"),
    ),
    "gelu": (
        Claim("gelu", "It is torch's GELU in its tanh form", activated, also=(activated_by_torch,),
              gate=True),
        Claim("gelu", "Large numbers do not overflow", activated_far,
              also=(activated_far_by_torch,)),
        Claim("gelu", "Its slope is that of torch's", slopes, also=(slopes_by_torch,),
              group="gradient"),
        Claim("gelu", "It computes in the type of its input", activated_in_float32, group="dtypes"),
        Claim("gelu", "The input stays as it is", points_kept, group="inputs"),
    ),
    "rms_norm": (
        Claim("rms_norm", "It is torch's rms_norm", normalised, also=(normalised_by_torch,),
              gate=True),
        Claim("rms_norm", "The input and the gain get the right gradients", norm_gradients,
              group="gradient"),
        Claim("rms_norm", "It computes in the type of its input", normalised_in_float32,
              group="dtypes"),
        Claim("rms_norm", "The input stays as it is", residual_kept, group="inputs"),
    ),
    "post_norm_block": (
        Claim("post_norm_block", "It is torch.nn.TransformerEncoderLayer with its norms last",
              blocked, also=(blocked_by_torch,), gate=True),
        Claim("post_norm_block", "Any functions can be its parts", blocked_simply),
        Claim("post_norm_block", "The input and all parts get the right gradients",
              block_gradients, group="gradient"),
    ),
}  # fmt: skip

GUIDES = {
    "sinusoids": Guide(
        steps=(
            "A rate for every pair of features: 10,000 ** (-2i / d_model).",
            "The angle of every position and pair: their product.",
            "Put the sine and the cosine of each angle side by side, sine first.",
        ),
        hints=(
            "How many different rates are there, and what is the first?",
            "torch.stack([sin, cos], dim=-1) puts them side by side; flatten makes one axis.",
            "(p[:, None] * 10_000.0 ** (-torch.arange(0, d_model, 2) / d_model)).sin()",
        ),
    ),
    "rotary": Guide(
        steps=(
            "Refuse an odd d_head with a ValueError that says it.",
            "A rate for every pair, and the angle of every position and pair.",
            "Split the features into first and second half; turn each pair by its angle.",
        ),
        hints=(
            "Which feature is the partner of feature 0?",
            "Angles are [seq 1 d_head/2], so that they broadcast over batch and heads.",
            "cat([first * cos - second * sin, first * sin + second * cos], dim=-1)",
        ),
    ),
    "gelu": Guide(
        steps=(
            "What the tanh is taken of: sqrt(2 / pi) times x plus 0.044715 times its cube.",
            "Half of x, times 1 plus that tanh.",
        ),
        hints=(
            "What is GELU of 0, of a large number, and of a large negative one?",
            "Take the formula of the docstring from the inside out.",
            "0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))",
        ),
    ),
    "rms_norm": Guide(
        steps=(
            "The mean of the squares over d_model, for every position.",
            "Divide by the root of that mean plus eps, and multiply by the gain.",
        ),
        hints=(
            "What does LayerNorm do that this norm leaves out?",
            "Keep the axis of the mean with size 1, so that it divides every feature.",
            "x / sqrt(mean(x^2) + eps) * gain",
        ),
    ),
    "post_norm_block": Guide(
        steps=(
            "Add attention's output to the stream, and normalise the sum with ln1.",
            "Add the MLP's output to that, and normalise the sum with ln2.",
        ),
        hints=(
            "What does attention read: the stream, or its norm?",
            "A norm is the last thing that happens to each of the two sums.",
            "mid = ln1(x + attn(x)); ln2(mid + mlp(mid))",
        ),
    ),
}


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

EXERCISES = ExerciseSet(
    name="variants",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
