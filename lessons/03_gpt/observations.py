"""Observe the functions of the lesson from one head to GPT, and compute expected results."""

from collections.abc import Callable
from functools import partial
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt2_small.checker.claims import Observe
from gpt2_small.checker.claims.judging.stored import stored_input
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.probes import draws, random_parameter
from gpt2_small.checker.claims.observing.refusals import ending

BATCH, SEQ, HEADS, D_HEAD, D_MODEL, D_MLP = 2, 7, 3, 4, 12, 10

N_LAYERS, N_CTX, D_VOCAB = 3, 9, 11

# Keeps float32's rounding of b_K's gradient, exactly 0, to an eighth of the tolerance.
LOSS_WEIGHT = 1 / 16

SHAPES = {
    "multi_head": {
        "W_Q": (HEADS, D_MODEL, D_HEAD),
        "W_K": (HEADS, D_MODEL, D_HEAD),
        "W_V": (HEADS, D_MODEL, D_HEAD),
        "b_Q": (HEADS, D_HEAD),
        "b_K": (HEADS, D_HEAD),
        "b_V": (HEADS, D_HEAD),
        "W_O": (HEADS, D_HEAD, D_MODEL),
        "b_O": (D_MODEL,),
    },
    "mlp": {
        "W_in": (D_MODEL, D_MLP),
        "b_in": (D_MLP,),
        "W_out": (D_MLP, D_MODEL),
        "b_out": (D_MODEL,),
    },
}

NORM = {"w": (D_MODEL,), "b": (D_MODEL,)}

PARTS_OF_A_BLOCK = {"ln1": NORM, "attn": SHAPES["multi_head"], "ln2": NORM, "mlp": SHAPES["mlp"]}

SHAPES["block"] = {
    f"{part}.{name}": shape
    for part, shapes in PARTS_OF_A_BLOCK.items()
    for name, shape in shapes.items()
}

SHAPES["gpt"] = {
    "embed.W_E": (D_VOCAB, D_MODEL),
    "pos_embed.W_pos": (N_CTX, D_MODEL),
    **{
        f"blocks.{number}.{name}": shape
        for number in range(N_LAYERS)
        for name, shape in SHAPES["block"].items()
    },
    **{f"ln_final.{name}": shape for name, shape in NORM.items()},
}


def weights_of(part: str, seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Return random weights of a part, none of them 0 or 1; in float32, unless asked otherwise."""
    return {
        name: random_parameter(name, shape, seed).to(dtype) for name, shape in SHAPES[part].items()
    }


def residual_of(seed: int, seq: int = SEQ, dtype: torch.dtype = torch.float32) -> Tensor:
    noise = torch.randn(BATCH, seq, D_MODEL, generator=draws(seed, "residual"), dtype=torch.float64)
    return (noise + 0.3).to(dtype)


def tokens_of(seed: int, seq: int = SEQ) -> Tensor:
    return torch.randint(D_VOCAB, (BATCH, seq), generator=draws(seed, "tokens"))


def projections(seed: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = draws(seed, "projections")
    shape = (D_MODEL, D_HEAD)
    drawn = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    return [(scale * each / D_MODEL**0.5).to(dtype) for each in drawn]


# Each part's inputs, as a function of seed, sequence length and dtype.
Inputs = Callable[[int, int, torch.dtype], tuple[object, ...]]


def inputs_of_head(seed: int, seq: int, dtype: torch.dtype) -> tuple[object, ...]:
    return (residual_of(seed, seq, dtype), *projections(seed, dtype=dtype))


def inputs_of(part: str) -> Inputs:
    def inputs(seed: int, seq: int, dtype: torch.dtype) -> tuple[object, ...]:
        if part == "gpt":
            return tokens_of(seed, seq), weights_of(part, seed, dtype), N_LAYERS
        return residual_of(seed, seq, dtype), weights_of(part, seed, dtype)

    return inputs_of_head if part == "head" else inputs


def computed(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        function, inputs = getattr(module, part), inputs_of(part)
        return {
            "the output": function(*inputs(seed, SEQ, torch.float32)),
            "the output of one position": function(*inputs(seed, 1, torch.float32)),
        }

    return observe


def in_float64(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        given = inputs_of(part)(seed, SEQ, torch.float64)
        return {"the output in float64": getattr(module, part)(*given)}

    return observe


def without_future(part: str) -> Observe:
    """Return the first positions' outputs with other later positions."""

    def observe(module: ModuleType, seed: int) -> Observation:
        function = getattr(module, part)
        first, *rest = inputs_of(part)(seed, SEQ, torch.float32)
        assert isinstance(first, Tensor)
        return {
            "the first three positions of seven": function(first, *rest)[:, :3],
            "three positions alone": function(first[:, :3], *rest),
        }

    return observe


def gradients(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        first, *rest = inputs_of(part)(seed, SEQ, torch.float32)
        leaves: dict[str, Tensor] = {}
        if isinstance(first, Tensor) and first.is_floating_point():
            leaves["the input"] = first.requires_grad_()
        for value in rest:
            if isinstance(value, dict):
                leaves |= {name: weight.requires_grad_() for name, weight in value.items()}
            elif isinstance(value, Tensor):
                leaves[f"W_{'QKV'[len(leaves) - 1]}"] = value.requires_grad_()
        (getattr(module, part)(first, *rest).square().sum() * LOSS_WEIGHT).backward()
        return {
            f"the gradient of {name}": torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            for name, leaf in leaves.items()
        }

    return observe


def input_kept(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        first, *rest = inputs_of(part)(seed, SEQ, torch.float32)
        assert isinstance(first, Tensor)
        before = first.clone()
        getattr(module, part)(first, *rest)
        return {"the input afterwards": "as before" if torch.equal(first, before) else "changed"}

    return observe


def sharp_head(module: ModuleType, seed: int) -> Observation:
    given = residual_of(seed), *projections(seed, scale=15.0)
    return {"the output for scores in the hundreds": module.head(*given)}


def head_by_torch(_reference: ModuleType, seed: int) -> Observation:
    """Return torch's causal attention of the projected positions."""
    residual, (W_Q, W_K, W_V) = residual_of(seed), projections(seed)
    output = F.scaled_dot_product_attention(
        residual @ W_Q, residual @ W_K, residual @ W_V, is_causal=True
    )
    return {"the output": output}


def torch_attention(weights: dict[str, Tensor], into: nn.MultiheadAttention) -> None:
    """Copy weights [head d_model d_head] into torch's module, whose rows are outputs."""
    rows = [weights[f"W_{name}"].permute(0, 2, 1).flatten(end_dim=1) for name in "QKV"]
    with torch.no_grad():
        into.in_proj_weight.copy_(torch.cat(rows))
        into.in_proj_bias.copy_(torch.cat([weights[f"b_{name}"].flatten() for name in "QKV"]))
        into.out_proj.weight.copy_(weights["W_O"].flatten(end_dim=1).T)
        into.out_proj.bias.copy_(weights["b_O"])


def later(seq: int = SEQ) -> Tensor:
    return torch.ones(seq, seq, dtype=torch.bool).triu(diagonal=1)


def heads_by_torch(_reference: ModuleType, seed: int) -> Observation:
    """Return the output of torch.nn.MultiheadAttention with the same weights."""
    theirs = nn.MultiheadAttention(D_MODEL, HEADS, batch_first=True)
    torch_attention(weights_of("multi_head", seed), theirs)
    residual = residual_of(seed)
    output, _ = theirs(residual, residual, residual, attn_mask=later(), need_weights=False)
    return {"the output": output.detach()}


def mlp_by_torch(_reference: ModuleType, seed: int) -> Observation:
    """Return the output of two torch.nn.Linear with torch.nn.GELU between them."""
    weights = weights_of("mlp", seed)
    into, out = nn.Linear(D_MODEL, D_MLP), nn.Linear(D_MLP, D_MODEL)
    with torch.no_grad():
        into.weight.copy_(weights["W_in"].T)
        into.bias.copy_(weights["b_in"])
        out.weight.copy_(weights["W_out"].T)
        out.bias.copy_(weights["b_out"])
        output = nn.Sequential(into, nn.GELU(approximate="tanh"), out)(residual_of(seed))
    return {"the output": output}


def block_by_torch(_reference: ModuleType, seed: int) -> Observation:
    """Return the output of a causal torch.nn.TransformerEncoderLayer with norms first."""
    layer = nn.TransformerEncoderLayer(
        D_MODEL, HEADS, D_MLP, dropout=0.0, activation=partial(F.gelu, approximate="tanh"),
        batch_first=True, norm_first=True,
    )  # fmt: skip
    weights = weights_of("block", seed)
    attn = {n.removeprefix("attn."): w for n, w in weights.items() if n.startswith("attn.")}
    torch_attention(attn, layer.self_attn)
    with torch.no_grad():
        for theirs, ours in ((layer.norm1, "ln1"), (layer.norm2, "ln2")):
            theirs.weight.copy_(weights[f"{ours}.w"])
            theirs.bias.copy_(weights[f"{ours}.b"])
        for linear, name in ((layer.linear1, "in"), (layer.linear2, "out")):
            linear.weight.copy_(weights[f"mlp.W_{name}"].T)
            linear.bias.copy_(weights[f"mlp.b_{name}"])
    return {"the output": layer(residual_of(seed), src_mask=later()).detach()}


def stored_model(module: ModuleType, _seed: int) -> Observation:
    """Return the logits of the stored GPT-2, whose oracle is TransformerLens."""
    config, _, weights, tokens = stored_input("tied", "Transformer")
    single = {name: weight.float() for name, weight in weights.items()}
    return {"the logits of a stored GPT-2": module.gpt(tokens, single, config["n_layers"])}


def logits_by_transformer_lens(_reference: ModuleType, _seed: int) -> Observation:
    from gpt2_small.checker.stored_reference import stored_reference

    return {"the logits of a stored GPT-2": stored_reference("tied").logits.float()}


def fewer_blocks(module: ModuleType, seed: int) -> Observation:
    weights, tokens = weights_of("gpt", seed), tokens_of(seed)
    return {
        f"the logits with {count} of {N_LAYERS} blocks": module.gpt(tokens, weights, count)
        for count in (0, 1, 2)
    }


def full_context(module: ModuleType, seed: int) -> Observation:
    weights = weights_of("gpt", seed)
    return {"the logits of n_ctx tokens": module.gpt(tokens_of(seed, N_CTX), weights, N_LAYERS)}


def length_refusals(module: ModuleType, seed: int) -> Observation:
    call = partial(module.gpt, tokens_of(seed, N_CTX + 1), weights_of("gpt", seed), N_LAYERS)
    return {"a text of n_ctx + 1 tokens": ending(call)}
