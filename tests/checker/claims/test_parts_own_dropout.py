"""Test the claims about dropout and taps in training mode, with edits of the reference."""

from pathlib import Path

import pytest
import torch
from checking import reference_with
from torch import nn

from gpt2_small import binding
from gpt2_small.checker.claims import claims_of
from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.judging.runner import judge_one, stand_in
from gpt2_small.checker.claims.observing.probes import listening

pytestmark = pytest.mark.usefixtures("one_thread")

OWN = "no dropout besides that of the attention and the MLP"
MEAN = "dropout in training mode, with the right mean"
ADDS = "attn_out = self.hook_attn_out(self.attn(self.ln1(resid_pre)))"
ADDS_MLP = "mlp_out = self.hook_mlp_out(self.mlp(self.ln2(resid_mid)))"
BLOCKS = "            residual = block(residual)\n"
PATTERN = "pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=-1))"


def failed(folder: Path, part: str, claim: str, *edits: tuple[str, str]) -> bool:
    """Whether a claim fails for a part of the reference with edits."""
    path = folder / "my_gpt2.py"
    path.write_text(reference_with(*edits))
    module = binding.load(path)
    stand_in(module, [part])
    (chosen,) = (one for one in claims_of(part) if one.name == claim)
    result = judge_one(chosen, module, 0).result
    assert result.status in ("passed", "failed")
    return result.status == "failed"


@pytest.mark.parametrize("module", ["self.mlp", "self.attn"])
def test_a_block_that_drops_with_the_dropout_of_its_parts_is_rejected(
    tmp_path: Path, module: str
) -> None:
    edit = (ADDS, f"{ADDS}\n        attn_out = {module}.output_dropout(attn_out)")
    assert failed(tmp_path, "TransformerBlock", OWN, edit)


def test_a_block_that_computes_the_mlp_itself_may_use_its_dropout(tmp_path: Path) -> None:
    edit = (
        ADDS_MLP,
        "pre = self.ln2(resid_mid) @ self.mlp.W_in + self.mlp.b_in\n"
        "        post = gelu_tanh(pre) @ self.mlp.W_out + self.mlp.b_out\n"
        "        mlp_out = self.mlp.output_dropout(post)",
    )
    assert not failed(tmp_path, "TransformerBlock", OWN, edit)


def test_a_model_that_drops_with_the_dropout_of_its_blocks_is_rejected(tmp_path: Path) -> None:
    edit = (BLOCKS, f"{BLOCKS}            residual = block.mlp.output_dropout(residual)\n")
    assert failed(tmp_path, "Transformer", MEAN, edit)


def test_a_pattern_tapped_after_dropout_is_rejected(tmp_path: Path) -> None:
    after = PATTERN.replace("self.hook_attn", "self.pattern_dropout(self.hook_attn") + ")"
    edits = ((PATTERN, after), ("self.pattern_dropout(pattern),", "pattern,"))
    assert failed(tmp_path, "MultiHeadAttention", "hook_pattern is before dropout", *edits)


def test_a_missing_tap_of_the_pattern_is_accepted(tmp_path: Path) -> None:
    without = PATTERN.replace("self.hook_pattern(", "(")
    edits = ((PATTERN, without), ("        self.hook_pattern = nn.Identity()\n", ""))
    claim = "hook_pattern is before dropout"
    assert not failed(tmp_path, "MultiHeadAttention", claim, *edits)


KEY = "        key = self.hook_k("


@pytest.mark.parametrize(
    ("claim", "fails"),
    [("hook_pattern is before dropout", False), ("correct activations at the taps", True)],
)
def test_two_activations_at_another_tap_are_no_mistake_of_the_pattern(
    tmp_path: Path, claim: str, fails: bool
) -> None:
    edit = (KEY, f"        self.hook_k(query)\n{KEY}")
    assert failed(tmp_path, "MultiHeadAttention", claim, edit) is fails


def test_the_same_activation_with_nan_may_be_tapped_twice() -> None:
    model = nn.ModuleDict({"hook_k": nn.Identity()})
    with listening(model) as heard:
        for _ in range(2):
            model["hook_k"](torch.tensor([1.0, torch.nan]))
        with pytest.raises(Failure, match="two different activations"):
            model["hook_k"](torch.tensor([2.0, torch.nan]))
    assert list(heard) == ["hook_k"]
