"""Record a model's activations on a text: residual stream and attention patterns."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from gpt2_small.model_protocol import Attention, Model, Unembed

# Tolerance of the one-hot values.
PROBE_TOLERANCE = 1e-4

Origin = Literal["tap", "probe", "weights"]


@dataclass(frozen=True)
class Activations:
    """A text and the model's activations on it.

    attn_in, attn_out, mlp_out: an entry for each layer.
    resid: [seq d_model], each block's input, and ln_final's at the end.
    """

    ids: tuple[int, ...]
    logits: Float[Tensor, "seq d_vocab"]
    attn_in: list[Float[Tensor, "seq d_model"]]
    attn_out: list[Float[Tensor, "seq d_model"]]
    mlp_out: list[Float[Tensor, "seq d_model"]]
    resid: list[Float[Tensor, "seq d_model"]]

    @property
    def bytes(self) -> int:
        """The memory of its tensors."""
        lists = (self.attn_in, self.attn_out, self.mlp_out, self.resid, [self.logits])
        return sum(tensor.nbytes for tensors in lists for tensor in tensors)


@dataclass(frozen=True)
class AttentionPattern:
    """The attention patterns of one layer.

    origin: `tap`: from the file's own hook_pattern; `probe`: measured, by giving the file's
        attention one-hot values; `weights`: computed from W_Q and W_K with a causal mask, if both
        are impossible.
    """

    values: Float[Tensor, "head seq seq"]
    origin: Origin


@torch.no_grad()
def observe(model: Model, ids: tuple[int, ...]) -> Activations:
    """Run a model once with hooks on its modules, without its taps."""
    found: dict[str, list[Tensor]] = {"attn_in": [], "attn_out": [], "mlp_out": [], "resid": []}

    def before(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            found[name].append(next(iter((*args, *kwargs.values())))[0].detach())

        return hook

    def after(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            found[name].append(output[0].detach())

        return hook

    with ExitStack() as stack:
        for block in model.blocks:
            for handle in (
                block.register_forward_pre_hook(before("resid"), with_kwargs=True),
                block.attn.register_forward_pre_hook(before("attn_in"), with_kwargs=True),
                block.attn.register_forward_hook(after("attn_out")),
                block.mlp.register_forward_hook(after("mlp_out")),
            ):
                stack.callback(handle.remove)
        last = model.ln_final.register_forward_pre_hook(before("resid"), with_kwargs=True)
        stack.callback(last.remove)
        logits = model(as_batch(model, ids))[0]
    return Activations(ids, logits, **found)


def as_batch(model: Model, ids: tuple[int, ...]) -> Tensor:
    """The ids as a batch of one on the model's device."""
    return torch.tensor([ids], device=next(model.parameters()).device)


@torch.no_grad()
def pattern(model: Model, layer: int, attn_in: Float[Tensor, "seq d_model"]) -> AttentionPattern:
    """The attention pattern of one layer for the input of its attention."""
    attn = model.blocks[layer].attn
    if isinstance(getattr(attn, "hook_pattern", None), nn.Module):
        tapped = _tapped(attn, attn_in)
        if tapped is not None:
            return AttentionPattern(tapped, "tap")
    try:
        probed = _probed(attn, attn_in)
    except Exception:  # a learner's attention may fail on unexpected values
        probed = None
    if probed is not None:
        return AttentionPattern(probed, "probe")
    return AttentionPattern(_from_weights(attn, attn_in), "weights")


def _tapped(
    attn: Attention, attn_in: Float[Tensor, "seq d_model"]
) -> Float[Tensor, "head seq seq"] | None:
    seen: list[Tensor] = []
    tap = cast(nn.Module, attn).get_submodule("hook_pattern")
    handle = tap.register_forward_hook(lambda _m, _i, output: seen.append(output))
    try:
        attn(attn_in[None])
    finally:
        handle.remove()
    shape = (1, attn.W_Q.shape[0], len(attn_in), len(attn_in))
    return seen[0][0].detach() if len(seen) == 1 and seen[0].shape == shape else None


def _probed(
    attn: Attention, attn_in: Float[Tensor, "seq d_model"]
) -> Float[Tensor, "head seq seq"] | None:
    """Measure the pattern that an attention module applies, independent of its implementation.

    Attention is linear in its values. W_V is replaced by a map that gives d_head positions one-hot
    values, and W_O by one that concatenates the heads, so that the output contains the pattern's
    columns of these positions. The result is verified with the true values.
    """
    seq, d_head, heads = len(attn_in), attn.W_V.shape[2], attn.W_V.shape[0]
    inputs = attn_in.double()
    to_position = torch.linalg.pinv(inputs)
    if not torch.allclose(inputs @ to_position, torch.eye(seq).to(inputs), atol=PROBE_TOLERANCE):
        return None
    side_by_side = torch.eye(heads * d_head).to(inputs).view(heads, d_head, heads * d_head)
    columns = []
    for start in range(0, seq, d_head):
        map_to_unit = torch.zeros(inputs.shape[1], d_head).to(inputs)
        chunk = to_position[:, start : start + d_head]
        map_to_unit[:, : chunk.shape[1]] = chunk
        changed = {
            "W_V": map_to_unit.expand(heads, -1, -1),
            "b_V": torch.zeros_like(attn.b_V, dtype=inputs.dtype),
            "W_O": side_by_side,
            "b_O": torch.zeros_like(attn.b_O, dtype=inputs.dtype),
        }
        output = _called(attn, inputs, changed)
        columns.append(rearrange(output, "seq (head d) -> head seq d", head=heads))
    values = torch.cat(columns, dim=-1)[..., :seq]
    return values.to(attn_in.dtype) if _explains(attn, inputs, values) else None


def _called(
    attn: Attention, inputs: Float[Tensor, "seq d_model"], changed: Mapping[str, Tensor]
) -> Float[Tensor, "seq d_model"]:
    """An attention's output in float64 with some of its parameters replaced."""
    module = cast(nn.Module, attn)
    own = {name: value.double() for name, value in module.named_parameters() if name not in changed}
    output: Tensor = torch.func.functional_call(module, {**own, **changed}, (inputs[None],))
    return output[0]


def _explains(
    attn: Attention, inputs: Float[Tensor, "seq d_model"], values: Float[Tensor, "head seq seq"]
) -> bool:
    """Whether a pattern, applied to the true values, gives the attention's own output."""
    value = einsum(inputs, attn.W_V.double(), "seq d_model, head d_model d -> head seq d")
    value = value + attn.b_V.double()[:, None]
    z = einsum(values, value, "head seq_q seq_k, head seq_k d -> seq_q head d")
    expected = einsum(z, attn.W_O.double(), "seq head d, head d d_model -> seq d_model")
    actual = _called(attn, inputs, {})
    return torch.allclose(expected + attn.b_O.double(), actual, rtol=1e-4, atol=1e-4)


def _from_weights(
    attn: Attention, attn_in: Float[Tensor, "seq d_model"]
) -> Float[Tensor, "head seq seq"]:
    project = "seq d_model, head d_model d_head -> head seq d_head"
    query = einsum(attn_in, attn.W_Q, project) + attn.b_Q[:, None]
    key = einsum(attn_in, attn.W_K, project) + attn.b_K[:, None]
    scores: Tensor = query @ key.mT / attn.W_Q.shape[2] ** 0.5
    later = torch.ones_like(scores[0], dtype=torch.bool).triu(diagonal=1)
    return scores.masked_fill(later, -torch.inf).softmax(dim=-1)


@torch.no_grad()
def unembed(model: Model, resid: Float[Tensor, "seq d_model"]) -> Float[Tensor, "seq d_vocab"]:
    """The logits of a residual stream: the final norm, then the unembedding."""
    final = model.ln_final(resid[None])
    unembed: Unembed | None = getattr(model, "unembed", None)
    logits = final @ model.embed.W_E.T if unembed is None else unembed(final)
    return logits[0]


@contextmanager
def without_heads(model: Model, heads: list[tuple[int, int]]) -> Iterator[None]:
    """In this context, these heads (layer, head) add nothing to the residual stream.

    Their rows of W_O are zeroed, which is equivalent to zeroing hook_z and needs no tap.
    """
    saved = []
    with torch.no_grad():
        for layer, head in heads:
            row = model.blocks[layer].attn.W_O[head]
            saved.append((row, row.clone()))
            row.zero_()
    try:
        yield
    finally:
        with torch.no_grad():
            for row, values in reversed(saved):
                row.copy_(values)
