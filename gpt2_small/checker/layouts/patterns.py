"""Write the patterns that several layouts share."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpt2_small.checker.layouts.adapter import Tensors
from gpt2_small.model_protocol import Config

SAME = "d_model -> d_model"
TABLE = "rows d_model -> rows d_model"
TURNED = "d_out d_in -> d_in d_out"
STRAIGHT = "d_in d_out -> d_in d_out"
_HEADS = "(head d_head) -> head d_head"
_IN = "(head d_head) d_model -> head d_model d_head"
_OUT = "d_model (head d_head) -> head d_head d_model"


# Of a head's weight that is a parameter where the embeddings are tied.
OWN_HEAD: tuple[Sequence[str], str] = (
    (),
    "is a parameter of its own; GPT-2's head has the token embedding's weight",
)


def norm(weight: str, bias: str) -> Tensors:
    """A norm's gain and bias."""
    return {weight: (["w"], SAME), bias: (["b"], SAME)}


def projections(query: str, key: str, value: str, out: str) -> Tensors:
    """Attention of four nn.Linears."""
    found: dict[str, tuple[Sequence[str], str]] = {}
    for letter, name in (("Q", query), ("K", key), ("V", value), ("O", out)):
        found[f"({name}).weight"] = ([f"W_{letter}"], _OUT if letter == "O" else _IN)
        found[f"({name}).bias"] = ([f"b_{letter}"], SAME if letter == "O" else _HEADS)
    return found


def joint_projections(weight: str, out: str) -> Tensors:
    """Attention of one product for queries, keys and values, and one for the output.

    weight, out: the patterns of the two weights.
    """
    return {
        "c_attn.weight": (["W_Q", "W_K", "W_V"], weight),
        "c_attn.bias": (["b_Q", "b_K", "b_V"], "(qkv head d_head) -> qkv head d_head"),
        "c_proj.weight": (["W_O"], out),
        "c_proj.bias": (["b_O"], SAME),
    }


def two_layers(first: str, second: str, pattern: str = TURNED) -> Tensors:
    """An MLP of two products."""
    found: dict[str, tuple[Sequence[str], str]] = {}
    for side, name in (("in", first), ("out", second)):
        found[f"({name}).weight"] = ([f"W_{side}"], pattern)
        found[f"({name}).bias"] = ([f"b_{side}"], "width -> width")
    return found


def inside(theirs: str, ours: str, tensors: Tensors) -> Tensors:
    """The tensors of a module inside another, theirs and ours at these places."""
    return {
        f"({theirs}).({name.removesuffix('?')}){'?' if name.endswith('?') else ''}": (
            [f"{ours}.{one}" for one in names],
            pattern,
        )
        for name, (names, pattern) in tensors.items()
    }


def model(
    *, tokens: str, positions: str, blocks: str, final: str, block: Tensors, final_norm: Tensors
) -> Callable[[Any], Mapping[str, tuple[Sequence[str], str]]]:
    """A whole model without its head, from a configuration: places of its modules."""

    def tensors(config: Config) -> Mapping[str, tuple[Sequence[str], str]]:
        found: dict[str, tuple[Sequence[str], str]] = {
            tokens: (["embed.W_E"], TABLE),
            positions: (["pos_embed.W_pos"], TABLE),
        }
        for number in range(config.n_layers):
            found |= inside(f"({blocks}).{number}", f"blocks.{number}", block)
        return found | dict(inside(final, "ln_final", final_norm))

    return tensors
