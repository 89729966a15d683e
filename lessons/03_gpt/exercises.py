"""Define the exercises of the lesson from one head to GPT: claims, known mistakes and hints."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt2_small.checker.claims import Claim, Observe
from gpt2_small.checker.claims.observation import Observation
from gpt2_small.checker.claims.probes import draws, random_parameter
from gpt2_small.checker.claims.refusals import ending
from gpt2_small.checker.claims.stored import stored_input
from gpt2_small.checker.exercise_set import ExerciseSet, exercise_mistake
from gpt2_small.checker.learner.hints import Guide

BATCH, SEQ, HEADS, D_HEAD, D_MODEL, D_MLP = 2, 7, 3, 4, 12, 10
N_LAYERS, N_CTX, D_VOCAB = 3, 9, 11

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


def weights_of(part: str, seed: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Random weights of a part, none of them 0 or 1."""
    return {
        name: random_parameter(name, shape, seed).to(dtype) for name, shape in SHAPES[part].items()
    }


def residual_of(seed: int, seq: int = SEQ, dtype: torch.dtype = torch.float64) -> Tensor:
    noise = torch.randn(BATCH, seq, D_MODEL, generator=draws(seed, "residual"), dtype=torch.float64)
    return (noise + 0.3).to(dtype)


def tokens_of(seed: int, seq: int = SEQ) -> Tensor:
    return torch.randint(D_VOCAB, (BATCH, seq), generator=draws(seed, "tokens"))


def projections(seed: int, scale: float = 1.0) -> list[Tensor]:
    generator = draws(seed, "projections")
    shape = (D_MODEL, D_HEAD)
    return [
        scale * torch.randn(shape, generator=generator, dtype=torch.float64) / D_MODEL**0.5
        for _ in range(3)
    ]


# What each part is given, as a function of the seed, the positions and the number type.
Inputs = Callable[[int, int, torch.dtype], tuple[object, ...]]


def inputs_of_head(seed: int, seq: int, dtype: torch.dtype) -> tuple[object, ...]:
    return (residual_of(seed, seq, dtype), *(each.to(dtype) for each in projections(seed)))


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
            "the output": function(*inputs(seed, SEQ, torch.float64)),
            "the output of one position": function(*inputs(seed, 1, torch.float64)),
        }

    return observe


def in_float32(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        given = inputs_of(part)(seed, SEQ, torch.float32)
        return {"the output in float32": getattr(module, part)(*given)}

    return observe


def without_future(part: str) -> Observe:
    """What the first positions get, whatever comes after them."""

    def observe(module: ModuleType, seed: int) -> Observation:
        function = getattr(module, part)
        first, *rest = inputs_of(part)(seed, SEQ, torch.float64)
        assert isinstance(first, Tensor)
        return {
            "the first three positions of seven": function(first, *rest)[:, :3],
            "three positions alone": function(first[:, :3], *rest),
        }

    return observe


def gradients(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        first, *rest = inputs_of(part)(seed, SEQ, torch.float64)
        leaves: dict[str, Tensor] = {}
        if isinstance(first, Tensor) and first.is_floating_point():
            leaves["the input"] = first.requires_grad_()
        for value in rest:
            if isinstance(value, dict):
                leaves |= {name: weight.requires_grad_() for name, weight in value.items()}
            elif isinstance(value, Tensor):
                leaves[f"W_{'QKV'[len(leaves) - 1]}"] = value.requires_grad_()
        getattr(module, part)(first, *rest).square().sum().backward()
        return {
            f"the gradient of {name}": torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            for name, leaf in leaves.items()
        }

    return observe


def input_kept(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        first, *rest = inputs_of(part)(seed, SEQ, torch.float64)
        assert isinstance(first, Tensor)
        before = first.clone()
        getattr(module, part)(first, *rest)
        return {"the input afterwards": "as before" if torch.equal(first, before) else "changed"}

    return observe


def sharp_head(module: ModuleType, seed: int) -> Observation:
    given = residual_of(seed), *projections(seed, scale=40.0)
    return {"the output for scores in the hundreds": module.head(*given)}


def head_by_torch(_reference: ModuleType, seed: int) -> Observation:
    """torch's causal attention of the projected positions."""
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
    """torch.nn.MultiheadAttention with the same weights."""
    theirs = nn.MultiheadAttention(D_MODEL, HEADS, batch_first=True, dtype=torch.float64)
    torch_attention(weights_of("multi_head", seed), theirs)
    residual = residual_of(seed)
    output, _ = theirs(residual, residual, residual, attn_mask=later(), need_weights=False)
    return {"the output": output.detach()}


def mlp_by_torch(_reference: ModuleType, seed: int) -> Observation:
    """Two torch.nn.Linear with torch.nn.GELU between them."""
    weights = weights_of("mlp", seed)
    into, out = nn.Linear(D_MODEL, D_MLP).double(), nn.Linear(D_MLP, D_MODEL).double()
    with torch.no_grad():
        into.weight.copy_(weights["W_in"].T)
        into.bias.copy_(weights["b_in"])
        out.weight.copy_(weights["W_out"].T)
        out.bias.copy_(weights["b_out"])
        output = nn.Sequential(into, nn.GELU(approximate="tanh"), out)(residual_of(seed))
    return {"the output": output}


def block_by_torch(_reference: ModuleType, seed: int) -> Observation:
    """torch.nn.TransformerEncoderLayer with its norms first, causal, with the same weights."""
    layer = nn.TransformerEncoderLayer(
        D_MODEL, HEADS, D_MLP, dropout=0.0, activation=partial(F.gelu, approximate="tanh"),
        batch_first=True, norm_first=True, dtype=torch.float64,
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
    """The logits of the stored GPT-2 whose logits TransformerLens gave."""
    config, _, weights, tokens = stored_input("tied", "Transformer")
    single = {name: weight.float() for name, weight in weights.items()}
    return {"the logits of a stored GPT-2": module.gpt(tokens, single, config["n_layers"])}


def logits_by_transformer_lens(_reference: ModuleType, _seed: int) -> Observation:
    from gpt2_small.checker.oracle import stored_reference

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


def usual_claims(part: str) -> tuple[Claim, ...]:
    return (
        Claim(part, "No position sees a later one", without_future(part)),
        Claim(part, "The input and the weights get the right gradients", gradients(part),
              group="gradient"),
        Claim(part, "It computes in the type of its input", in_float32(part), group="dtypes"),
        Claim(part, "The input stays as it is", input_kept(part), group="inputs"),
    )  # fmt: skip


CLAIMS = {
    "head": (
        Claim("head", "It is torch's causal attention of the projected positions",
              computed("head"), also=(head_by_torch,), gate=True),
        Claim("head", "Large scores do not overflow", sharp_head),
        *usual_claims("head"),
    ),
    "multi_head": (
        Claim("multi_head", "It is torch.nn.MultiheadAttention, causal", computed("multi_head"),
              also=(heads_by_torch,), gate=True),
        *usual_claims("multi_head"),
    ),
    "mlp": (
        Claim("mlp", "It is two linear maps of torch with its GELU between them", computed("mlp"),
              also=(mlp_by_torch,), gate=True),
        *usual_claims("mlp"),
    ),
    "block": (
        Claim("block", "It is torch.nn.TransformerEncoderLayer with its norms first, causal",
              computed("block"), also=(block_by_torch,), gate=True),
        *usual_claims("block"),
    ),
    "gpt": (
        Claim("gpt", "Its logits are right", computed("gpt"), gate=True),
        Claim("gpt", "It is TransformerLens's GPT-2", stored_model,
              also=(logits_by_transformer_lens,)),
        Claim("gpt", "It runs as many blocks as it is asked for", fewer_blocks),
        Claim("gpt", "A text of n_ctx tokens fits", full_context),
        *usual_claims("gpt"),
        Claim("gpt", "More than n_ctx tokens are refused with ValueError", length_refusals,
              group="refusals"),
    ),
}  # fmt: skip

GUIDES = {
    "head": Guide(
        steps=(
            "Queries, keys and values: multiply the positions by W_Q, W_K and W_V.",
            "Scores: the dot product of every query with every key, divided by sqrt(d_head).",
            "Hide the future with -inf; the softmax over the keys is the pattern.",
            "Mix the values by the pattern.",
        ),
        hints=(
            "Lesson 02's attention is inside: what does it need that is new here?",
            "residual @ W_Q is [batch seq d_head]; d_head is the last size of W_Q.",
            "(query @ key.mT / sqrt(d_head) + mask).softmax(dim=-1) @ value",
        ),
    ),
    "multi_head": Guide(
        steps=(
            "Queries, keys and values of every head: multiply by W_Q, W_K, W_V, add the biases.",
            "Scores and pattern of every head, as for one.",
            "Mix the values of each head by its pattern.",
            "Project every head's result by its W_O, add up over heads, and add b_O once.",
        ),
        hints=(
            "Which axis tells the heads apart, and where does it disappear again?",
            "One einsum does all heads: keep the head axis in the output of the scores.",
            'einsum(z, W_O, "batch seq head d_head, head d_head d_model -> batch seq d_model")',
        ),
    ),
    "mlp": Guide(
        steps=(
            "A linear map to d_mlp: W_in and b_in.",
            "GELU in its tanh form.",
            "A linear map back: W_out and b_out.",
        ),
        hints=(
            "Does a position need to know of the others here?",
            "W_in is [d_model d_mlp], so it stands on the right of the product.",
            'F.gelu(x @ W_in + b_in, approximate="tanh") @ W_out + b_out',
        ),
    ),
    "block": Guide(
        steps=(
            "Attention reads the stream through ln1; add its output to the stream.",
            "The MLP reads the sum through ln2; add its output to the sum.",
        ),
        hints=(
            "What does the MLP read: what came in, or the sum after attention?",
            'under(weights, "attn.") gives the weights of attention under their own names.',
            "mid = x + multi_head(layer_norm(x)); mid + mlp(layer_norm(mid))",
        ),
    ),
    "gpt": Guide(
        steps=(
            "Refuse more tokens than W_pos has rows with a ValueError that says how many.",
            "Row t of W_E for every token t, plus row p of W_pos for position p.",
            "Run the blocks in order, then the final norm.",
            "Logits: the product with the transposed W_E.",
        ),
        hints=(
            "Which two tables give the stream its beginning?",
            'under(weights, f"blocks.{number}.") gives the weights of one block.',
            "layer_norm(residual, under(weights, 'ln_final.')) @ W_E.T",
        ),
    ),
}


mistake = partial(exercise_mistake, GUIDES)


_PROJECTED = "query, key, value = residual @ W_Q, residual @ W_K, residual @ W_V"
_HEAD_MASK = "mask = torch.full((seq, seq), -math.inf, dtype=residual.dtype).triu(diagonal=1)"
_HEAD_PATTERN = "pattern = (scores / math.sqrt(W_Q.shape[-1]) + mask).softmax(dim=-1)"
_BIASED = 'einsum(residual, weights[f"W_{name}"], project) + weights[f"b_{name}"] for name in "QKV"'
_LATER = "is_later = torch.ones(seq, seq, dtype=torch.bool).triu(diagonal=1)"
_SIMILARITY = "similarity = (scores / math.sqrt(query.shape[-1])).masked_fill(is_later, -math.inf)"
_PATTERN = "pattern = similarity.softmax(dim=-1)"
_OUTPUT = 'z, weights["W_O"], "batch seq head d_head, head d_head d_model -> batch seq d_model"'
_PLUS_B_O = 'return output + weights["b_O"]'
_PRE = 'pre = residual @ weights["W_in"] + weights["b_in"]'
_POST = 'post = F.gelu(pre, approximate="tanh")'
_OUT = 'return post @ weights["W_out"] + weights["b_out"]'
_ATTN_OUT = (
    'attn_out = multi_head(layer_norm(residual, under(weights, "ln1.")), under(weights, "attn."))'
)
_MID = "resid_mid = residual + attn_out"
_MLP_OUT = 'mlp_out = mlp(layer_norm(resid_mid, under(weights, "ln2.")), under(weights, "mlp."))'
_POST_SUM = "return resid_mid + mlp_out"
_EMBED = "residual = W_E[tokens] + W_pos[:seq]"
_RANGE = "for number in range(n_layers):"
_BLOCK = 'residual = block(residual, under(weights, f"blocks.{number}."))'
_FINAL = 'final = layer_norm(residual, under(weights, "ln_final."))'
_LOGITS = "return final @ W_E.T"

MISTAKES = {
    "head": (
        mistake("head", "not-scaled", _HEAD_PATTERN, "pattern = (scores + mask).softmax(dim=-1)",
                "does not divide the scores by sqrt(d_head)",
                "How does the size of a dot product grow with d_head?"),
        mistake("head", "scaled-by-d-model", _HEAD_PATTERN,
                "pattern = (scores / math.sqrt(W_Q.shape[0]) + mask).softmax(dim=-1)",
                "divides the scores by sqrt(d_model)", "How many numbers does a dot product add?"),
        mistake("head", "scaled-by-d-head", _HEAD_PATTERN,
                "pattern = (scores / W_Q.shape[-1] + mask).softmax(dim=-1)",
                "divides the scores by d_head", "Of what is the root taken?"),
        mistake("head", "no-mask", _HEAD_PATTERN,
                "pattern = (scores / math.sqrt(W_Q.shape[-1])).softmax(dim=-1)",
                "hides nothing", "What may position 0 see?"),
        mistake("head", "masked-afterwards", _HEAD_PATTERN,
                "pattern = (scores / math.sqrt(W_Q.shape[-1])).softmax(dim=-1) * (mask == 0)",
                "hides the future after the softmax, so that rows add up to less than 1",
                "What do the weights of a row add up to?"),
        mistake("head", "over-queries", _HEAD_PATTERN,
                "pattern = (scores / math.sqrt(W_Q.shape[-1]) + mask).nan_to_num(neginf=-1e9)"
                ".softmax(dim=-2)",
                "takes the softmax over the queries", "What do the weights of a row add up to?"),
        mistake("head", "one-ahead", _HEAD_MASK,
                "mask = torch.full((seq, seq), -math.inf, dtype=residual.dtype).triu(diagonal=2)",
                "looks one position ahead", "What may position 0 see?"),
        mistake("head", "past-hidden", _HEAD_MASK,
                "mask = torch.full((seq, seq), -math.inf, dtype=residual.dtype).tril(diagonal=-1)",
                "hides the past instead of the future", "Which triangle is the future?"),
        mistake("head", "values-are-keys", _PROJECTED,
                "query, key, value = residual @ W_Q, residual @ W_K, residual @ W_K",
                "uses the keys as values", "What is W_V for?"),
        mistake("head", "queries-are-keys", _PROJECTED,
                "query, key, value = residual @ W_K, residual @ W_K, residual @ W_V",
                "uses the keys as queries", "What is W_Q for?"),
        mistake("head", "exchanged", _PROJECTED,
                "query, key, value = residual @ W_K, residual @ W_Q, residual @ W_V",
                "exchanges queries and keys", "Which of the two asks?"),
        mistake("head", "pattern-detached", _HEAD_PATTERN,
                "pattern = (scores / math.sqrt(W_Q.shape[-1]) + mask).softmax(dim=-1).detach()",
                "gives queries and keys no gradient", "What does detach do?"),
    ),
    "multi_head": (
        mistake("multi_head", "not-scaled", _SIMILARITY,
                "similarity = scores.masked_fill(is_later, -math.inf)",
                "does not divide the scores by sqrt(d_head)",
                "How does the size of a dot product grow with d_head?"),
        mistake("multi_head", "scaled-by-d-model", _SIMILARITY,
                "similarity = (scores / math.sqrt(residual.shape[-1]))"
                ".masked_fill(is_later, -math.inf)",
                "divides the scores by sqrt(d_model)", "How many numbers does a dot product add?"),
        mistake("multi_head", "no-mask", _SIMILARITY,
                "similarity = scores / math.sqrt(query.shape[-1])",
                "hides nothing", "What may position 0 see?"),
        mistake("multi_head", "filled-with-zero", _SIMILARITY,
                "similarity = (scores / math.sqrt(query.shape[-1])).masked_fill(is_later, 0.0)",
                "gives later positions the score 0, which is not the weight 0", "What is exp(0)?"),
        mistake("multi_head", "one-ahead", _LATER,
                "is_later = torch.ones(seq, seq, dtype=torch.bool).triu(diagonal=2)",
                "looks one position ahead", "What may position 0 see?"),
        mistake("multi_head", "over-queries", _PATTERN,
                "pattern = similarity.nan_to_num(neginf=-1e9).softmax(dim=-2)",
                "takes the softmax over the queries", "What do the weights of a row add up to?"),
        mistake("multi_head", "over-heads", _PATTERN,
                "pattern = similarity.nan_to_num(neginf=-1e9).softmax(dim=1)",
                "takes the softmax over the heads", "What do the weights of a row add up to?"),
        mistake("multi_head", "without-biases", _BIASED,
                'einsum(residual, weights[f"W_{name}"], project) for name in "QKV"',
                "leaves the biases of queries, keys and values out",
                "What is added to a query?"),
        mistake("multi_head", "without-output-bias", _PLUS_B_O, "return output",
                "leaves b_O out", "What is added after the projection?"),
        mistake("multi_head", "output-bias-for-each-head", _PLUS_B_O,
                'return output + len(weights["W_O"]) * weights["b_O"]',
                "adds b_O once for every head", "How often is b_O added?"),
        mistake("multi_head", "mean-over-heads", _PLUS_B_O,
                'return output / len(weights["W_O"]) + weights["b_O"]',
                "averages over the heads instead of adding them up",
                "What becomes of the head axis?"),
        mistake("multi_head", "heads-mixed", _OUTPUT,
                'z.flip(2), weights["W_O"], '
                '"batch seq head d_head, head d_head d_model -> batch seq d_model"',
                "projects each head's result by another head's W_O",
                "Which W_O belongs to head 0?"),
        mistake("multi_head", "pattern-of-the-first-head", "        pattern,\n        value,",
                "        pattern[:, :1].expand_as(pattern),\n        value,",
                "mixes the values of all heads by the pattern of the first one",
                "How many patterns are there?"),
    ),
    "mlp": (
        mistake("mlp", "no-activation", _POST, "post = pre",
                "has no activation, so that the two maps are one", "What do two linear maps make?"),
        mistake("mlp", "relu", _POST, "post = F.relu(pre)", "uses ReLU", "Which activation has GPT-2?"),
        mistake("mlp", "exact-gelu", _POST, "post = F.gelu(pre)",
                "uses the exact GELU, not its tanh form", "Which of torch's two GELUs is it?"),
        mistake("mlp", "silu", _POST, "post = F.silu(pre)", "uses SiLU",
                "Which activation has GPT-2?"),
        mistake("mlp", "sigmoid-gelu", _POST, "post = pre * torch.sigmoid(1.702 * pre)",
                "uses the sigmoid form of GELU", "Which form of GELU is it?"),
        mistake("mlp", "activation-first", _PRE,
                'pre = F.gelu(residual, approximate="tanh") @ weights["W_in"] + weights["b_in"]',
                "applies the activation to its input, too", "How often is the activation applied?"),
        mistake("mlp", "activation-last", _OUT,
                'return F.gelu(post @ weights["W_out"] + weights["b_out"], approximate="tanh")',
                "applies the activation to its output, too", "How often is the activation applied?"),
        mistake("mlp", "without-b-in", _PRE, 'pre = residual @ weights["W_in"]',
                "leaves b_in out", "What is added before the activation?"),
        mistake("mlp", "without-b-out", _OUT, 'return post @ weights["W_out"]',
                "leaves b_out out", "What is added at the end?"),
        mistake("mlp", "b-in-afterwards", _POST,
                'post = F.gelu(pre - weights["b_in"], approximate="tanh") + weights["b_in"]',
                "adds b_in after the activation", "What is added before the activation?"),
        mistake("mlp", "adds-its-input", _OUT,
                'return residual + post @ weights["W_out"] + weights["b_out"]',
                "adds its input, which is the block's work", "Who adds the residual?"),
    ),
    "block": (
        mistake("block", "without-attention-residual", _MID, "resid_mid = attn_out",
                "does not add what came in to attention's output", "What does the stream keep?"),
        mistake("block", "without-mlp-residual", _POST_SUM, "return mlp_out",
                "does not add the sum to the MLP's output", "What does the stream keep?"),
        mistake("block", "post-norm", _ATTN_OUT,
                'attn_out = multi_head(residual, under(weights, "attn."))',
                "norms after the sums, as the original transformer does",
                "Does attention read the stream, or its norm?",
                also=((_MID, 'resid_mid = layer_norm(residual + attn_out, under(weights, "ln1."))'),
                      (_MLP_OUT, 'mlp_out = mlp(resid_mid, under(weights, "mlp."))'),
                      (_POST_SUM,
                       'return layer_norm(resid_mid + mlp_out, under(weights, "ln2."))'))),
        mistake("block", "parallel", _MLP_OUT,
                'mlp_out = mlp(layer_norm(residual, under(weights, "ln2.")), under(weights, "mlp."))',
                "lets the MLP read what came in, beside attention",
                "Does the MLP know what attention found?"),
        mistake("block", "sum-without-attention", _POST_SUM, "return residual + mlp_out",
                "adds the MLP's output to what came in, so that attention's output is lost",
                "To which sum is the MLP's output added?"),
        mistake("block", "norms-exchanged", _ATTN_OUT,
                'attn_out = multi_head(layer_norm(residual, under(weights, "ln2.")), '
                'under(weights, "attn."))',
                "exchanges the two norms", "Which norm stands before attention?",
                also=((_MLP_OUT,
                       'mlp_out = mlp(layer_norm(resid_mid, under(weights, "ln1.")), '
                       'under(weights, "mlp."))'),)),
        mistake("block", "without-ln1", _ATTN_OUT,
                'attn_out = multi_head(residual, under(weights, "attn."))',
                "lets attention read the stream without a norm", "What is ln1 for?"),
        mistake("block", "without-ln2", _MLP_OUT,
                'mlp_out = mlp(resid_mid, under(weights, "mlp."))',
                "lets the MLP read the stream without a norm", "What is ln2 for?"),
        mistake("block", "ln1-twice", _MLP_OUT,
                'mlp_out = mlp(layer_norm(resid_mid, under(weights, "ln1.")), under(weights, "mlp."))',
                "uses ln1 for the MLP, too", "What is ln2 for?"),
        mistake("block", "normed-residual", _MID,
                'resid_mid = layer_norm(residual, under(weights, "ln1.")) + attn_out',
                "adds attention's output to the norm of the stream",
                "To what is attention's output added?"),
        mistake("block", "mlp-first", _ATTN_OUT,
                'attn_out = mlp(layer_norm(residual, under(weights, "ln1.")), under(weights, "mlp."))',
                "runs the MLP first, and attention second", "Which of the two comes first?",
                also=((_MLP_OUT,
                       'mlp_out = multi_head(layer_norm(resid_mid, under(weights, "ln2.")), '
                       'under(weights, "attn."))'),)),
    ),
    "gpt": (
        mistake("gpt", "without-positions", _EMBED, "residual = W_E[tokens]",
                "adds no position embedding", "How does the model know the order of the tokens?"),
        mistake("gpt", "positions-from-one", _EMBED,
                "residual = W_E[tokens] + W_pos[torch.arange(1, seq + 1) % len(W_pos)]",
                "counts positions from 1", "Which row of W_pos has the first token?"),
        mistake("gpt", "positions-backwards", _EMBED,
                "residual = W_E[tokens] + W_pos[:seq].flip(0)",
                "counts positions from the end", "Which row of W_pos has the first token?"),
        mistake("gpt", "last-positions", _EMBED,
                "residual = W_E[tokens] + W_pos[len(W_pos) - seq :]",
                "takes the last rows of W_pos", "Which row of W_pos has the first token?"),
        mistake("gpt", "embedding-scaled", _EMBED,
                "residual = W_E[tokens] * math.sqrt(W_E.shape[1]) + W_pos[:seq]",
                "multiplies the token embedding by sqrt(d_model)",
                "Which transformer scales its embeddings?"),
        mistake("gpt", "without-final-norm", _FINAL, "final = residual",
                "leaves the final norm out", "What is ln_final for?"),
        mistake("gpt", "first-block-again", _BLOCK,
                'residual = block(residual, under(weights, "blocks.0."))',
                "runs the first block again and again", "Which weights has block 1?"),
        mistake("gpt", "last-block-missing", _RANGE, "for number in range(n_layers - 1):",
                "leaves the last block out", "What is the number of the last block?"),
        mistake("gpt", "blocks-backwards", _RANGE, "for number in reversed(range(n_layers)):",
                "runs the blocks in the opposite order", "Which block reads the embeddings?"),
        mistake("gpt", "norm-in-every-block", _BLOCK,
                'residual = block(residual, under(weights, f"blocks.{number}."))\n'
                '        residual = layer_norm(residual, under(weights, "ln_final."))',
                "norms the stream after every block", "How often is the final norm applied?"),
        mistake("gpt", "probabilities", _LOGITS, "return (final @ W_E.T).softmax(dim=-1)",
                "gives probabilities instead of logits", "Who takes the softmax?"),
        mistake("gpt", "no-refusal", "if seq > len(W_pos):", "if seq > 9999:",
                "does not refuse more tokens than n_ctx with a ValueError",
                "What is the position embedding of token n_ctx?"),
        mistake("gpt", "refuses-n-ctx", "if seq > len(W_pos):", "if seq >= len(W_pos):",
                "refuses a text of exactly n_ctx tokens", "Do n_ctx tokens fit?"),
    ),
}  # fmt: skip

EXERCISES = ExerciseSet(
    name="gpt",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
