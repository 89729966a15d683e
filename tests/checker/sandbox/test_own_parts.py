"""Test files whose parts call more of each other than the contract states."""

from pathlib import Path

import pytest
from checking import check_text, reference_with

from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.verdict import Result, Verdict

ATTEND = (
    "        return self.W_E[tokens]\n",
    "        return self.W_E[tokens]\n\n    def attend(self, x):\n        return x @ self.W_E.T\n",
)
CALLS_IT = ("        return final @ tied_W_U\n", "        return self.embed.attend(final)\n")
MASK_GIVEN = ("self.attn(self.ln1(resid_pre))", "self.attn(self.ln1(resid_pre), None)")
MASK_TAKEN = (
    "    def forward(\n"
    '        self, residual: Float[Tensor, "batch seq d_model"]\n'
    '    ) -> Float[Tensor, "batch seq d_model"]:\n'
    '        project = "',
    '    def forward(self, residual, mask=None):\n        project = "',
)


def failed(verdict: Verdict) -> list[Result]:
    return [result for result in verdict.results if result.status != "passed"]


@pytest.mark.parametrize(
    ("edits", "part"),
    [
        ((ATTEND, CALLS_IT), "Transformer"),
        ((MASK_TAKEN, MASK_GIVEN), "TransformerBlock"),
    ],
)
def test_a_part_that_calls_more_of_the_files_own_parts_is_right(tmp_path, edits, part) -> None:
    assert failed(check_text(tmp_path, reference_with(*edits), part)) == []


def test_a_method_that_the_file_lacks_is_an_error(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, reference_with(CALLS_IT), "Transformer")
    assert failed(verdict)[0].message.startswith("AttributeError: 'Embedding' object has no")


def test_a_mistake_in_a_part_that_needs_the_files_own_parts_is_named(tmp_path: Path) -> None:
    no_norm = ("        final = self.ln_final(residual)\n", "        final = residual\n")
    verdict = check_text(tmp_path, reference_with(ATTEND, CALLS_IT, no_norm), "Transformer")
    assert verdict.reports["Transformer"].mistakes == ("transformer-final-norm-missing",)


def test_a_wrong_method_of_another_part_is_rejected(tmp_path: Path) -> None:
    twice = (ATTEND[0], ATTEND[1].replace("self.W_E.T", "self.W_E.T * 2"))
    assert failed(check_text(tmp_path, reference_with(twice, CALLS_IT), "Transformer"))


def test_a_wrong_block_does_not_fail_the_transformer(tmp_path: Path) -> None:
    wrong = ("self.hook_resid_post(resid_mid + mlp_out)", "self.hook_resid_post(mlp_out)")
    modules = PARTS[: PARTS.index("Transformer") + 1]
    verdict = check_text(tmp_path, reference_with(wrong), *modules, naming=False)
    assert {result.component for result in failed(verdict)} == {"TransformerBlock"}


def test_each_result_is_reported_once(tmp_path: Path) -> None:
    heard: list[Result] = []
    text = reference_with(ATTEND, CALLS_IT)
    check_text(tmp_path, text, "Transformer", on_result=heard.append)
    assert {result.status for result in heard} == {"passed"}
