"""Test that unlisted mistakes get no false name."""

from pathlib import Path

import mistake_matrix as matrix
import pytest
from checking import check_text, reference_with
from test_mistake_matrix import trial_of
from unlisted_slips import SLIPS, Slip

pytestmark = pytest.mark.usefixtures("one_thread")

# The default suite tries one in this many; the others are slow.
ONE_IN = 40


def trial_with(slip: Slip, folder: Path) -> matrix.Trial:
    path = folder / f"{slip.file}.py"
    path.write_text(slip.text(), encoding="utf-8")
    return trial_of(path, slip.part)


@pytest.mark.parametrize(
    "slip",
    [
        slip if number % ONE_IN == 0 else pytest.param(slip, marks=pytest.mark.slow)
        for number, slip in enumerate(SLIPS)
    ],
    ids=lambda slip: f"{slip.part} {slip.wrong}",
)
def test_an_unlisted_slip_is_rejected_and_gets_no_false_name(slip: Slip, tmp_path: Path) -> None:
    trial = trial_with(slip, tmp_path)
    assert trial.failed
    assert set(trial.named) <= set(slip.names), trial.text


@pytest.mark.slow
def test_nine_in_ten_unlisted_slips_have_their_line_quoted(tmp_path: Path) -> None:
    """A line of the wrong statement, or of the one that uses its result."""
    astray = []
    for slip in SLIPS:
        line, first = trial_with(slip, tmp_path).line, slip.line
        if line is None or not first <= line <= first + slip.wrong.count("\n") + 1:
            astray.append((slip.part, slip.wrong, line))
    assert len(astray) <= 0.1 * len(SLIPS), astray


RAW_LOGITS = """
import torch

def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature == 0:
        temperature, top_k = 1.0, 1
    best, tokens = (logits / temperature).topk(top_k or logits.shape[-1])
    return tokens.gather(-1, torch.multinomial(best, 1, generator=generator))[:, 0]
"""


def test_a_draw_from_logits_is_not_named_as_an_overflow_of_exponentials(tmp_path: Path) -> None:
    (tmp_path / "raw_logits.py").write_text(RAW_LOGITS, encoding="utf-8")
    trial = trial_of(tmp_path / "raw_logits.py", "sample")
    assert trial.failed
    assert trial.named == ("sample-draws-from-logits",)


THRESHOLD_OF_ROWS = """
import torch

def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if top_k is not None:
        least = logits.topk(top_k)[0][:, -1]
        logits = logits.where(logits >= least, -torch.inf)
    if temperature == 0:
        return logits.argmax(-1)
    return torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0]
"""


def test_an_error_in_a_comparison_is_not_named_as_a_scatter_over_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.py").write_text(THRESHOLD_OF_ROWS, encoding="utf-8")
    trial = trial_of(tmp_path / "rows.py", "sample")
    assert trial.failed
    assert set(trial.named) <= {"sample-top-p-ignored", "sample-top-k-above-vocabulary"}


def test_a_module_with_one_fitting_bias_is_not_named_as_a_renamed_norm(tmp_path: Path) -> None:
    """An MLP after the blocks in place of the final norm has one vector of d_model, not two."""
    text = reference_with(
        ("self.ln_final = LayerNorm(config)", "self.extra = MLP(config)"),
        ("final = self.ln_final(residual)", "final = self.extra(residual)"),
    )
    verdict = check_text(tmp_path, text, "Transformer")
    report = verdict.reports["Transformer"]
    assert "transformer-final-norm-other-name" not in report.mistakes, report.naming
    assert any("there is no parameter ln_final.w" in r.message for r in verdict.results)


def test_dropout_of_the_hidden_layer_is_not_named_as_a_bias_without_dropout(tmp_path: Path) -> None:
    """Neither leaves zeros in the output; but they drop from results of other sizes."""
    text = reference_with(
        ("self.output_dropout = nn.Dropout(config.dropout)\n        self.hook_pre",
         "self.output_dropout = nn.Dropout(0.1)\n        self.hook_pre"),
        ("post = self.hook_post(gelu_tanh(self.hook_pre(pre)))",
         "post = self.output_dropout(self.hook_post(self.hook_pre(pre).relu()))"),
        ("return self.output_dropout(output)", "return output"),
    )  # fmt: skip
    report = check_text(tmp_path, text, "MLP").reports["MLP"]
    assert report.mistakes[0] == "mlp-relu"
    assert "mlp-dropout-before-bias" not in report.mistakes, report.naming


SHARES_AS_LOGITS = """
import torch

def one(row, top_k, top_p):
    shares, tokens = row.softmax(-1).sort(descending=True)
    kept = tokens[:top_k]
    if top_p is not None:
        kept = kept[shares.cumsum(-1)[:len(kept)] - shares[:len(kept)] < top_p]
    return kept[torch.multinomial(shares[kept].softmax(-1), 1)]

def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature == 0:
        return logits.argmax(-1)
    return torch.cat([one(row / temperature, top_k, top_p) for row in logits])
"""


def test_draws_row_by_row_from_uneven_probabilities_are_not_named_as_even(tmp_path: Path) -> None:
    (tmp_path / "shares.py").write_text(SHARES_AS_LOGITS, encoding="utf-8")
    trial = trial_of(tmp_path / "shares.py", "sample")
    assert trial.failed
    assert "sample-uniform" not in trial.named, trial.text
