"""Compute a small GPT-2's activations and gradients with TransformerLens and Hugging Face.

The only file that calls them for this. `tools/store_references.py` stores its results.
"""

import copy
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from gpt2_small.checker import stored_reference

_HUGGING_FACE_NAMES = {
    "d_model": "n_embd",
    "n_layers": "n_layer",
    "n_heads": "n_head",
    "d_mlp": "n_inner",
    "n_ctx": "n_positions",
    "d_vocab": "vocab_size",
    "layer_norm_eps": "layer_norm_epsilon",
    "init_std": "initializer_range",
    "tied_embeddings": "tie_word_embeddings",
}


def live_reference(
    fields: dict[str, Any], *, seed: int, batch: int, seq: int, dtype: torch.dtype = torch.float64
) -> stored_reference.StoredReference:
    """Build a GPT-2 of this shape in Hugging Face's code with random parameters, and run it with
    Hugging Face and TransformerLens.

    fields: of TransformerConfig, with GPT-2 small's as defaults. Dropout is 0.
    """
    generator = torch.Generator().manual_seed(seed)
    config = hugging_face_config(fields)
    model = randomised(config, generator).to(dtype)
    tokens = torch.randint(config.vocab_size, (batch, seq), generator=generator)
    tokens.view(-1)[0], tokens.view(-1)[-1] = 0, config.vocab_size - 1

    weights, activations = transformer_lens_answer(model, tokens)
    logits, loss, gradients, component_gradients = hugging_face_answer(model, tokens)
    if config.tie_word_embeddings:
        weights = {key: w for key, w in weights.items() if not key.startswith("unembed")}
    return stored_reference.StoredReference(
        config={
            **{ours: getattr(config, theirs) for ours, theirs in _HUGGING_FACE_NAMES.items()},
            "d_head": config.n_embd // config.n_head,
            "dropout": 0.0,
        },
        weights=weights,
        tokens=tokens,
        logits=logits,
        activations=activations,
        loss=loss,
        gradients=gradients,
        component_gradients=component_gradients,
        versions=versions(),
    )


def hugging_face_config(fields: dict[str, Any]) -> Any:
    """Return Hugging Face's configuration of the same GPT-2, with no dropout."""
    from transformers import GPT2Config

    given: dict[str, Any] = {
        _HUGGING_FACE_NAMES[key]: value
        for key, value in fields.items()
        if key in _HUGGING_FACE_NAMES
    }
    given |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    given |= dict.fromkeys(("bos_token_id", "eos_token_id"))
    given |= {"attn_implementation": "eager", "use_cache": False}
    config = GPT2Config(**given)
    config.n_inner = config.n_inner or 4 * config.n_embd
    return config


def randomised(config: Any, generator: torch.Generator) -> Any:
    """Return Hugging Face's GPT-2 with random parameters, gains around 1 and biases around 0.

    A fresh one has gains of 1 and biases of 0, which hide many mistakes.
    """
    from transformers import GPT2LMHeadModel
    from transformers.initialization import no_init_weights

    with no_init_weights():
        model = GPT2LMHeadModel(config)
    model.tie_weights()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 2:
                rows, columns = parameter.shape
                width = rows if ".c_" in name else columns
                parameter.copy_(noise / width**0.5)
            else:
                is_gain = name.endswith("weight")
                parameter.copy_(0.3 * noise + is_gain)
    model.train(False)
    return model


def transformer_lens_answer(
    model: Any, tokens: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return TransformerLens's weights and activations of a Hugging Face model, unchanged by it."""
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    bridge = build_bridge_from_module(
        copy.deepcopy(model), "GPT2LMHeadModel", hf_config=model.config
    )
    names = stored_reference.activation_names(model.config.n_layer)
    with torch.no_grad():
        _, cache = bridge.run_with_cache(tokens, names_filter=lambda name: name in names)
    weights = {key: w.detach().contiguous() for key, w in bridge.tl_named_parameters()}
    return weights, {
        name: stored_reference.comparable(name, cache[name].detach()) for name in names
    }


def hugging_face_answer(
    model: Any, tokens: Tensor
) -> tuple[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Return Hugging Face's logits, next-token loss, and gradients of weights and components."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    for where, module in places(model):
        listen(module, where, inputs, outputs)
    logits = model(tokens).logits
    if tokens.shape[1] == 1:
        return logits.detach(), torch.full_like(logits[0, 0, 0], torch.nan).detach(), {}, {}
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    component_gradients: dict[str, Tensor] = {}
    for side, tensors in (("input", inputs), ("output", outputs)):
        for where, tensor in tensors.items():
            assert tensor.grad is not None
            component_gradients[f"{where}.{side}"] = tensor.grad
    # Hugging Face embeds positions once for all rows; expand them to one row per sequence.
    component_gradients["pos_embed.output"] = component_gradients["embed.output"]
    gradients = gradients_by_our_names(model)
    if "unembed.W_U" in gradients:
        gradients["unembed.b_U"] = component_gradients["unembed.output"].sum(dim=(0, 1))
    return logits.detach(), loss.detach(), gradients, component_gradients


def places(model: Any) -> Iterator[tuple[str, nn.Module]]:
    """Return Hugging Face's modules by our names."""
    body = model.transformer
    yield from [("embed", body.wte), ("pos_embed", body.wpe)]
    for layer, block in enumerate(body.h):
        where = f"blocks.{layer}"
        yield from [(where, block), (f"{where}.ln1", block.ln_1), (f"{where}.attn", block.attn)]
        yield from [(f"{where}.ln2", block.ln_2), (f"{where}.mlp", block.mlp)]
    yield from [("ln_final", body.ln_f), ("unembed", model.lm_head)]


def listen(
    module: nn.Module, where: str, inputs: dict[str, Tensor], outputs: dict[str, Tensor]
) -> None:
    """Record a module's input (as an independent copy) and its output, with gradients."""

    def before(_module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not given[0].is_floating_point():
            return None
        inputs[where] = given[0].clone()
        inputs[where].retain_grad()
        return (inputs[where], *given[1:])

    def after(_module: nn.Module, _given: Any, result: Any) -> None:
        outputs[where] = result[0] if isinstance(result, tuple) else result
        outputs[where].retain_grad()

    module.register_forward_pre_hook(before)
    module.register_forward_hook(after)


def gradients_by_our_names(model: Any) -> dict[str, Tensor]:
    """Return a Hugging Face model's gradients under TransformerLens's names and shapes."""
    body, heads = model.transformer, model.config.n_head
    ours = {"embed.W_E": body.wte.weight.grad, "pos_embed.W_pos": body.wpe.weight.grad}
    for layer, block in enumerate(body.h):
        where = f"blocks.{layer}"
        for ln, norm in (("ln1", block.ln_1), ("ln2", block.ln_2)):
            ours |= {f"{where}.{ln}.w": norm.weight.grad, f"{where}.{ln}.b": norm.bias.grad}
        for letter, weight, bias in zip(
            "QKV",
            block.attn.c_attn.weight.grad.chunk(3, dim=1),
            block.attn.c_attn.bias.grad.chunk(3),
            strict=True,
        ):
            split = "d_model (head d_head) -> head d_model d_head"
            ours[f"{where}.attn.W_{letter}"] = rearrange(weight, split, head=heads)
            split = "(head d_head) -> head d_head"
            ours[f"{where}.attn.b_{letter}"] = rearrange(bias, split, head=heads)
        split = "(head d_head) d_model -> head d_head d_model"
        ours[f"{where}.attn.W_O"] = rearrange(block.attn.c_proj.weight.grad, split, head=heads)
        ours[f"{where}.attn.b_O"] = block.attn.c_proj.bias.grad
        for side, linear in (("in", block.mlp.c_fc), ("out", block.mlp.c_proj)):
            ours[f"{where}.mlp.W_{side}"] = linear.weight.grad
            ours[f"{where}.mlp.b_{side}"] = linear.bias.grad
    ours |= {"ln_final.w": body.ln_f.weight.grad, "ln_final.b": body.ln_f.bias.grad}
    if not model.config.tie_word_embeddings:
        ours["unembed.W_U"] = model.lm_head.weight.grad.T
    return ours


def versions() -> dict[str, str]:
    """Return the versions of the libraries used."""
    return {name: metadata.version(name) for name in ("transformer-lens", "transformers", "torch")}
