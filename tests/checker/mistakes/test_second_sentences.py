"""Test the sentences beside a named or unknown mistake: no consequence is a finding of its own."""

from pathlib import Path

import pytest
from checking import check_text, reference_with

COPIES = (
    'return repeat(self.W_pos[:seq], "seq d_model -> batch seq d_model", batch=batch)',
    "return self.W_pos[:seq].repeat(batch, 1) * 1.5",
)
REFUSAL = "        if seq > self.n_ctx:\n            raise ValueError("
ALL_LINEAR = """

class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.out = nn.Linear(config.d_model, config.d_model)
        self.register_buffer("mask", torch.ones(config.n_ctx, config.n_ctx).tril())

    def forward(self, x):
        return self.out(self.qkv(x)[..., : x.shape[-1]])
"""
ACTIVE_DROPOUT = ("self.pattern_dropout(pattern)", "nn.functional.dropout(pattern, 0.25)")


@pytest.mark.parametrize(
    ("raises", "said"),
    [
        ("        if seq < 0:\n            raise ValueError(",
         "It also accepts 15 positions where n_ctx is 12; it should raise ValueError."),
        ("        if seq > self.n_ctx:\n            raise AssertionError(",
         "It also refuses 15 positions where n_ctx is 12 with AssertionError; it should raise "
         "ValueError."),
    ],
)  # fmt: skip
def test_the_bad_input_that_is_not_refused_is_named(tmp_path: Path, raises: str, said: str) -> None:
    text = reference_with(COPIES, (REFUSAL.strip(), raises.strip()))
    naming = check_text(tmp_path, text, "PositionalEmbedding").reports["PositionalEmbedding"].naming
    assert naming.endswith(said)


TORCHS = (
    ("        self.d_head = d_head\n        self.pattern",
     "        self.d_head = d_head\n        self.mha = nn.MultiheadAttention(d_model, heads, "
     "dropout=config.dropout, batch_first=True)\n        self.pattern"),
    ('        project = "batch seq d_model, head',
     "        seq = residual.shape[1]\n"
     "        mask = residual.new_ones(seq, seq).triu(1).bool()\n"
     "        out, _ = self.mha(residual, residual, residual, attn_mask=mask, need_weights=False)\n"
     "        if seq:\n            return self.output_dropout(out)\n"
     '        project = "batch seq d_model, head'),
)  # fmt: skip


def test_torchs_own_attention_has_no_mistake_of_mask_or_dropout(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, reference_with(*TORCHS), "MultiHeadAttention")
    assert verdict.reports["MultiHeadAttention"].mistakes == ()
    extra = next(r for r in verdict.results if "no other parameters" in r.check)
    assert extra.message.startswith("the nn.MultiheadAttention mha has weights of its own:")


def naming_of(tmp_path: Path, part: str, *edits: tuple[str, str]) -> str:
    """The sentences about a part of the reference with edits."""
    return check_text(tmp_path, reference_with(*edits), part).reports[part].naming


@pytest.mark.slow
def test_a_refusal_of_computed_numbers_is_not_judged_beside_an_unknown_function(
    tmp_path: Path,
) -> None:
    after = ("            weighted_loss.backward()", "            weighted_loss.backward()\n"
             "            optimizer.zero_grad()")  # fmt: skip
    naming = naming_of(tmp_path, "train_step", after)
    assert "also" not in naming


@pytest.mark.slow
def test_parameters_of_other_names_are_not_taken_for_a_trained_mask(tmp_path: Path) -> None:
    report = check_text(tmp_path, reference_with() + ALL_LINEAR, "MultiHeadAttention").reports[
        "MultiHeadAttention"
    ]
    assert "attention-mask-trainable" not in report.mistakes


@pytest.mark.slow
def test_a_check_that_a_named_mistake_fails_is_not_called_unexplained(tmp_path: Path) -> None:
    naming = naming_of(tmp_path, "MultiHeadAttention", ACTIVE_DROPOUT)
    assert '"no dropout in evaluation mode"' not in naming
