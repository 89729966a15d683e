"""Test models with other names and shapes of parameters, judged by the same claims."""

from pathlib import Path
from typing import NamedTuple

import pytest
from checking import check_text, reference_with
from default_share import slowly
from layout_files import FILES, changed, text_of, wrong_of
from pages import page
from typer.testing import CliRunner

from gpt2_small.checker.claims import claims_of
from gpt2_small.checker.layouts import LAYOUTS
from gpt2_small.checker.parts import MODULES
from gpt2_small.checker.sandbox.client import Checker
from gpt2_small.cli import app
from gpt2_small.errors import UserError

PARTS = ["LayerNorm", "MultiHeadAttention", "MLP", "TransformerBlock", "Transformer"]


SLOWLY_JUDGED = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("early-hugging-face", "llms-from-scratch", "arena")
]


@pytest.mark.parametrize("layout", ["linear", *SLOWLY_JUDGED])
def test_a_correct_model_in_a_layout_passes(tmp_path: Path, layout: str) -> None:
    verdict = check_text(tmp_path, text_of(layout), layout=layout)
    assert [
        (r.component, r.check, r.message) for r in verdict.results if r.status != "passed"
    ] == []
    assert verdict.parts() == (list(MODULES) if layout == "arena" else PARTS)
    assert len(verdict.results) > 85


@pytest.mark.slow
def test_transformers_own_model_passes() -> None:
    pytest.importorskip("transformers")
    with Checker() as checker:  # default limits: the import takes seconds
        verdict = checker.check(FILES / "hugging_face.py", layout="hugging-face")
    assert wrong_of(verdict) == {}
    assert verdict.parts() == PARTS


def test_nanogpts_exact_gelu_is_named_and_fails_only_the_mlp(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, text_of("nanogpt"), layout="nanogpt")
    assert wrong_of(verdict) == {"MLP": ("mlp-exact-gelu",)}
    assert verdict.parts() == PARTS
    assert "Transformer is compared with the reference with mlp-exact-gelu." in verdict.remarks
    assert verdict.reports["MLP"].naming.split(". ")[0] in page("variants.md")


TANH = "nn.GELU()", 'nn.GELU(approximate="tanh")'


def test_a_line_is_quoted_in_a_block_whose_mlp_has_no_dropout(tmp_path: Path) -> None:
    text = changed(
        "nanogpt",
        TANH,
        (
            "self.dropout(self.c_proj(self.gelu(self.c_fc(x))))",
            "self.c_proj(self.gelu(self.c_fc(x)))",
        ),
        ("x = x + self.attn(self.ln_1(x))", "x += self.attn(self.ln_1(x))"),
    )
    verdict = check_text(tmp_path, text, "TransformerBlock", layout="nanogpt")
    assert wrong_of(verdict) == {
        "MLP": ("mlp-dropout-missing",),
        "TransformerBlock": ("block-adds-in-place",),
    }
    assert verdict.reports["TransformerBlock"].location[-1].endswith("x += self.attn(self.ln_1(x))")


@pytest.mark.slow
def test_a_model_gets_no_mistakes_name_for_an_error_alone(tmp_path: Path) -> None:
    text = changed("nanogpt", ("x = x + self.attn(self.ln_1(x))", "x += self.attn(self.ln_1(x))"))
    verdict = check_text(tmp_path, text, layout="nanogpt")
    assert wrong_of(verdict)["Transformer"] == ()


@pytest.mark.slow
def test_nanogpt_with_gpt_2s_gelu_passes(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, changed("nanogpt", TANH), layout="nanogpt")
    assert verdict.exit_code == 0


class Planted(NamedTuple):
    layout: str
    old: str
    new: str
    part: str
    mistake: str


POST_NORM = (
    "x = x + self.attn(self.ln_1(x))\n        return x + self.mlp(self.ln_2(x))",
    "x = self.ln_1(x + self.attn(x))\n        return self.ln_2(x + self.mlp(x))",
)


QUICK = [
    Planted("nanogpt", "self.bias, 1e-5)", "None, 1e-5)", "LayerNorm", "layer-norm-bias-unused"),
    Planted(
        "llms-from-scratch",
        "unbiased=False",
        "unbiased=True",
        "LayerNorm",
        "layer-norm-unbiased-variance",
    ),
    Planted("linear", ', approximate="tanh"', "", "MLP", "mlp-exact-gelu"),
    Planted("arena", "unbiased=False", "unbiased=True", "LayerNorm",
            "layer-norm-unbiased-variance"),
    Planted("early-hugging-face", "/ torch.sqrt(variance + self.eps) + self.bias",
            "/ torch.sqrt(variance + self.eps)", "LayerNorm", "layer-norm-bias-unused"),
]  # fmt: skip


SLOW = [
    Planted("arena", "self.cfg.d_head**0.5", "self.cfg.d_head", "MultiHeadAttention",
            "attention-scale-without-root"),
    Planted("early-hugging-face", "scores / math.sqrt(value.size(-1))", "scores",
            "MultiHeadAttention", "attention-scale-missing"),
    Planted("nanogpt", "self.bias, 1e-5)", "self.bias, 1e-6)", "LayerNorm",
            "layer-norm-epsilon-1e-6"),
    Planted("nanogpt", "is_causal=True", "is_causal=False", "MultiHeadAttention",
            "attention-mask-missing"),
    Planted("nanogpt", "is_causal=True", "is_causal=True, scale=1.0", "MultiHeadAttention",
            "attention-scale-missing"),
    Planted("nanogpt", *POST_NORM, "TransformerBlock", "block-post-norm"),
    Planted("nanogpt", "x = self.transformer.ln_f(x)", "x = 1 * x", "Transformer",
            "transformer-final-norm-missing"),
    Planted("llms-from-scratch", "keys.shape[-1] ** 0.5", "keys.shape[-1]", "MultiHeadAttention",
            "attention-scale-without-root"),
    Planted("llms-from-scratch", "x + self.drop_shortcut(self.ff(self.norm2(x)))",
            "self.drop_shortcut(self.ff(self.norm2(x)))", "TransformerBlock",
            "block-mlp-residual-missing"),
    Planted("llms-from-scratch", "places)", "0 * places)", "Transformer",
            "positional-embedding-first-row-only"),
    Planted("linear", "self.tok_emb(tokens) + self.pos_emb(places)", "self.tok_emb(tokens)",
            "Transformer", "transformer-positions-missing"),
    Planted("linear", "return x + self.ff(self.norm2(x))", "return x + self.ff(x)",
            "TransformerBlock", "block-ln2-missing"),
    Planted("arena", "self.W_E[tokens]", "self.W_E[tokens] * self.W_E.shape[1] ** 0.5", "Embedding",
            "embedding-scaled"),
    Planted("early-hugging-face", "self.mlp(self.ln_2(x)), present", "self.mlp(x), present",
            "TransformerBlock", "block-ln2-missing"),
    Planted("arena", "final @ self.W_U + self.b_U", "final @ self.W_U", "Unembedding",
            "unembedding-b-u-unused"),
]  # fmt: skip


@pytest.mark.parametrize(
    "planted",
    [*QUICK, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)],
    ids=lambda planted: f"{planted.layout}-{planted.mistake}",
)
def test_a_mistake_in_a_layout_is_named_and_fails_only_its_part(
    tmp_path: Path, planted: Planted
) -> None:
    text = changed(planted.layout, (planted.old, planted.new))
    own = {} if planted.layout != "nanogpt" else {"MLP": ("mlp-exact-gelu",)}
    only = [planted.part] if planted in QUICK else []
    verdict = check_text(tmp_path, text, *only, layout=planted.layout)
    own = own if not only else {}
    assert wrong_of(verdict) == own | {planted.part: (planted.mistake,)}


def test_an_untied_head_is_reported(tmp_path: Path) -> None:
    text = changed("nanogpt", ("self.transformer.wte.weight = self.lm_head.weight", "pass"))
    verdict = check_text(tmp_path, text, "Transformer", layout="nanogpt", naming=False)
    told = next(r.message for r in verdict.of("Transformer") if r.status != "passed")
    assert "waits for MLP" in told  # its GELU has no name without naming
    text = text.replace("nn.GELU()", 'nn.GELU(approximate="tanh")')
    verdict = check_text(tmp_path, text, "Transformer", layout="nanogpt", naming=False)
    assert wrong_of(verdict) == {"Transformer": ()}
    told = next(r.message for r in verdict.of("Transformer") if r.status == "failed")
    assert "lm_head.weight is a separate parameter" in told


@pytest.mark.slow
def test_a_block_waits_for_parts_with_unnamed_mistakes(tmp_path: Path) -> None:
    odd = "return self.drop(self.fc2(F.gelu(1.07 * self.fc1(x)"
    text = changed("linear", ("return self.drop(self.fc2(F.gelu(self.fc1(x)", odd))
    verdict = check_text(tmp_path, text, "TransformerBlock", layout="linear")
    assert wrong_of(verdict) == {"MLP": (), "TransformerBlock": ()}
    assert {r.message for r in verdict.of("TransformerBlock")} == {
        "waits for MLP, of which it is made"
    }


def test_torchs_layer_norm_is_judged_inside_its_block(tmp_path: Path) -> None:
    text = text_of("nanogpt")
    start, end = text.index("class LayerNorm"), text.index("class CausalSelfAttention")
    inner = (text[:start] + text[end:]).replace("= LayerNorm(", "= nn.LayerNorm(")
    verdict = check_text(tmp_path, inner, "LayerNorm", layout="nanogpt")
    assert wrong_of(verdict) == {}
    wrong = inner.replace("bias=config.bias)\n        self.attn", "1e-6)\n        self.attn")
    verdict = check_text(tmp_path, wrong, "LayerNorm", layout="nanogpt")
    assert wrong_of(verdict) == {"LayerNorm": ("layer-norm-epsilon-1e-6",)}


def test_missing_parts_are_listed_and_not_judged(tmp_path: Path) -> None:
    text = text_of("linear")
    only_mlp = text[: text.index("class LayerNorm")] + text[text.index("class MLP") :]
    only_mlp = only_mlp[: only_mlp.index("class Block")]
    verdict = check_text(tmp_path, only_mlp, layout="linear", naming=False)
    assert verdict.parts() == ["MLP"]
    assert verdict.exit_code == 0
    assert any(line.startswith("Not in the file: LayerNorm, ") for line in verdict.remarks)


def test_a_file_without_any_class_of_the_layout_is_refused(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, "a = 1\n", layout="nanogpt")
    assert verdict.exit_code == 2
    assert "has no class of the layout nanogpt" in (verdict.error or "")
    assert "CausalSelfAttention" in (verdict.error or "")


@pytest.mark.parametrize(
    "layout", ["linear", "nanogpt", slowly("early-hugging-face"), "llms-from-scratch", "arena"]
)
def test_check_suggests_a_files_layout(tmp_path: Path, layout: str) -> None:
    verdict = check_text(tmp_path, text_of(layout), "Transformer", naming=False)
    assert verdict.exit_code == 1
    assert f"in the layout {layout} (" in verdict.remarks[0]
    assert verdict.remarks[0].endswith(f"my_gpt2.py --layout {layout}")


def test_no_layout_is_suggested_for_a_file_with_the_contracts_names(tmp_path: Path) -> None:
    wrong = reference_with(('approximate="tanh"', 'approximate="none"'))
    verdict = check_text(tmp_path, wrong + "\nhead = nn.Linear(2, 3)\n", "MLP", naming=False)
    assert verdict.exit_code == 1
    assert verdict.remarks == []


def test_a_file_in_an_unknown_layout_gets_advice_on_checking_it(tmp_path: Path) -> None:
    text = """
import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, num_heads, head_size):
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(32, head_size) for _ in range(num_heads)])

    def forward(self, x):
        return torch.cat([head(x) for head in self.heads], dim=-1)
"""
    verdict = check_text(tmp_path, text, "MultiHeadAttention", naming=False)
    assert verdict.exit_code == 1
    (remark,) = verdict.remarks
    assert "those of no built-in layout (nanogpt, hugging-face, " in remark
    assert "gpt2_small.checker.layouts.adapted" in remark


def test_without_the_flag_layout_such_a_file_fails(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, text_of("linear"), "MLP", naming=False)
    assert verdict.state_of("MLP") == "failed"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--layout", "nanogtp"], "did you mean nanogpt?"),
        (["--layout", "linear", "--as", "mlp-relu"], "not for a lesson or with --as"),
        (["--layout", "linear", "--component", "sample"], "the layout linear has no sample"),
    ],
)
def test_options_that_a_layout_does_not_support_are_refused(
    flags: list[str], sentence: str
) -> None:
    result = CliRunner().invoke(app, ["check", str(FILES / "linear.py"), *flags])
    assert isinstance(result.exception, UserError)
    assert sentence in str(result.exception)


def test_unjudged_claims_are_printed() -> None:
    told = "\n".join(LAYOUTS["nanogpt"].all_remarks(PARTS))
    assert "initialisation" in told
    assert "epsilon" in told
    assert "d_mlp, which it fixes" in told


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_claims_that_a_layout_leaves_out_exist(layout: str) -> None:
    for part, how in LAYOUTS[layout].parts.items():
        names = [claim.name for claim in claims_of(part)]
        for left_out in how.not_judged:
            assert any(name.startswith(left_out) for name in names), left_out
