"""Count the FLOPs per token, and the compute-optimal number of training tokens.

The convention is PaLM's (Chowdhery et al. 2022, "PaLM", appendix B), as in nanoGPT's
`estimate_mfu`: only matrix products count, a multiplication and an addition as two operations; the
backward pass has two products for each of the forward pass; recomputation does not count; and every
position attends to the whole context. `causal=True` excludes the masked half. Shares of peak in
this kit use the convention without `causal`, so that they can be compared with published ones.
"""

from gpt2_small.model_protocol import Config

# Forward, then a product for each of the two gradients (Kaplan et al. 2020, "Scaling Laws for
# Neural Language Models", section 2.1).
FORWARDS_IN_A_STEP = 3

# Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models", table 3: 8.0 billion
# tokens for 400 million parameters, 20.2 billion for a billion.
CHINCHILLA_TOKENS_PER_PARAMETER = 20


def product_weights(config: Config) -> int:
    """The number of weights in products: the blocks' matrices and the unembedding.

    Looking up embeddings is not a product. A tied W_E counts as the unembedding.
    """
    in_a_block = 4 * config.d_model**2 + 2 * config.d_model * config.d_mlp
    return config.n_layers * in_a_block + config.d_vocab * config.d_model


def embedding_parameters(config: Config) -> int:
    """The elements of W_E and W_pos, whose gradients the backward pass computes last."""
    return (config.d_vocab + config.n_ctx) * config.d_model


def parameter_count(config: Config) -> int:
    """The number of parameters; a tied W_E counts once."""
    biases = 4 * config.d_model + config.d_mlp + config.d_model
    norms = 4 * config.d_model
    unembedding = 0 if config.tied_embeddings else config.d_vocab * (config.d_model + 1)
    blocks = product_weights(config) - config.d_vocab * config.d_model
    vectors = config.n_layers * (biases + norms) + 2 * config.d_model
    return embedding_parameters(config) + blocks + vectors + unembedding


def attention_flops(config: Config, *, seq: int | None = None, causal: bool = False) -> float:
    """FLOPs of attention in a token's forward pass: scores and weighted values, in all layers.

    seq: positions in a window; left out, n_ctx.
    causal: count only the visible keys, (seq + 1) / 2 on average.
    """
    seq = config.n_ctx if seq is None else seq
    keys = (seq + 1) / 2 if causal else seq
    return 2 * 2 * config.n_layers * config.d_model * keys


def forward_flops(config: Config, *, seq: int | None = None, causal: bool = False) -> float:
    """FLOPs of a token's forward pass; arguments as for `attention_flops`."""
    return 2 * product_weights(config) + attention_flops(config, seq=seq, causal=causal)


def training_flops(config: Config, *, seq: int | None = None, causal: bool = False) -> float:
    """FLOPs of a token's forward and backward pass; arguments as for `attention_flops`."""
    return FORWARDS_IN_A_STEP * forward_flops(config, seq=seq, causal=causal)


def optimal_tokens(config: Config) -> int:
    """The compute-optimal number of training tokens of this model."""
    return CHINCHILLA_TOKENS_PER_PARAMETER * parameter_count(config)
