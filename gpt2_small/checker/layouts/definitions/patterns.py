"""Write the patterns of tensors that several layouts share: norms, attention, blocks, models."""

from collections.abc import Callable, Sequence
from typing import Any

from gpt2_small.checker.layouts import module_names
from gpt2_small.checker.layouts.adapter import Tensors
from gpt2_small.model_protocol import Config

SAME = "d_model -> d_model"
TABLE = "rows d_model -> rows d_model"
TURNED = "d_out d_in -> d_in d_out"
STRAIGHT = "d_in d_out -> d_in d_out"
_HEADS = "(head d_head) -> head d_head"
_IN = "(head d_head) d_model -> head d_model d_head"
_OUT = "d_model (head d_head) -> head d_head d_model"


# For a head's weight that is a parameter although embeddings are tied.
OWN_HEAD: tuple[Sequence[str], str] = (
    (),
    "is a separate parameter; GPT-2's head has the token embedding's weight",
)


def block(norm: Tensors, attention: Tensors, mlp: Tensors) -> Tensors:
    """The patterns of a block, from those of its parts, with any usual module names."""
    return {
        **inside(module_names.FIRST_NORM, "ln1", norm),
        **inside(module_names.ATTENTION, "attn", attention),
        **inside(module_names.SECOND_NORM, "ln2", norm),
        **inside(module_names.MLP, "mlp", mlp),
    }


def norm(weight: str, bias: str) -> Tensors:
    """The patterns of a norm's gain and bias."""
    return {f"({weight})": (["w"], SAME), f"({bias})": (["b"], SAME)}


def separate_projections() -> Tensors:
    """The patterns of attention with four nn.Linears."""
    found: dict[str, tuple[Sequence[str], str]] = {}
    names = {
        "Q": module_names.QUERY,
        "K": module_names.KEY,
        "V": module_names.VALUE,
        "O": module_names.OUTPUT,
    }
    for letter, name in names.items():
        found[f"({name}).weight"] = ([f"W_{letter}"], _OUT if letter == "O" else _IN)
        found[f"({name}).bias"] = ([f"b_{letter}"], SAME if letter == "O" else _HEADS)
    return found


def joint_projections(weight: str, out: str) -> Tensors:
    """The patterns of attention with a joint matrix for queries, keys and values.

    weight, out: the patterns of the two weights.
    """
    joint, output = f"({module_names.JOINT})", f"({module_names.OUTPUT})"
    return {
        f"{joint}.weight": (["W_Q", "W_K", "W_V"], weight),
        f"{joint}.bias": (["b_Q", "b_K", "b_V"], "(qkv head d_head) -> qkv head d_head"),
        f"{output}.weight": (["W_O"], out),
        f"{output}.bias": (["b_O"], SAME),
    }


def two_layers(first: str, second: str, pattern: str = TURNED) -> Tensors:
    """The patterns of an MLP with two matrices."""
    found: dict[str, tuple[Sequence[str], str]] = {}
    for side, name in (("in", first), ("out", second)):
        found[f"({name}).weight"] = ([f"W_{side}"], pattern)
        found[f"({name}).bias"] = ([f"b_{side}"], "width -> width")
    return found


def inside(theirs: str, ours: str, tensors: Tensors) -> Tensors:
    """Prefix an inner module's patterns with its places, theirs and ours."""
    return {
        f"({theirs}).({name.removesuffix('?')}){'?' if name.endswith('?') else ''}": (
            [f"{ours}.{one}" for one in names],
            pattern,
        )
        for name, (names, pattern) in tensors.items()
    }


def model(block: Tensors, final_norm: Tensors) -> Callable[[Any], Tensors]:
    """The patterns of a model without its head, from a configuration."""
    tokens = rf"{module_names.TOKENS}.(\w+.)?(weight|W_E)"
    positions = rf"{module_names.POSITIONS}.(\w+.)?(weight|W_pos)"

    def tensors(config: Config) -> Tensors:
        found: dict[str, tuple[Sequence[str], str]] = {
            tokens: (["embed.W_E"], TABLE),
            positions: (["pos_embed.W_pos"], TABLE),
        }
        for number in range(config.n_layers):
            found |= inside(f"{module_names.BLOCKS}.{number}", f"blocks.{number}", block)
        return found | dict(inside(module_names.FINAL_NORM, "ln_final", final_norm))

    return tensors
