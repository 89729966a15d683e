"""Test the conditions under which the twin replaces a model."""

import types

import pytest
import torch
import torch.nn.functional as F
from fast_twin_comparison import assert_close, window
from strategies import SMALL
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrize

from gpt2_small import UserError, hooks
from gpt2_small.generation.decoder import decoder_for
from gpt2_small.model.eligibility import difference, stands_in_for
from gpt2_small.model.packed_weights import PackedTransformer
from gpt2_small.model.twin import FastTransformer
from gpt2_small.training.step.objective import Objective


def relu_mlp(solution, model):
    class ReLUMLP(solution.MLP):
        def forward(self, residual):
            return torch.relu(residual @ self.W_in + self.b_in) @ self.W_out + self.b_out

    mlp = ReLUMLP(model.config)
    mlp.load_state_dict(model.blocks[1].mlp.state_dict())
    model.blocks[1].mlp = mlp.to(model.embed.W_E)


def post_norm_block(solution, model):
    class PostNorm(solution.TransformerBlock):
        def forward(self, residual):
            residual = self.ln1(residual + self.attn(residual))
            return self.ln2(residual + self.mlp(residual))

    block = PostNorm(model.config)
    block.load_state_dict(model.blocks[0].state_dict())
    model.blocks[0] = block.to(model.embed.W_E)


def forward_of_an_instance(solution, model):
    attn = model.blocks[0].attn
    attn.forward = lambda residual: -type(attn).forward(attn, residual)


def subclass_of_the_model(solution, model):
    class Transformer(solution.Transformer):
        def forward(self, tokens):
            return 2 * super().forward(tokens)

    model.__class__ = Transformer


def blocks_in_a_sequential(solution, model):
    model.blocks = nn.Sequential(*model.blocks)


def no_last_block(solution, model):
    model.blocks = model.blocks[:1]


def one_block_twice(solution, model):
    model.blocks[1] = model.blocks[0]


def identity_in_place_of_an_mlp(solution, model):
    model.blocks[1].mlp = nn.Identity()


def tap_that_doubles(solution, model):
    class Double(nn.Identity):
        def forward(self, activation):
            return 2 * activation

    model.blocks[0].hook_resid_mid = Double()


def unembedding_of_a_tied_model(solution, model):
    model.unembed = solution.Unembedding(model.config).to(model.embed.W_E)


def wider_mlp_in_one_block(solution, model):
    mlp = model.blocks[0].mlp
    mlp.W_in = nn.Parameter(mlp.W_in.detach().repeat(1, 2))
    mlp.b_in = nn.Parameter(mlp.b_in.detach().repeat(2))
    mlp.W_out = nn.Parameter(mlp.W_out.detach().repeat(2, 1))


def another_epsilon(solution, model):
    model.blocks[0].ln1.eps = 0.1


def backward_hook(solution, model):
    model.blocks[0].mlp.register_full_backward_hook(lambda part, into, out: None)


ALTERED = [
    relu_mlp,
    post_norm_block,
    forward_of_an_instance,
    subclass_of_the_model,
    blocks_in_a_sequential,
    no_last_block,
    one_block_twice,
    identity_in_place_of_an_mlp,
    tap_that_doubles,
    unembedding_of_a_tied_model,
    wider_mlp_in_one_block,
    another_epsilon,
    backward_hook,
]


@pytest.mark.parametrize("alter", ALTERED)
def test_an_altered_model_trains_and_generates_with_its_own_code(solution, alter):
    model = SMALL.build(solution, "Transformer")
    alter(solution, model)
    logits = model(SMALL.tokens()).detach()
    assert torch.equal(decoder_for(model).prefill(SMALL.tokens().tolist()), logits[:, -1])
    objective = Objective(solution, model, torch.device("cpu"))
    module, loss = objective.module, objective.loss
    assert torch.equal(loss(module, window(SMALL)), solution.batch_loss(model, window(SMALL)))


@pytest.mark.parametrize("alter", ALTERED)
@pytest.mark.parametrize("twin", [FastTransformer, PackedTransformer])
def test_the_twin_refuses_an_altered_model(solution, alter, twin):
    model = SMALL.build(solution, "Transformer")
    alter(solution, model)
    with pytest.raises(UserError, match="the fast twin cannot compute it"):
        twin(model)


@pytest.mark.parametrize(
    ("alter", "sentence"),
    [
        (relu_mlp, r"'blocks.1.mlp' is a .*ReLUMLP, not a MLP"),
        (forward_of_an_instance, "'blocks.0.attn' has a forward of its own"),
        (no_last_block, "'blocks.1' is not in both the model and its config"),
        (wider_mlp_in_one_block, r"'blocks.0.mlp' has no W_in of shape \[24, 40\]"),
        (another_epsilon, "'blocks.0.ln1' has another eps than its config"),
        (backward_hook, "'blocks.0.mlp' has a hook"),
    ],
)
def test_the_difference_is_named(solution, alter, sentence):
    model = SMALL.build(solution, "Transformer")
    assert difference(model) is None
    alter(solution, model)
    with pytest.raises(UserError, match=sentence):
        FastTransformer(model)


def test_a_hook_disables_the_twin_until_it_is_removed(solution):
    model = SMALL.build(solution, "Transformer")
    hooked = hooks(model, {"blocks.1.hook_resid_mid": lambda residual: residual})
    with hooked, pytest.raises(UserError, match=r"'blocks\.1\.hook_resid_mid' has a hook"):
        FastTransformer(model)
    assert stands_in_for(model)


def test_a_hook_on_all_modules_disables_the_twin(solution):
    model = SMALL.build(solution, "Transformer")
    handle = register_module_forward_hook(lambda module, inputs, output: None)
    try:
        assert difference(model) == "there is a hook on all modules"
    finally:
        handle.remove()
    assert stands_in_for(model)


@pytest.mark.parametrize("name", ["MLP", "LayerNorm", "Transformer"])
def test_a_forward_replaced_in_the_reference_disables_the_twin(solution, monkeypatch, name):
    model = SMALL.build(solution, "Transformer")
    kind = getattr(solution, name)
    original = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, given: -original(self, given))
    assert difference(model) == f"{name}.forward of the reference has been replaced"


def test_a_gelu_replaced_in_the_reference_disables_the_twin(solution, monkeypatch):
    model = SMALL.build(solution, "Transformer")
    monkeypatch.setattr(solution, "gelu_tanh", F.relu)
    assert not stands_in_for(model)


def test_a_method_bound_to_an_instance_disables_the_twin(solution):
    model = SMALL.build(solution, "Transformer")
    model.forward = types.MethodType(type(model).forward, model)
    assert not stands_in_for(model)


def test_another_module_and_another_files_transformer_are_not_the_reference(solution):
    assert not stands_in_for(nn.Linear(2, 2))
    other = type("Transformer", (nn.Module,), {})()
    assert not stands_in_for(other)


def test_a_changed_dropout_applies_to_the_twin_too(solution):
    model = SMALL.build(solution, "Transformer")
    model.blocks[0].attn.pattern_dropout.p = 0.5
    assert stands_in_for(model)


def test_the_twin_applies_a_weights_parametrization(solution):
    class Halved(nn.Module):
        def forward(self, weight):
            return weight / 2

    model = SMALL.build(solution, "Transformer")
    parametrize.register_parametrization(model.blocks[0].mlp, "W_in", Halved())
    assert stands_in_for(model)
    twin = FastTransformer(model)
    assert_close(twin(window(SMALL)), solution.batch_loss(model, window(SMALL)), "the loss")
    with torch.no_grad():
        logits = decoder_for(model).prefill(SMALL.tokens().tolist())
        assert_close(logits, model(SMALL.tokens())[:, -1], "the logits")
