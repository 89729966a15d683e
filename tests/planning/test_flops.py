"""Test FLOPs and parameters of a shape against torch's counter and the model."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import gpt2_small
from gpt2_small import preset
from gpt2_small.kernels import matmul
from gpt2_small.model.twin import FastTransformer
from gpt2_small.planning.flops import (
    attention_flops,
    forward_flops,
    optimal_tokens,
    parameter_count,
    product_weights,
    training_flops,
)

SHAPES = {
    "tied": dict(d_model=48, n_layers=3, n_heads=4, n_ctx=24, d_vocab=101),
    "untied": dict(d_model=32, n_layers=2, n_heads=2, n_ctx=16, d_vocab=77, tied_embeddings=False),
    "thin": dict(d_model=24, n_layers=2, n_heads=3, d_mlp=40, n_ctx=40, d_vocab=50),
}
BATCH = 3


@pytest.fixture(params=SHAPES)
def config(request):
    return gpt2_small.TransformerConfig(**SHAPES[request.param])


def counted_flops(loss, batch):
    """Return the FLOPs per token of a forward and backward pass by torch's counter."""
    with FlopCounterMode(display=False) as counter:
        loss(batch).backward()
    return counter.get_total_flops() / batch[:, 1:].numel()


def windows(config, seq=None):
    return torch.randint(config.d_vocab, (BATCH, (seq or config.n_ctx) + 1))


@pytest.fixture
def countable(monkeypatch):
    """Run the twin on operators that the counter knows: torch's matmul, explicit attention.

    The counter ignores oneDNN's operator, and flash attention on a CPU.
    """
    monkeypatch.setattr(matmul, "onednn_serves", lambda *_: False)
    with sdpa_kernel(SDPBackend.MATH):
        yield


def test_the_references_flops_equal_those_of_torchs_counter(config):
    model = gpt2_small.Transformer(config)

    def loss(batch):
        return gpt2_small.next_token_loss(model(batch[:, :-1]), batch)

    assert counted_flops(loss, windows(config)) == training_flops(config)


def test_the_twins_flops_equal_those_of_torchs_counter(config, countable):
    twin = FastTransformer(gpt2_small.Transformer(config), positions_per_chunk=13)
    assert counted_flops(twin, windows(config)) == training_flops(config)


def test_shorter_windows_need_fewer_attention_flops(config, countable):
    twin = FastTransformer(gpt2_small.Transformer(config))
    assert counted_flops(twin, windows(config, seq=7)) == training_flops(config, seq=7)
    assert training_flops(config, seq=7) < training_flops(config)


def test_the_forward_pass_is_a_third_of_the_flops(config):
    model = gpt2_small.Transformer(config)
    tokens = windows(config)[:, :-1]
    with FlopCounterMode(display=False) as counter:
        model(tokens)
    assert counter.get_total_flops() == forward_flops(config) * tokens.numel()
    assert training_flops(config) == 3 * forward_flops(config)


def test_without_the_masked_half_each_visible_key_is_counted_once(config):
    keys = sum(position + 1 for position in range(config.n_ctx)) / config.n_ctx
    per_key = attention_flops(config, seq=1)
    assert attention_flops(config, causal=True) == keys * per_key
    assert attention_flops(config) == config.n_ctx * per_key
    products_alone = forward_flops(config) - attention_flops(config)
    assert forward_flops(config, causal=True) == products_alone + keys * per_key


def test_gpt2s_flops_equal_the_formula_of_palm_and_nanogpt():
    config = preset("gpt2")
    # nanoGPT's N: all parameters without W_pos; biases and gains are the 0.1 % that differ.
    n = parameter_count(config) - config.n_ctx * config.d_model
    palm = 6 * n + 12 * config.n_layers * config.d_model * config.n_ctx
    assert training_flops(config) == pytest.approx(palm, rel=1.5e-3)
    assert training_flops(config) == 6 * 123_532_032 + 12 * 12 * 768 * 1024


def test_the_number_of_parameters_equals_the_models(config):
    model = gpt2_small.Transformer(config)
    assert parameter_count(config) == sum(weight.numel() for weight in model.parameters())


def test_gpt2_has_its_published_number_of_parameters_and_20_tokens_for_each_are_recommended():
    assert parameter_count(preset("gpt2")) == 124_439_808
    assert parameter_count(preset("gpt2-xl")) == 1_557_611_200
    assert optimal_tokens(preset("gpt2")) == 2_488_796_160


def test_every_counted_weight_is_a_matrix_of_the_model(config):
    model = gpt2_small.Transformer(config)
    looked_up = {"embed.W_E", "pos_embed.W_pos"} - (
        {"embed.W_E"} if model.unembed is None else set()
    )
    matrices = {
        name: weight.numel()
        for name, weight in model.named_parameters()
        if name.split(".")[-1].startswith("W") and name not in looked_up
    }
    assert product_weights(config) == sum(matrices.values())


def test_computing_a_product_twice_is_detected(config):
    model = gpt2_small.Transformer(config)

    def wasteful(batch):
        model(batch[:, :-1])
        return gpt2_small.next_token_loss(model(batch[:, :-1]), batch)

    assert counted_flops(wasteful, windows(config)) > training_flops(config)
