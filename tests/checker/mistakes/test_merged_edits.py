"""Test that two mistakes in one statement of the reference are named together."""

from pathlib import Path

import pytest
from checking import check_text, reference_with
from default_share import slowly

from gpt2_small.checker.mistakes.merged_edits import merged

COSINE = "return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * progress))"
W_POS = "self.W_pos = normal_parameter(config.n_ctx, config.d_model, std=config.init_std)"


def test_edits_of_different_words_of_a_text_are_both_made() -> None:
    edits = [("a * (b + c) - d", "a * (b - c) - d"), ("a * (b + c) - d", "e * (b + c) - d")]
    assert merged("x = a * (b + c) - d\n", edits) == "x = e * (b - c) - d\n"


def test_edits_of_the_same_words_are_not_merged() -> None:
    assert merged("x = a + b\n", [("a + b", "a - b"), ("a + b", "a * b")]) is None


def test_two_insertions_at_one_place_are_not_merged() -> None:
    assert merged("x = a\n", [("x = a", "x = a + b"), ("x = a", "x = a + c")]) is None


@pytest.mark.parametrize(
    ("part", "old", "new", "names"),
    [
        (
            "learning_rate",
            COSINE,
            "return (peak - final) * 0.5 * (1 - math.cos(math.pi * progress))",
            {"schedule-rises", "schedule-floor-not-added"},
        ),
        (
            "PositionalEmbedding",
            W_POS,
            'self.register_buffer("W_pos", torch.randn(config.n_ctx, config.d_model))',
            {"positional-embedding-buffer", "positional-embedding-init-standard-normal"},
        ),
        slowly(
            (
                "learning_rate",
                COSINE,
                "return max(final, peak * 0.5 * (1 + math.cos(progress)))",
                {"schedule-floor-cuts", "schedule-pi-missing"},
            )
        ),
        slowly(
            (
                "TransformerBlock",
                "return self.hook_resid_post(resid_mid + mlp_out)",
                "return self.hook_resid_post(self.ln2(resid_mid - mlp_out))",
                {"block-norm-after-last-sum", "block-subtracts"},
            )
        ),
    ],
)
def test_two_mistakes_in_one_statement_are_both_named(
    tmp_path: Path, part: str, old: str, new: str, names: set[str]
) -> None:
    report = check_text(tmp_path, reference_with((old, new)), part).reports[part]
    assert set(report.mistakes) == names


def test_a_bias_in_a_plain_tensor_is_not_said_to_be_left_out(tmp_path: Path) -> None:
    bias = (
        "self.b_in = nn.Parameter(torch.zeros(config.d_mlp))",
        "self.b_in = torch.zeros(config.d_mlp)",
    )
    verdict = check_text(tmp_path, reference_with(bias), "MLP")
    assert verdict.reports["MLP"].mistakes == ()
    assert "in place of the parameter b_in there is a plain tensor" in verdict.of("MLP")[1].message


def test_a_property_over_a_linears_weight_is_not_called_an_untrained_tensor(tmp_path: Path) -> None:
    text = reference_with(
        (
            "self.W_in = normal_parameter(config.d_model, config.d_mlp, std=config.init_std)",
            "self.fc = nn.Linear(config.d_model, config.d_mlp)",
        ),
        ("        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))\n", ""),
    )
    head = "class MLP(nn.Module):\n"
    properties = (
        "    W_in = property(lambda self: self.fc.weight.T)\n"
        "    b_in = property(lambda self: self.fc.bias)\n"
    )
    verdict = check_text(tmp_path, text.replace(head, head + properties), "MLP")
    message = verdict.of("MLP")[1].message
    assert "plain tensor" not in message
    assert "fc is an nn.Linear" in message
