"""Load the models to compare with, each in its fastest documented mode; None if not installed."""

import contextlib
import importlib.util
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import gpt2_small


@dataclass(frozen=True)
class Shape:
    """The shape of all compared models; dropout is 0."""

    n_layers: int = 12
    n_heads: int = 12
    d_model: int = 768
    n_ctx: int = 1024
    d_vocab: int = 50257

    @property
    def d_mlp(self) -> int:
        return 4 * self.d_model


SHAPES = {
    "gpt2": Shape(),
    "gpt2-padded": Shape(d_vocab=50304),  # a multiple of 128, which is faster on CUDA
    "gpt2-medium": Shape(n_layers=24, n_heads=16, d_model=1024),
    "gpt2-large": Shape(n_layers=36, n_heads=20, d_model=1280),
    "gpt2-xl": Shape(n_layers=48, n_heads=25, d_model=1600),
    "tiny": Shape(n_layers=2, n_heads=2, d_model=32, n_ctx=64, d_vocab=211),
}


def config_of(shape: Shape) -> "gpt2_small.TransformerConfig":
    """Return our own config of this shape."""
    return gpt2_small.TransformerConfig(
        n_layers=shape.n_layers,
        n_heads=shape.n_heads,
        d_model=shape.d_model,
        n_ctx=shape.n_ctx,
        d_vocab=shape.d_vocab,
    )


def reference(shape: Shape) -> "gpt2_small.Transformer":
    """Return our own model."""
    return gpt2_small.Transformer(config_of(shape))


def hugging_face(shape: Shape) -> nn.Module | None:
    """Return transformers' GPT2LMHeadModel with scaled_dot_product_attention."""
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        n_layer=shape.n_layers,
        n_head=shape.n_heads,
        n_embd=shape.d_model,
        n_positions=shape.n_ctx,
        vocab_size=shape.d_vocab,
        bos_token_id=0,
        eos_token_id=0,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    config._attn_implementation = "sdpa"
    model: nn.Module = GPT2LMHeadModel(config)
    return model


def nanogpt(shape: Shape, folder: Path | None) -> Any:
    """Return the GPT of a nanoGPT checkout, with biases as in GPT-2."""
    if folder is None:
        return None
    spec = importlib.util.spec_from_file_location("nanogpt_model", folder / "model.py")
    if spec is None or spec.loader is None or not (folder / "model.py").is_file():
        print(f"{folder} has no model.py; give the folder of a nanoGPT checkout", file=sys.stderr)
        sys.exit(2)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    with contextlib.redirect_stdout(io.StringIO()):
        return module.GPT(
            module.GPTConfig(
                n_layer=shape.n_layers,
                n_head=shape.n_heads,
                n_embd=shape.d_model,
                block_size=shape.n_ctx,
                vocab_size=shape.d_vocab,
                dropout=0.0,
                bias=True,
            )
        )


def nanogpt_optimizer(model: Any, device: str) -> torch.optim.Optimizer:
    """Return its own optimiser: fused on CUDA only."""
    with contextlib.redirect_stdout(io.StringIO()):
        optimizer: torch.optim.Optimizer = model.configure_optimizers(
            0.1, 6e-4, (0.9, 0.95), device
        )
    return optimizer


def transformer_lens(shape: Shape) -> Any:
    """Return a TransformerBridge around the model of transformers."""
    if importlib.util.find_spec("transformer_lens") is None:
        return None
    model = hugging_face(shape)
    if model is None:
        return None
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    return build_bridge_from_module(model, "GPT2LMHeadModel", hf_config=model.config)
