"""Recognise parts under the names of other implementations."""

from collections.abc import Iterable

from gpt2_small.checker.layouts.module_names import CLASSES
from gpt2_small.errors import nearest

# Beside `module_names.CLASSES`; names too common to say which class is the part.
_ALSO_CALLED = {
    "LayerNorm": "LN Norm MyLayerNorm",
    "Embedding": "TokenEmbeddings Embeddings WordEmbedding",
    "PositionalEmbedding": "PositionalEncoding PositionalEmbeddings",
    "MultiHeadAttention": "SelfAttention MultiHead CausalAttention MaskedSelfAttention MHA",
    "MLP": "FFWD PositionwiseFeedForward",
    "TransformerBlock": "TransformerLayer DecoderLayer Layer",
    "Unembedding": "LMHead LanguageModelHead OutputHead",
    "Transformer": "LanguageModel BigramLanguageModel TransformerLM Model MyGPT",
    "next_token_loss": "loss loss_fn compute_loss get_loss calc_loss calc_loss_batch lm_loss "
    "cross_entropy_loss lm_cross_entropy_loss",
    "sample": "sample_next_token sample_token sample_with_temperature sample_logits",
    "generate": "generate_text generate_text_simple generate_tokens sample_text",
    "learning_rate": "get_lr lr_schedule get_learning_rate cosine_schedule lr_lambda",
    "parameter_groups": "configure_optimizers get_param_groups param_groups get_parameter_groups",
    "train_step": "training_step step one_step",
    "train": "train_loop training_loop train_model fit",
}


def meant_by(part: str, names: Iterable[str]) -> str | None:
    """The name in a file that most likely stands for a missing part."""
    there = {_plain(name): name for name in names}
    for other in (*CLASSES.get(part, ()), *_ALSO_CALLED.get(part, "").split()):
        if _plain(other) in there:
            return there[_plain(other)]
    return nearest(part, list(there.values()), cutoff=0.75)


def _plain(name: str) -> str:
    return name.lower().replace("_", "")
