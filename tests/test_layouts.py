"""Modules with other names and shapes of parameters, judged by the same claims."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from checking import check_text
from pages import block, page
from torch import nn
from typer.testing import CliRunner

from gpt2_small.checker.claims.runner import reference
from gpt2_small.checker.layouts import LAYOUTS, adapted
from gpt2_small.cli import app
from gpt2_small.errors import UserError

FILES = Path(__file__).parent / "layouts"
TURNED = {
    "weight": (["W_in"], "d_out d_in -> d_in d_out"),
    "bias": (["b_in"], "d_out -> d_out"),
}


def text_of(layout: str) -> str:
    return (FILES / f"{layout.replace('-', '_')}.py").read_text()


@pytest.mark.parametrize("layout", ["linear", "llms-from-scratch"])
def test_a_right_file_in_a_layout_passes(tmp_path: Path, layout: str) -> None:
    verdict = check_text(tmp_path, text_of(layout), layout=layout)
    assert [r for r in verdict.results if r.status != "passed"] == []
    assert verdict.parts() == ["LayerNorm", "MultiHeadAttention", "MLP"]
    assert len(verdict.results) > 50


@pytest.mark.slow
def test_transformers_own_parts_pass() -> None:
    pytest.importorskip("transformers")
    from gpt2_small.checker.sandbox.client import Checker

    with Checker() as checker:
        verdict = checker.check(FILES / "hugging_face.py", layout="hugging-face")
    assert verdict.exit_code == 0


def test_nanogpts_exact_gelu_is_named(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, text_of("nanogpt"), layout="nanogpt")
    assert verdict.reports["MLP"].mistakes == ("mlp-exact-gelu",)
    assert verdict.state_of("LayerNorm") == verdict.state_of("MultiHeadAttention") == "passed"


@pytest.mark.parametrize(
    ("layout", "old", "new", "part", "mistake"),
    [
        (
            "linear",
            "x.shape[-1] // self.heads)",
            "x.shape[-1] // self.heads)\n        x = 1 * x + 1e-2",
            "MultiHeadAttention",
            None,
        ),
        ("nanogpt", "self.bias, 1e-5)", "None, 1e-5)", "LayerNorm", "layer-norm-bias-unused"),
        (
            "llms-from-scratch",
            "unbiased=False",
            "unbiased=True",
            "LayerNorm",
            "layer-norm-unbiased-variance",
        ),
    ],
)
def test_a_mistake_in_a_layout_is_found(
    tmp_path: Path, layout: str, old: str, new: str, part: str, mistake: str | None
) -> None:
    text = text_of(layout)
    assert text.count(old) == 1
    verdict = check_text(tmp_path, text.replace(old, new), part, layout=layout)
    assert verdict.state_of(part) == "failed"
    assert mistake is None or verdict.reports[part].mistakes == (mistake,)


def test_without_its_layout_such_a_file_fails(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, text_of("linear"), "MLP", naming=False)
    assert verdict.state_of("MLP") == "failed"


def test_gradients_reach_the_contracts_names() -> None:
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


def test_a_parameter_that_the_layout_lacks_is_told() -> None:
    made = adapted(lambda config: nn.Linear(4, 5), {"weight": TURNED["weight"]})
    with pytest.raises(ValueError, match="bias is in the module and not in the layout"):
        made(reference().TransformerConfig(d_model=4, n_heads=2))


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--layout", "nanogtp"], "did you mean nanogpt?"),
        (["--layout", "linear", "--as", "mlp-relu"], "not for a lesson or with --as"),
        (["--layout", "linear", "--component", "sample"], "the layout linear has no sample"),
    ],
)
def test_what_a_layout_cannot_do_is_refused(flags: list[str], sentence: str) -> None:
    result = CliRunner().invoke(app, ["check", str(FILES / "linear.py"), *flags])
    assert isinstance(result.exception, UserError)
    assert sentence in str(result.exception)


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


def test_what_is_not_judged_is_printed() -> None:
    told = "\n".join(LAYOUTS["nanogpt"].remarks())
    assert "initialisation" in told
    assert "Epsilon" in told
