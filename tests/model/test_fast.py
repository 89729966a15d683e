"""Test the fast twin: the reference's loss, logits and gradients."""

import math
from dataclasses import replace

import pytest
import torch
from assert_close import assert_close
from default_share import slowly
from fast_twin_comparison import (
    FEW,
    MANY,
    assert_as_near_in_bfloat16,
    assert_same_function,
    gradients,
    window,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from planting import plant
from strategies import SMALL, Case, cases, randomise
from torch.utils._python_dispatch import TorchDispatchMode

from gpt2_small import preset
from gpt2_small.kernels.chunked_loss import chunk_size
from gpt2_small.model import twin as fast
from gpt2_small.model.presets import PRESETS

# Tolerance in standard errors: a normal variable exceeds it with probability 8e-11, and a test
# compares 70 of them.
SIGMAS = 6.5


any_shape = given(case=cases(), tied=st.booleans(), positions_per_chunk=st.integers(1, 60))


@settings(max_examples=20)
@any_shape
def test_loss_logits_and_gradients_equal_the_references(solution, case, tied, positions_per_chunk):
    assert_same_function(solution, replace(case, scale=1.0), tied, positions_per_chunk)


@pytest.mark.slow
@settings(max_examples=200)
@any_shape
def test_loss_logits_and_gradients_equal_the_references_in_many_shapes(
    solution, case, tied, positions_per_chunk
):
    assert_same_function(solution, replace(case, scale=1.0), tied, positions_per_chunk)


@pytest.mark.parametrize("name", ["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"])
def test_the_published_numbers_of_heads_agree_at_small_widths(solution, name):
    heads = PRESETS[name]["n_heads"]
    shape = {"n_layers": 2, "n_heads": heads, "d_head": 4, "d_mlp": 16 * heads}
    case = replace(SMALL, dtype=torch.float32, **shape)
    assert_same_function(solution, case, tied=True, positions_per_chunk=9)


def test_a_model_in_evaluation_without_gradients_has_the_same_loss(solution):
    model = SMALL.build(solution, "Transformer")
    twin = fast.FastTransformer(model, positions_per_chunk=5)
    with torch.no_grad():
        loss = twin(window(SMALL))
    assert not loss.requires_grad
    assert_close(loss, solution.batch_loss(model, window(SMALL)).detach(), "the loss")


def test_a_frozen_parameter_gets_no_gradient_and_leaves_the_others_theirs(solution):
    model = SMALL.build(solution, "Transformer", tied_embeddings=False)
    model.unembed.W_U.requires_grad_(False)
    model.blocks[0].mlp.W_in.requires_grad_(False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    twin = fast.FastTransformer(model)
    wanted = torch.autograd.grad(solution.batch_loss(model, window(SMALL)), trained)
    got = torch.autograd.grad(twin(window(SMALL)), trained)
    for ours, theirs in zip(got, wanted, strict=True):
        assert_close(ours, theirs, "a gradient")


@pytest.mark.parametrize("tied", [True, False])
def test_the_unembeddings_gradient_has_the_strides_of_its_parameter(solution, tied):
    model = SMALL.build(solution, "Transformer", tied_embeddings=tied)
    parameter = model.embed.W_E if tied else model.unembed.W_U
    loss = fast.FastTransformer(model, positions_per_chunk=4)(window(SMALL))
    (gradient,) = torch.autograd.grad(loss, [parameter])
    assert gradient.is_contiguous()


class LargestTensor(TorchDispatchMode):
    """Records the size of the largest tensor that any operation returns, forward and backward."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        returned = function(*args, **(kwargs or {}))
        for tensor in returned if isinstance(returned, tuple | list) else [returned]:
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return returned


@pytest.mark.parametrize("tied", [True, False])
def test_no_tensor_holds_the_logits_of_more_than_a_chunk(solution, tied):
    case = Case(n_heads=2, d_head=4, d_mlp=16, n_ctx=32, seq=32, d_vocab=2000, batch=4)
    model = case.build(solution, "Transformer", tied_embeddings=tied)
    with LargestTensor() as whole:
        solution.batch_loss(model, window(case)).backward()
    with LargestTensor() as chunked:
        fast.FastTransformer(model, positions_per_chunk=16)(window(case)).backward()
    assert whole.numbers == 4 * 32 * 2000
    assert chunked.numbers == 16 * 2000


@pytest.mark.parametrize("d_vocab", [65, 1000, 50257, 200_000])
def test_on_a_cpu_a_chunk_has_at_least_128_positions_and_no_more_logits_than_gpt_2s(d_vocab):
    chunk = chunk_size(10**6, d_vocab, on_cpu=True)
    assert chunk >= 128
    assert chunk * d_vocab <= 128 * max(d_vocab, 50_304)


def test_on_a_cpu_the_logits_of_a_small_vocabulary_are_one_chunk():
    assert chunk_size(12 * 64, 65, on_cpu=True) == 12 * 64


@pytest.mark.parametrize("batch", [FEW, MANY])
@pytest.mark.parametrize("tied", [True, False])
def test_under_bfloat16_autocast_the_twins_error_is_about_the_models(solution, tied, batch):
    assert_as_near_in_bfloat16(solution, tied, batch)


def test_dropout_has_the_references_distribution(solution):
    case = Case(n_heads=2, d_head=4, d_mlp=16, n_layers=1, n_ctx=5, seq=5, d_vocab=7, batch=1)
    model = case.build(solution, "Transformer", dropout=0.3).train()
    with torch.no_grad():
        model.blocks[0].attn.W_O *= 4  # so that every dropout affects the logits
        model.blocks[0].mlp.W_out *= 4
    draws = case.tokens().expand(20_000, -1)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(3)
        ours, theirs = fast.FastTransformer(model).logits(draws), model(draws)
    assert ours.std(dim=0).min() > 0.01
    for moment in (lambda x: x, lambda x: (x - theirs.mean(dim=0)) ** 2):
        one, two = moment(ours), moment(theirs)
        error = ((one.var(dim=0) + two.var(dim=0)) / len(draws)).sqrt()
        assert ((one.mean(dim=0) - two.mean(dim=0)).abs() < SIGMAS * error).all()


def kept_bytes(run) -> int:
    """Return the bytes that autograd saves for the backward pass, parameters included."""
    storages = {}

    def keep(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(storages.values())


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_recomputed_activations_give_the_same_loss_and_gradients(solution, dropout):
    model = SMALL.build(solution, "Transformer", dropout=dropout).train()
    found = []
    for recompute in (False, True):
        torch.manual_seed(0)
        loss = fast.FastTransformer(model, recompute=recompute)(window(SMALL))
        found.append((loss, gradients(model, loss)))
    (loss, kept), (loss_again, computed_again) = found
    assert torch.equal(loss, loss_again)
    assert all(torch.equal(kept[name], computed_again[name]) for name in kept)


def test_recomputed_activations_are_not_saved(solution):
    model = solution.Transformer(
        solution.TransformerConfig(d_model=32, n_layers=6, n_heads=2, n_ctx=64, d_vocab=50)
    )
    batch = torch.randint(50, (4, 65))
    kept, again = (
        kept_bytes(lambda: fast.FastTransformer(model, recompute=recompute)(batch))  # noqa: B023
        for recompute in (False, True)
    )
    residual = 4 * 64 * 32 * 4
    assert kept > 6 * 10 * residual
    assert again < 6 * 2 * residual + 10 * residual


def test_an_optimiser_of_the_models_parameters_trains_through_the_twin(solution):
    config = SMALL.config(solution)
    torch.manual_seed(0)
    models = [solution.Transformer(config).double() for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    batches = [window(SMALL), window(replace(SMALL, seed=1))[:1]]
    for model, runs, loss in (
        (models[0], models[0], solution.batch_loss),
        (models[1], fast.FastTransformer(models[1]), lambda twin, batch: twin(batch)),
    ):
        groups = solution.parameter_groups(model, weight_decay=0.1)
        optimizer = torch.optim.AdamW(groups, lr=1e-2)
        for _ in range(3):
            solution.train_step(runs, batches, optimizer, loss=loss)
    for (name, ours), theirs in zip(
        models[1].named_parameters(), models[0].parameters(), strict=True
    ):
        assert_close(ours, theirs, name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's
def test_the_compiled_twin_is_one_graph_with_the_same_gradients(solution):
    model = replace(SMALL, n_layers=1).build(solution, "Transformer")
    twin = fast.FastTransformer(model, positions_per_chunk=13)
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    wanted = gradients(model, 0.7 * solution.batch_loss(model, window(SMALL)))
    got = gradients(model, 0.7 * compiled(window(SMALL)))
    for name in wanted:
        assert_close(got[name], wanted[name], f"the gradient of {name}")


@pytest.mark.parametrize(("tokens", "sentence"), [(1, "at least 2"), (14, "n_ctx = 12")])
def test_windows_that_do_not_fit_are_refused(solution, tokens, sentence):
    twin = fast.FastTransformer(SMALL.build(solution, "Transformer"))
    with pytest.raises(ValueError, match=sentence):
        twin(torch.zeros(2, tokens, dtype=torch.long))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pattern_dropout.p if", "pattern_dropout.p / 2 if"),
        ("return attn.output_dropout(affine(", "return (affine("),
        slowly(("return part.output_dropout(affine(", "return (affine(")),
        slowly(("model.embed_dropout(", "(")),
    ],
)  # fmt: skip
def test_a_mistake_in_the_twins_dropout_is_caught(solution, monkeypatch, old, new):
    plant(monkeypatch, fast, old, new)
    with pytest.raises(AssertionError):
        test_dropout_has_the_references_distribution(solution)


@pytest.mark.slow
def test_gpt2_small_at_its_real_size_agrees(solution):
    torch.manual_seed(1)
    model = randomise(solution.Transformer(preset("gpt2")), seed=1)
    batch = torch.randint(50257, (1, 129))
    expected = solution.batch_loss(model, batch)
    wanted = gradients(model, expected)
    got = gradients(model, fast.FastTransformer(model, positions_per_chunk=50)(batch))
    assert math.isfinite(expected.item())
    for name in wanted:
        assert_close(got[name], wanted[name], f"the gradient of {name}")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("frozen", ["W_", "b_", "blocks.0", "attn.W_Q", "attn.b_"])
def test_frozen_parameters_get_no_gradient_and_the_others_theirs(solution, frozen, dtype):
    case = replace(SMALL, dtype=dtype)
    model = case.build(solution, "Transformer", tied_embeddings=False)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(frozen not in name)
    solution.batch_loss(model, window(case)).backward()
    wanted = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    fast.FastTransformer(model)(window(case)).backward()
    for name, parameter in model.named_parameters():
        if frozen in name:
            assert parameter.grad is None
        else:
            assert_close(parameter.grad, wanted[name], f"the gradient of {name}")
