"""Transformer: the parts put together, tied and untied."""

import math
from dataclasses import replace

import claims
import pytest
import torch
import torch.nn.functional as F
import torch_gpt2
from safetensors.torch import load, save
from strategies import SMALL, for_every_case, parameters

from gpt2_small.checker.tolerances import assert_close

pytestmark = pytest.mark.component("Transformer")

GPT2_SMALL_PARAMETERS = 124_439_808


def oracle(case):
    return lambda params, tokens: torch_gpt2.transformer(params, tokens, case.n_layers)


def silence_blocks(model):
    """Make every block pass the stream on unchanged."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.split(".")[-1] in ("W_O", "b_O", "W_out", "b_out"):
                parameter.zero_()


def expected_shapes(case):
    """The contract's table of names and shapes, for an untied model."""
    heads, d_model, d_head, d_mlp = case.n_heads, case.d_model, case.d_head, case.d_mlp
    norm = {"w": (d_model,), "b": (d_model,)}
    attn = {f"W_{x}": (heads, d_model, d_head) for x in "QKV"}
    attn |= {f"b_{x}": (heads, d_head) for x in "QKV"}
    attn |= {"W_O": (heads, d_head, d_model), "b_O": (d_model,)}
    mlp = {"W_in": (d_model, d_mlp), "b_in": (d_mlp,), "W_out": (d_mlp, d_model)}
    mlp |= {"b_out": (d_model,)}
    parts = {"embed": {"W_E": (case.d_vocab, d_model)}, "ln_final": norm}
    parts |= {"pos_embed": {"W_pos": (case.n_ctx, d_model)}}
    parts |= {"unembed": {"W_U": (d_model, case.d_vocab), "b_U": (case.d_vocab,)}}
    for layer in range(case.n_layers):
        inside = {"ln1": norm, "attn": attn, "ln2": norm, "mlp": mlp}
        parts |= {f"blocks.{layer}.{part}": shapes for part, shapes in inside.items()}
    return {f"{part}.{name}": s for part, shapes in parts.items() for name, s in shapes.items()}


@for_every_case
def test_an_untied_model_holds_exactly_the_parameters_of_the_contract(solution, case):
    model = case.build(solution, "Transformer", tied_embeddings=False)
    claims.holds_exactly(model, expected_shapes(case))


@for_every_case
def test_a_tied_model_holds_the_same_but_no_unembedding(solution, case):
    shapes = expected_shapes(case)
    del shapes["unembed.W_U"], shapes["unembed.b_U"]
    claims.holds_exactly(case.build(solution, "Transformer"), shapes)


def test_gpt2_small_has_124_439_808_parameters(solution):
    with torch.device("meta"):
        model = solution.Transformer(solution.TransformerConfig())
    assert sum(parameter.numel() for parameter in model.parameters()) == GPT2_SMALL_PARAMETERS


def test_the_model_knows_its_configuration(solution):
    config = SMALL.config(solution)
    assert solution.Transformer(config).config == config


@for_every_case
def test_changing_a_later_token_leaves_every_earlier_output_untouched(solution, case):
    model = replace(case, dtype=torch.float64).build(solution, "Transformer")
    claims.later_positions_do_not_matter(model, case.tokens(), case.tokens(stream=9))


@for_every_case
def test_no_gradient_of_an_output_reaches_a_later_token(solution, case):
    model, read = case.build(solution, "Transformer"), []
    model.embed.register_forward_hook(lambda _m, _i, out: read.append(out))
    logits = model(case.tokens())
    claims.no_gradient_reaches_a_later_position(logits, read[0])


@for_every_case
def test_rows_of_a_batch_do_not_touch_each_other(solution, case):
    claims.rows_do_not_touch(case.build(solution, "Transformer"), case.tokens())


@for_every_case
def test_a_tied_model_is_gpt2_of_torchs_own_operations(solution, case):
    claims.equals_torch(case.build(solution, "Transformer"), case.tokens(), oracle(case))


@for_every_case
def test_an_untied_model_is_gpt2_of_torchs_own_operations(solution, case):
    model = case.build(solution, "Transformer", tied_embeddings=False)
    claims.equals_torch(model, case.tokens(), oracle(case))


@for_every_case
def test_its_gradients_are_torchs(solution, case):
    case = replace(case, dtype=torch.float64)
    for tied in (True, False):
        model = case.build(solution, "Transformer", tied_embeddings=tied)
        claims.gradients_equal_torchs(model, case.tokens(), oracle(case))


@for_every_case
def test_with_silent_blocks_the_final_norm_of_both_embeddings_is_unembedded(solution, case):
    model, tokens = case.build(solution, "Transformer"), case.tokens()
    silence_blocks(model)
    stream = model.embed.W_E[tokens] + model.pos_embed.W_pos[: case.seq]
    final = F.layer_norm(stream, stream.shape[-1:], model.ln_final.w, model.ln_final.b)
    assert_close(model(tokens), final @ model.embed.W_E.T, "the logits")


def test_every_block_is_run_once_in_order(solution):
    model, order = replace(SMALL, n_layers=4).build(solution, "Transformer"), []
    for number, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, number=number: order.append(number))
    model(SMALL.tokens())
    assert order == [0, 1, 2, 3]


def test_an_untied_unembedding_is_no_other_layers_weight(solution):
    model = SMALL.build(solution, "Transformer", tied_embeddings=False)
    before = model(SMALL.tokens())
    with torch.no_grad():
        model.unembed.W_U.mul_(2)
        model.unembed.b_U.mul_(2)
    assert_close(model(SMALL.tokens()), 2 * before, "the logits of a doubled unembedding")


def test_logits_are_not_normalised(solution):
    model = SMALL.build(solution, "Transformer", tied_embeddings=False)
    with torch.no_grad():
        before = model(SMALL.tokens())
        model.unembed.b_U.add_(1.0)
        assert_close(model(SMALL.tokens()), before + 1.0, "the logits after adding 1 to the bias")


def test_a_full_context_is_read_and_a_longer_one_refused_with_both_lengths(solution):
    model = SMALL.build(solution, "Transformer")
    full = replace(SMALL, seq=SMALL.n_ctx)
    claims.equals_torch(model, full.tokens(), oracle(SMALL))
    with pytest.raises(ValueError, match=r"13.*12|12.*13"):
        model(replace(SMALL, seq=SMALL.n_ctx + 1).tokens())


@for_every_case
def test_the_tokens_are_left_alone(solution, case):
    claims.leaves_its_input_alone(case.build(solution, "Transformer"), case.tokens())


@for_every_case
def test_the_tokens_memory_layout_does_not_matter(solution, case):
    claims.reads_any_memory_layout(case.build(solution, "Transformer"), case.tokens())


def test_it_runs_in_bfloat16(solution):
    claims.runs_in(torch.bfloat16, SMALL.build(solution, "Transformer"), SMALL.tokens())


@for_every_case
def test_a_tied_weight_learns_from_both_its_uses(solution, case):
    case = replace(case, dtype=torch.float64)
    model, tokens = case.build(solution, "Transformer"), case.tokens()
    params = parameters(model)
    untied = {**params, "unembed.b_U": torch.zeros(case.d_vocab, dtype=case.dtype)}
    untied["unembed.W_U"] = params["embed.W_E"].detach().T.clone().requires_grad_()
    weights = case.normal(case.batch, case.seq, case.d_vocab)
    (oracle(case)(untied, tokens) * weights).sum().backward()
    (model(tokens) * weights).sum().backward()
    both = untied["embed.W_E"].grad + untied["unembed.W_U"].grad.T
    assert_close(model.embed.W_E.grad, both, "the gradient of the tied weight")


@for_every_case
def test_tied_weights_stay_tied_through_save_load_and_a_training_step(solution, case):
    case = replace(case, dtype=torch.float64)
    saved = save(case.build(solution, "Transformer").state_dict())
    model = replace(case, seed=case.seed + 1).build(solution, "Transformer")
    model.load_state_dict(load(saved))
    claims.equals_torch(model, case.tokens(), oracle(case))
    model(case.tokens()).square().mean().backward()
    torch.optim.AdamW(model.parameters(), lr=0.1).step()
    claims.equals_torch(model, case.tokens(), oracle(case))
    assert not any(name.startswith("unembed") for name in model.state_dict())


def test_two_models_share_nothing(solution):
    one, other = (SMALL.build(solution, "Transformer") for _ in range(2))
    before = other(SMALL.tokens())
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(1.0)
    assert torch.equal(other(SMALL.tokens()), before)


def test_fresh_weights_have_gpt2s_sizes_in_every_block(solution):
    shape = {"d_model": 64, "n_heads": 4, "n_layers": 3, "n_ctx": 128, "d_vocab": 500}
    model = claims.fresh(solution, "Transformer", 1, **shape, tied_embeddings=False)
    for name, parameter in model.named_parameters():
        kind = name.split(".")[-1]
        if kind.startswith("W"):
            into_stream = kind in ("W_O", "W_out")
            claims.is_fresh_noise(parameter, 0.02 / math.sqrt(6) if into_stream else 0.02)
        else:
            assert torch.equal(parameter, torch.full_like(parameter, kind == "w")), name


def test_a_fresh_model_is_a_little_worse_than_guessing(solution):
    """With logits of mean 0 and variance s2 the mean loss is about ln V + s2 / 2 (GPT-2's tie)."""
    shape = {"d_model": 64, "n_heads": 4, "n_layers": 2, "n_ctx": 64, "d_vocab": 500}
    for tied in (True, False):
        model = claims.fresh(solution, "Transformer", 1, **shape, tied_embeddings=tied).eval()
        tokens = torch.randint(500, (64, 65), generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            logits = model(tokens[:, :-1]).flatten(0, 1)
        loss = F.cross_entropy(logits, tokens[:, 1:].flatten()).item()
        assert abs(loss - (math.log(500) + 64 * 0.02**2 / 2)) < 0.03


def test_dropout_acts_on_the_sum_of_the_embeddings(solution):
    case = replace(SMALL, batch=20)
    model, streams = case.build(solution, "Transformer", dropout=0.3).train(), []
    model.blocks[0].register_forward_pre_hook(lambda _block, inputs: streams.append(inputs[0]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model(case.tokens())
        model.eval()(case.tokens())
    trained, evaluated = streams
    claims.happens_with(0.3, trained == 0)
    expected = evaluated.where(trained != 0, 0) / (1 - 0.3)
    assert_close(trained, expected, "the stream that the first block reads")


def test_eval_mode_knows_no_dropout(solution):
    model = SMALL.build(solution, "Transformer", dropout=0.5)
    claims.equals_torch(model, SMALL.tokens(), oracle(SMALL))


@for_every_case
def test_the_taps_show_both_embeddings(solution, case):
    model, tokens = case.build(solution, "Transformer"), case.tokens()
    embed, pos_embed = (claims.listen(model, f"hook_{tap}") for tap in ("embed", "pos_embed"))
    model(tokens)
    assert torch.equal(embed[0], model.embed.W_E[tokens])
    assert torch.equal(pos_embed[0], model.pos_embed.W_pos[: case.seq].expand_as(embed[0]))
