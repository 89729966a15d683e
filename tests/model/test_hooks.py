"""Test activations by name: the list, patching, and removal of hooks."""

import re

import pytest
import torch
from against_reference import edited_reference, model_of
from assert_close import assert_close

import gpt2_small
from gpt2_small import UserError, hooks, run_with_cache
from gpt2_small.checker import stored_reference
from gpt2_small.model.hooks import tap_names


@pytest.fixture
def reference():
    return stored_reference.stored_reference("tied")


@pytest.fixture
def model(solution, reference):
    return model_of(solution, reference)


def test_the_cache_has_exactly_the_documented_names(model, reference):
    _, cache = run_with_cache(model, reference.tokens)
    assert cache.keys() == set(stored_reference.activation_names(2))
    assert len(cache) == 2 + 2 * 17 + 2
    assert set(tap_names(model)) == cache.keys()


def test_cached_activations_are_detached_and_the_logits_are_not(model, reference):
    logits, cache = run_with_cache(model, reference.tokens)
    assert logits.requires_grad
    assert not any(activation.requires_grad for activation in cache.values())


def test_masked_scores_are_minus_infinity_above_the_diagonal(model, reference):
    _, cache = run_with_cache(model, reference.tokens)
    scores = cache["blocks.1.attn.hook_attn_scores"]
    masked = torch.ones(11, 11, dtype=torch.bool).triu(1).expand_as(scores)
    assert (scores[masked] == -torch.inf).all()
    assert scores[~masked].isfinite().all()


@pytest.mark.parametrize("name", stored_reference.activation_names(2))
def test_changing_an_activation_changes_only_later_ones(model, reference, name):
    _, before = run_with_cache(model, reference.tokens)
    with hooks(model, {name: lambda activation: 1.5 * activation}):
        logits, after = run_with_cache(model, reference.tokens)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert name in changed
    assert not torch.equal(logits, reference.logits)
    order = list(before)
    assert min(order.index(key) for key in changed) == order.index(name)


def test_zeroing_attentions_output_equals_a_model_without_attention(model, reference):
    with hooks(model, {"blocks.0.hook_attn_out": torch.zeros_like}):
        patched = model(reference.tokens)
    with torch.no_grad():
        model.blocks[0].attn.W_O.zero_()
        model.blocks[0].attn.b_O.zero_()
    assert_close(patched, model(reference.tokens), "the logits")


def test_patching_the_last_residual_stream_gives_the_other_runs_logits(model, reference):
    other = reference.tokens.flip(1)
    logits, cache = run_with_cache(model, other)
    with hooks(model, {"blocks.1.hook_resid_post": lambda _: cache["blocks.1.hook_resid_post"]}):
        assert torch.equal(model(reference.tokens), logits)


def test_gradients_pass_through_a_changed_activation(model, reference):
    with hooks(model, {"blocks.0.hook_mlp_out": lambda activation: 0 * activation}):
        model(reference.tokens).sum().backward()
    assert not model.blocks[0].mlp.W_in.grad.any()
    assert model.blocks[1].mlp.W_in.grad.any()


def test_a_hook_that_returns_none_leaves_the_activation_unchanged(model, reference):
    seen = []
    with hooks(model, {"blocks.0.attn.hook_z": seen.append}):
        logits = model(reference.tokens)
    assert_close(logits, reference.logits, "the logits")
    assert_close(seen[0], reference.activations["blocks.0.attn.hook_z"], "what the hook saw")


def number_of_hooks(model) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda z: z[:1, :1], "returned the shape [1, 1, "),
        (lambda z: 0.0, "returned 0.0; return a tensor, or None to change nothing"),
    ],
)
def test_a_hook_may_only_return_the_activations_shape(model, reference, returned, said):
    with (
        pytest.raises(UserError, match=re.escape(said)),
        hooks(model, {"blocks.0.attn.hook_z": returned}),
    ):
        model(reference.tokens)


def test_hooks_in_a_list_are_refused(model):
    with (
        pytest.raises(UserError, match=r"hooks take a dictionary \{name: function\}"),
        hooks(model, [("blocks.0.attn.hook_z", abs)]),
    ):
        pass


def test_all_hooks_are_gone_when_the_context_ends(model):
    with hooks(model, dict.fromkeys(tap_names(model), torch.zeros_like)):
        assert number_of_hooks(model) == len(tap_names(model))
    assert number_of_hooks(model) == 0


def test_all_hooks_are_gone_after_an_exception_in_the_context(model):
    with pytest.raises(KeyError), hooks(model, {"hook_embed": torch.zeros_like}):
        raise KeyError
    assert number_of_hooks(model) == 0


def test_all_hooks_are_gone_after_an_exception_in_a_hook_or_in_the_model(model, reference):
    def broken(_activation):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), hooks(model, {"hook_embed": broken}):
        model(reference.tokens)
    with pytest.raises(ValueError, match="n_ctx"):
        run_with_cache(model, torch.zeros(1, 13, dtype=torch.int64))
    assert number_of_hooks(model) == 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("blocks.0.attn.hook_patern", r"did you mean blocks\.0\.attn\.hook_pattern\?"),
        ("blocks.2.hook_mlp_out", r"did you mean blocks\.\d\.hook_mlp_out\?"),
        ("???", r"no tap '\?\?\?'; there are blocks\.0\.ln1"),
    ],
)
def test_a_name_without_a_tap_is_refused_before_any_hook_is_set(model, name, sentence):
    with (
        pytest.raises(UserError, match=sentence),
        hooks(model, {"hook_embed": torch.zeros_like, name: torch.zeros_like}),
    ):
        pass
    assert number_of_hooks(model) == 0


def compiled_as_a_copy(model):
    return torch.compile(model, backend="eager")


def compiled_in_place(model):
    model.compile(backend="eager")
    return model


def compiled_in_part(model):
    model.blocks[1] = torch.compile(model.blocks[1], backend="eager")
    return model


@pytest.mark.parametrize(
    "compiled", [compiled_as_a_copy, compiled_in_place, compiled_in_part], ids=lambda f: f.__name__
)
def test_a_compiled_model_is_refused_in_one_sentence(model, reference, compiled):
    with pytest.raises(UserError, match="hooks do not work on a compiled model"):
        run_with_cache(compiled(model), reference.tokens)


def test_a_missing_tap_is_only_a_missing_key(tmp_path, reference):
    path = edited_reference(
        tmp_path,
        ("        self.hook_z = nn.Identity()\n", ""),
        ("            self.hook_z(z),\n", "            z,\n"),
    )
    model = model_of(gpt2_small.load(path), reference)
    logits, cache = run_with_cache(model, reference.tokens)
    left_out = {"blocks.0.attn.hook_z", "blocks.1.attn.hook_z"}
    assert reference.activations.keys() - cache.keys() == left_out
    assert_close(logits, reference.logits, "the logits")
    with pytest.raises(UserError, match="no tap"), hooks(model, dict.fromkeys(left_out, print)):
        pass
