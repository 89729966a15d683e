"""Read stored results of TransformerLens and Hugging Face for a small GPT-2 and its components.

The tests compute them again with the two libraries and compare.
"""

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpt2_small.errors import UserError

STORED = ("tied", "untied")
_FOLDER = Path(__file__).parent / "reference"
GROUPS = ("weights", "activations", "gradients", "component_gradients")


@dataclass(frozen=True)
class StoredReference:
    """A GPT-2's weights and tokens, with activations, loss and gradients.

    config: the fields of TransformerConfig.
    weights: by TransformerLens's names, ready for `load_state_dict`; b_U is 0, since neither
        TransformerLens nor Hugging Face has a bias there.
    tokens: [batch seq]; token 0 and the last one are among them.
    logits: [batch seq d_vocab].
    activations: by `activation_names`; attention scores are 0 above the diagonal.
    loss: mean next-token loss in nats; NaN for a sequence of 1, which has no next token.
    gradients: of the loss, by the names of the weights; empty for a sequence of 1.
    component_gradients: of the loss with respect to a component's input ("blocks.0.attn.input",
        through that component only) and output ("blocks.0.attn.output").
    versions: the libraries' versions.
    """

    config: dict[str, Any]
    weights: dict[str, Tensor]
    tokens: Tensor
    logits: Tensor
    activations: dict[str, Tensor]
    loss: Tensor
    gradients: dict[str, Tensor]
    component_gradients: dict[str, Tensor]
    versions: dict[str, str]

    def to(self, dtype: torch.dtype) -> "StoredReference":
        """A copy with real numbers rounded to another dtype."""
        changed: dict[str, Any] = {
            group: {name: tensor.to(dtype) for name, tensor in getattr(self, group).items()}
            for group in GROUPS
        }
        return dataclasses.replace(
            self, logits=self.logits.to(dtype), loss=self.loss.to(dtype), **changed
        )


@dataclass(frozen=True)
class ComponentCase:
    """The expected results of a single component.

    component: its class, "LayerNorm" for instance; where: its place in the model, "blocks.0.ln1".
    parameters, input, output: its state dict, its argument, and its result.
    activations: its taps, by name within the component.
    output_gradient: the argument of `output.backward`, which gives parameter_gradients and
        input_gradient. All are None or empty without a loss; tokens have no input_gradient.
    """

    component: str
    where: str
    parameters: dict[str, Tensor]
    input: Tensor
    output: Tensor
    activations: dict[str, Tensor]
    output_gradient: Tensor | None
    parameter_gradients: dict[str, Tensor]
    input_gradient: Tensor | None


def activation_names(n_layers: int) -> list[str]:
    """All keys of `run_with_cache`."""
    norm = ["hook_scale", "hook_normalized"]
    attention = ["hook_q", "hook_k", "hook_v", "hook_attn_scores", "hook_pattern", "hook_z"]
    block = [f"hook_{tap}" for tap in ("resid_pre", "attn_out", "resid_mid", "mlp_out")]
    block += ["hook_resid_post", "mlp.hook_pre", "mlp.hook_post"]
    block += [f"{ln}.{tap}" for ln in ("ln1", "ln2") for tap in norm]
    block += [f"attn.{tap}" for tap in attention]
    names = ["hook_embed", "hook_pos_embed", *(f"ln_final.{tap}" for tap in norm)]
    return names + [f"blocks.{layer}.{tap}" for layer in range(n_layers) for tap in block]


def comparable(name: str, activation: Tensor) -> Tensor:
    """An activation without values that may differ: masked attention scores."""
    return activation.tril() if name.endswith("hook_attn_scores") else activation


def stored_path(name: str) -> Path:
    """A stored reference's path."""
    return _FOLDER / f"{name}.safetensors"


@functools.cache
def stored_reference(name: str) -> StoredReference:
    """A small float64 reference in the package: "tied" or "untied".

    Raises UserError for a missing or changed file.
    """
    from safetensors import SafetensorError, safe_open

    path = stored_path(name)
    damaged = UserError(f"the stored reference {path} is damaged; install gpt2-small again")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if about.pop("sha256", None) != digest(tensors, about):
            raise damaged
    except FileNotFoundError:
        raise UserError(
            f"there is no stored reference {path}; choose one of {list(STORED)}"
        ) from None
    except (SafetensorError, OSError):
        raise damaged from None
    groups: dict[str, Any] = {
        group: {
            key.removeprefix(f"{group}/"): tensor
            for key, tensor in tensors.items()
            if key.startswith(f"{group}/")
        }
        for group in GROUPS
    }
    return StoredReference(
        config=json.loads(about["config"]),
        versions=json.loads(about["versions"]),
        tokens=tensors["tokens"],
        logits=tensors["logits"],
        loss=tensors["loss"],
        **groups,
    )


def digest(tensors: dict[str, Tensor], about: dict[str, str]) -> str:
    """A stored reference's SHA-256."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for key in sorted(tensors):
        tensor = tensors[key]
        digest.update(f"{key} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def component_cases(reference: StoredReference) -> list[ComponentCase]:
    """All components of a reference, at all their places."""
    taps, n_layers = reference.activations, reference.config["n_layers"]
    tokens, logits = reference.tokens, reference.logits

    def normed(where: str) -> Tensor:
        gain, bias = reference.weights[f"{where}.w"], reference.weights[f"{where}.b"]
        return taps[f"{where}.hook_normalized"] * gain + bias

    places = [("Embedding", "embed", tokens, taps["hook_embed"])]
    places += [("PositionalEmbedding", "pos_embed", tokens, taps["hook_pos_embed"])]
    for block in (f"blocks.{layer}" for layer in range(n_layers)):
        pre, mid, post = (taps[f"{block}.hook_resid_{stage}"] for stage in ("pre", "mid", "post"))
        ln1, ln2 = f"{block}.ln1", f"{block}.ln2"
        attn_out, mlp_out = taps[f"{block}.hook_attn_out"], taps[f"{block}.hook_mlp_out"]
        places += [
            ("LayerNorm", ln1, pre, normed(ln1)),
            ("MultiHeadAttention", f"{block}.attn", normed(ln1), attn_out),
            ("LayerNorm", ln2, mid, normed(ln2)),
            ("MLP", f"{block}.mlp", normed(ln2), mlp_out),
            ("TransformerBlock", block, pre, post),
        ]
    places += [("LayerNorm", "ln_final", post, normed("ln_final"))]
    if not reference.config["tied_embeddings"]:
        places += [("Unembedding", "unembed", normed("ln_final"), logits)]
    places += [("Transformer", "", tokens, logits)]
    return [_case(reference, *place) for place in places]


def _case(
    reference: StoredReference, component: str, where: str, given: Tensor, expected: Tensor
) -> ComponentCase:
    def within(named: dict[str, Tensor]) -> dict[str, Tensor]:
        prefix = f"{where}." if where else ""
        return {key.removeprefix(prefix): t for key, t in named.items() if key.startswith(prefix)}

    output_gradient = reference.component_gradients.get(f"{where or 'unembed'}.output")
    parameter_gradients = within(reference.gradients)
    if component == "Embedding" and output_gradient is not None:
        # A tied W_E also has the unembedding's gradient, which is not this component's.
        rows = torch.zeros_like(reference.weights["embed.W_E"])
        rows.index_add_(0, reference.tokens.flatten(), output_gradient.flatten(0, 1))
        parameter_gradients = {"W_E": rows}
    return ComponentCase(
        component=component,
        where=where,
        parameters=within(reference.weights),
        input=given,
        output=expected,
        activations=within(reference.activations),
        output_gradient=output_gradient,
        parameter_gradients=parameter_gradients,
        input_gradient=reference.component_gradients.get(f"{where}.input"),
    )
