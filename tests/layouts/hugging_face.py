"""The parts of transformers' GPT-2 themselves."""

from torch.nn import LayerNorm
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP, GPT2Attention

__all__ = ["GPT2MLP", "GPT2Attention", "LayerNorm"]
