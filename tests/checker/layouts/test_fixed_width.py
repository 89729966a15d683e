"""Test files that declare a fixed MLP width, which is not judged."""

from pathlib import Path

import pytest
from checking import check_text, reference_with
from layout_files import wrong_of

WIDTH = "self.W_in = normal_parameter(config.d_model, config.d_mlp, std=config.init_std)"


def fixed_width() -> str:
    """Return the reference with an MLP of width 4 d_model for every configuration."""
    return reference_with(
        (WIDTH, WIDTH.replace("config.d_mlp", "4 * config.d_model")),
        ("self.b_in = nn.Parameter(torch.zeros(config.d_mlp))",
         "self.b_in = nn.Parameter(torch.zeros(4 * config.d_model))"),
        ("normal_parameter(config.d_mlp, config.d_model, std=residual_std(config))",
         "normal_parameter(4 * config.d_model, config.d_model, std=residual_std(config))"),
    )  # fmt: skip


def test_a_fixed_width_is_a_mistake(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, fixed_width(), "MLP")
    assert wrong_of(verdict) == {"MLP": ("mlp-fixed-width",)}


def test_a_fixed_width_declared_in_the_file_is_not_judged_and_reported_as_such(
    tmp_path: Path,
) -> None:
    verdict = check_text(tmp_path, fixed_width() + '\nFIXED = ("d_mlp",)\n', "MLP")
    assert verdict.exit_code == 0
    assert verdict.remarks[0].startswith("Not judged of MLP: d_mlp, which it fixes")


def test_another_mistake_of_a_part_with_a_fixed_width_is_named(tmp_path: Path) -> None:
    text = fixed_width().replace('approximate="tanh"', 'approximate="none"')
    verdict = check_text(tmp_path, text + '\nFIXED = ("d_mlp",)\n', "MLP")
    assert wrong_of(verdict) == {"MLP": ("mlp-exact-gelu",)}


@pytest.mark.parametrize("stated", ['("d_model",)', "4", "4 * d_model"])
def test_only_the_width_of_the_mlp_can_be_fixed(tmp_path: Path, stated: str) -> None:
    text = f"d_model = 3\nFIXED = {stated}\n"
    verdict = check_text(tmp_path, text, "MLP")
    assert verdict.exit_code == 2
    assert "line 2: FIXED is" in (verdict.error or "")
    assert '"d_mlp"' in (verdict.error or "")
