"""Test that a parameter of a wrong shape hides no other mistake."""

from pathlib import Path

import pytest
import torch
from checking import check_text, reference_with
from torch import nn

from gpt2_small.checker.claims.observing.probes import load_values

WIDE = [
    ("self.W_in = normal_parameter(config.d_model, config.d_mlp,", "4 * config.d_model"),
    ("self.b_in = nn.Parameter(torch.zeros(config.d_mlp))", "4 * config.d_model"),
    ("self.W_out = normal_parameter(config.d_mlp,", "4 * config.d_model"),
]
FIXED_WIDTH = [(old, old.replace("config.d_mlp", new)) for old, new in WIDE]
UNSCALED = (
    "self.W_out = normal_parameter(4 * config.d_model, config.d_model, std=residual_std(config))",
    "self.W_out = normal_parameter(4 * config.d_model, config.d_model, std=config.init_std)",
)
RELU = ("gelu_tanh(self.hook_pre(pre))", "F.relu(self.hook_pre(pre))")


@pytest.mark.parametrize(
    ("edits", "mistakes"),
    [
        ((UNSCALED,), {"mlp-fixed-width", "mlp-w-out-init-like-w-in"}),
        ((UNSCALED, RELU), {"mlp-fixed-width", "mlp-relu", "mlp-w-out-init-like-w-in"}),
    ],
)
def test_only_the_mistakes_beside_a_fixed_width_are_named(
    tmp_path: Path, edits: tuple[tuple[str, str], ...], mistakes: set[str]
) -> None:
    text = reference_with(*FIXED_WIDTH)
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    assert set(check_text(tmp_path, text, "MLP").reports["MLP"].mistakes) == mistakes


def test_a_parameter_of_another_shape_gets_new_random_values() -> None:
    values = {"W_in": torch.ones(2, 3)}
    found = []
    for _ in range(2):
        module = nn.Module()
        module.W_in = nn.Parameter(torch.randn(2, 5))
        load_values(module, values)
        found.append(module.W_in.detach().clone())
    torch.testing.assert_close(*found, rtol=0, atol=0)
