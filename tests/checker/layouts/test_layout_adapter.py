"""Test the adapter of a layout: the contract's parameter names and shapes."""

import re
import shlex

import pytest
import torch
from layout_files import layout_path, text_of
from pages import block, page
from torch import nn

from gpt2_small import binding
from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.layouts import LAYOUTS, adapted, adapted_module

TURNED = {
    "weight": (["W_in"], "d_out d_in -> d_in d_out"),
    "bias": (["b_in"], "d_out -> d_out"),
}


def test_gradients_have_the_contracts_names() -> None:
    made = adapted(lambda config: nn.Linear(config.d_model, 5), TURNED)
    model = made(reference().TransformerConfig(d_model=4, n_heads=2))
    assert {n: tuple(p.shape) for n, p in model.named_parameters()} == {
        "W_in": (4, 5),
        "b_in": (5,),
    }
    given = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    output = model(given)
    torch.testing.assert_close(output, given @ model.W_in + model.b_in)
    output.sum().backward()
    torch.testing.assert_close(model.W_in.grad, given.sum(0)[:, None].expand(4, 5))


@pytest.mark.parametrize(
    "layout", ["nanogpt", "linear", "llms-from-scratch", "arena", "early-hugging-face"]
)
def test_an_attention_in_a_layout_equals_the_references(layout: str) -> None:
    module = adapted_module(binding.load(layout_path(layout)), LAYOUTS[layout], ())
    config = reference().TransformerConfig(d_model=12, n_heads=3, d_mlp=48, n_ctx=5)
    attention, right = module.MultiHeadAttention(config), reference().MultiHeadAttention(config)
    for seed, parameter in enumerate(attention.parameters()):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))
    right.load_state_dict(attention.state_dict())
    given = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(attention(given), right(given))


class Head(nn.Module):
    """One head of a file with a module for every head."""

    def __init__(self, config) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(config.d_model, config.d_head) for _ in "qkv")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one = (self.query(x)[:, None], self.key(x)[:, None], self.value(x)[:, None])
        return nn.functional.scaled_dot_product_attention(*one, is_causal=True)[:, 0]


class Heads(nn.Module):
    """Several such heads, with concatenated and projected outputs."""

    def __init__(self, config) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(config) for _ in range(config.n_heads))
        self.proj = nn.Linear(config.n_heads * config.d_head, config.d_model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(torch.cat([head(x) for head in self.heads], dim=-1))


@pytest.mark.parametrize("n_heads", [1, 3])
def test_parameters_with_one_tensor_per_head_are_stacked(n_heads: int) -> None:
    tensors = {
        "proj.weight": (["W_O"], "d_model (head d_head) -> head d_head d_model"),
        "proj.bias": (["b_O"], "d_model -> d_model"),
    }
    for name in ("query", "key", "value"):
        letter = name[0].upper()
        tensors[f"heads.*.{name}.weight"] = (
            [f"W_{letter}"],
            "head d_head d_model -> head d_model d_head",
        )
        tensors[f"heads.*.{name}.bias"] = ([f"b_{letter}"], "head d_head -> head d_head")
    config = reference().TransformerConfig(d_model=12, n_heads=n_heads, n_ctx=5)
    model = adapted(Heads, tensors, "MultiHeadAttention")(config).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    right = reference().MultiHeadAttention(config).double()
    right.load_state_dict(model.state_dict())
    given = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(model(given), right(given))


def test_a_width_stored_as_a_modules_attribute_follows_the_parameters() -> None:
    names: dict[str, object] = {}
    exec(text_of("early-hugging-face"), names)
    how = LAYOUTS["early-hugging-face"].parts["TransformerBlock"]
    made: type[nn.Module] = names["Block"]  # type: ignore[assignment]
    config = reference().TransformerConfig(d_model=12, n_heads=3, d_mlp=10, n_ctx=5)
    block = adapted(
        lambda config: how.make(made, config), how.tensors, "TransformerBlock", fixed=how.fixed
    )(config)
    assert block.mlp.W_in.shape == (12, 10)  # type: ignore[union-attr]
    right = reference().TransformerBlock(config)
    right.load_state_dict(block.state_dict())
    given = torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(given), right(given))


def test_a_parameter_missing_in_a_layout_is_reported() -> None:
    made = adapted(lambda config: nn.Linear(4, 5), {"weight": TURNED["weight"]})
    with pytest.raises(ValueError, match="bias is in the module and not in the layout"):
        made(reference().TransformerConfig(d_model=4, n_heads=2))


def test_the_page_has_every_layout_and_a_pattern_that_works() -> None:
    assert all(f"| `{name}` |" in page("variants.md") for name in LAYOUTS)
    command = re.findall(r"^gpt2-small (check .*--layout.*)$", page("variants.md"), re.MULTILINE)
    assert shlex.split(command[0])[-1] in LAYOUTS
    names: dict[str, object] = {}
    exec(text_of("nanogpt"), names)
    attention: type[nn.Module] = names["CausalSelfAttention"]  # type: ignore[assignment]
    how = LAYOUTS["nanogpt"].parts["MultiHeadAttention"]
    names["make_attention"] = lambda config: how.make(attention, config)
    exec(block("variants.md", "python"), names)
    model = names["MultiHeadAttention"](  # type: ignore[operator]
        reference().TransformerConfig(d_model=12, n_heads=3, n_ctx=5)
    )
    right = reference().MultiHeadAttention(model.config)
    right.load_state_dict(model.state_dict())
    given = torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(given), right(given))
