"""Count the arithmetic of a token, and the tokens that suit a model's size.

The convention is PaLM's (Chowdhery et al. 2022, "PaLM", appendix B), which nanoGPT's `estimate_mfu`
follows too: only matrix products count, a multiplication and an addition as two; the backward pass
makes two products for each of the forward pass; nothing that is computed twice counts twice; and
attention counts as if every position attended to the whole context. Half of that is masked, and
kernels that skip the masked half do less than they are credited with: `causal=True` leaves it out.
So that shares of a peak can be compared with published ones, everything in this kit that is called
a share of peak uses the convention as it stands.
"""

from gpt2_small.model_protocol import Config

# Forward, then a product for each of the two gradients (Kaplan et al. 2020, "Scaling Laws for
# Neural Language Models", section 2.1).
FORWARDS_IN_A_STEP = 3

# Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models", table 3: 8.0 billion
# tokens for 400 million parameters, 20.2 billion for a billion.
CHINCHILLA_TOKENS_PER_PARAMETER = 20


def product_weights(config: Config) -> int:
    """How many weights a token is multiplied with: the blocks' matrices and the unembedding.

    The embeddings are looked up, which multiplies nothing. A tied W_E counts as the unembedding.
    """
    in_a_block = 4 * config.d_model**2 + 2 * config.d_model * config.d_mlp
    return config.n_layers * in_a_block + config.d_vocab * config.d_model


def embedding_parameters(config: Config) -> int:
    """Elements of W_E and W_pos, whose gradients a backward pass gives last."""
    return (config.d_vocab + config.n_ctx) * config.d_model


def parameter_count(config: Config) -> int:
    """Elements of all parameters of the Transformer of this shape; a tied W_E counts once."""
    biases = 4 * config.d_model + config.d_mlp + config.d_model
    norms = 4 * config.d_model
    unembedding = 0 if config.tied_embeddings else config.d_vocab * (config.d_model + 1)
    blocks = product_weights(config) - config.d_vocab * config.d_model
    vectors = config.n_layers * (biases + norms) + 2 * config.d_model
    return embedding_parameters(config) + blocks + vectors + unembedding


def attention_flops(config: Config, *, seq: int | None = None, causal: bool = False) -> float:
    """Of a token's forward pass: its scores, and the sum of values that they weigh, in all layers.

    seq: positions in a window; left out, n_ctx.
    causal: count only the keys that a position may attend to, (seq + 1) / 2 of them on average.
    """
    seq = config.n_ctx if seq is None else seq
    keys = (seq + 1) / 2 if causal else seq
    return 2 * 2 * config.n_layers * config.d_model * keys


def forward_flops(config: Config, *, seq: int | None = None, causal: bool = False) -> float:
    """Of a token's forward pass, attention included; arguments as for `attention_flops`."""
    return 2 * product_weights(config) + attention_flops(config, seq=seq, causal=causal)


def training_flops(config: Config, *, seq: int | None = None, causal: bool = False) -> float:
    """Of a token's forward and backward pass; arguments as for `attention_flops`."""
    return FORWARDS_IN_A_STEP * forward_flops(config, seq=seq, causal=causal)


def optimal_tokens(config: Config) -> int:
    """Tokens on which a model of this size is best trained, for what that training costs."""
    return CHINCHILLA_TOKENS_PER_PARAMETER * parameter_count(config)
