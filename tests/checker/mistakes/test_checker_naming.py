"""Test the naming of mistakes, alone and in pairs, and of unknown ones."""

import re
from pathlib import Path

import pytest
from checking import check_text, line_of, reference_with, wrong_text
from default_share import slowly

from gpt2_small.checker.mistakes import edited_reference
from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit
from gpt2_small.checker.mistakes.mistake import Mistake, find
from gpt2_small.errors import UserError

Q = "query = self.hook_q(einsum(residual, self.W_Q, project) + self.b_Q)"
SCALE = "query / math.sqrt(self.d_head),"


@pytest.mark.parametrize(
    "name",
    [
        "layer-norm-unbiased-variance",
        "layer-norm-in-place",
        "attention-b-k-unused",
        slowly("mlp-exact-gelu"),
    ],
)
def test_a_mistake_is_named_in_every_failed_check(tmp_path: Path, name: str) -> None:
    wrong = find(name)
    verdict = check_text(tmp_path, wrong_text(wrong), wrong.component)
    assert {r.mistake for r in verdict.results if r.status == "failed"} == {name}
    assert {r.mistake for r in verdict.results if r.status == "passed"} == {None}
    assert verdict.reports[wrong.component].naming.startswith(f"Your {wrong.component} ")


def test_naming_depends_on_behaviour_and_not_on_text(tmp_path: Path) -> None:
    """The same mistake written differently, without the reference's taps."""
    forward = (
        edited_reference.reference_text().split("class LayerNorm")[1].split("class Embedding")[0]
    )
    other = forward.split("        centered = residual")[0] + (
        "        deviation, mean = torch.std_mean(residual, -1, unbiased=True, keepdim=True)\n"
        "        residual = (residual - mean) * (deviation**2 + self.eps).rsqrt()\n"
        "        return torch.addcmul(self.b, residual, self.w)\n\n\n"
    )
    text = edited_reference.reference_text().replace(forward, other)
    verdict = check_text(tmp_path, text, "LayerNorm")
    assert verdict.reports["LayerNorm"].mistakes == ("layer-norm-unbiased-variance",)


def test_an_equivalent_computation_is_accepted(tmp_path: Path) -> None:
    same = find("attention-mask-filled-with-1e5")
    assert check_text(tmp_path, wrong_text(same), same.component).exit_code == 0


def test_of_two_mistakes_in_a_part_both_are_named_with_their_lines(tmp_path: Path) -> None:
    pair = find("mlp-b-in-unused"), find("mlp-exact-gelu")
    verdict = check_text(tmp_path, wrong_text(*pair), "MLP")
    names = {wrong.id for wrong in pair}
    assert set(verdict.reports["MLP"].mistakes) == names
    assert {r.mistake for r in verdict.results if r.status == "failed"} == names


@pytest.mark.slow
def test_two_mistakes_whose_edits_overlap_are_named(tmp_path: Path) -> None:
    pair = find("attention-scale-missing"), find("attention-mask-filled-with-zero")
    verdict = check_text(tmp_path, wrong_text(*pair), "MultiHeadAttention")
    assert set(verdict.reports["MultiHeadAttention"].mistakes) == {wrong.id for wrong in pair}


def test_a_large_finite_mask_in_place_of_an_infinite_one_gets_no_name(tmp_path: Path) -> None:
    """A position that sees nothing then gives numbers and not NaN."""
    text = reference_with(
        (".triu(diagonal=1)", ".triu(diagonal=0)"),
        ("scores = similarity + mask", "scores = similarity.masked_fill(mask < 0, -1e9)"),
    )
    report = check_text(tmp_path, text, "MultiHeadAttention").reports["MultiHeadAttention"]
    assert report.mistakes == ("attention-mask-diagonal",)


def test_mistakes_in_two_parts_are_named_independently(tmp_path: Path) -> None:
    text = wrong_text(find("layer-norm-gain-plus-one"), find("mlp-relu"))
    verdict = check_text(tmp_path, text, "LayerNorm", "MLP", "TransformerBlock")
    assert verdict.reports["LayerNorm"].mistakes == ("layer-norm-gain-plus-one",)
    assert verdict.reports["MLP"].mistakes == ("mlp-relu",)
    assert verdict.state_of("TransformerBlock") == "passed"


def test_the_explanation_names_the_next_closest_mistake(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, wrong_text(find("mlp-relu")), "MLP")
    naming = verdict.reports["MLP"].naming
    assert "uses ReLU as its activation" in naming
    assert re.search(r"This explains every result exactly \(next closest: mlp-[a-z-]+\)", naming)


def test_a_mistake_without_effect_on_the_output_is_not_the_next_closest(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, wrong_text(find("mlp-exact-gelu")), "MLP")
    closest = re.search(r"next closest: ([a-z0-9.-]+)\)", verdict.reports["MLP"].naming)
    assert closest is not None
    assert closest[1].startswith("mlp-gelu-constant")


UNKNOWN = {
    "a step in the scores before the mask, 3 times what it should be": (
        SCALE,
        SCALE.replace("query", "3 * query"),
    ),
    "the reference has the queries here": (
        Q,
        Q.replace("self.hook_q(", "self.hook_q(0.3 + "),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("sentence", UNKNOWN)
def test_an_unknown_mistake_is_reported_as_unknown_with_its_first_wrong_line(
    tmp_path: Path, sentence: str
) -> None:
    verdict = check_text(tmp_path, reference_with(UNKNOWN[sentence]), "MultiHeadAttention")
    report = verdict.reports["MultiHeadAttention"]
    assert report.mistakes == ()
    assert "No known mistake of MultiHeadAttention behaves like it" in report.naming
    assert sentence in report.location[0]
    assert {r.mistake for r in verdict.results} == {None}


def test_the_first_wrong_line_is_found_without_taps(tmp_path: Path) -> None:
    text = edited_reference.reference_text()
    for tap in ("q", "k", "v", "attn_scores", "pattern", "z"):
        text = text.replace(f"self.hook_{tap}(", "(")
    text = text.replace(SCALE, "query * 2.0,")
    verdict = check_text(tmp_path, text, "MultiHeadAttention")
    sentence, right, wrong = verdict.reports["MultiHeadAttention"].location
    assert "a step in the scores before the mask, 5.657 times what it should be" in sentence
    assert "query = " in right
    assert "query * 2.0," in wrong
    assert verdict.results[3].line == line_of(text, "query * 2.0,")


SLIPS = (
    (
        "normal_parameter(config.d_mlp, config.d_model, std=residual_std(config))",
        "normal_parameter(config.d_mlp, config.d_model, std=config.init_std)",
    ),
    ("return self.output_dropout(output)\n", "return output\n"),
)
BESIDE = {"mlp-dropout-missing", "mlp-w-out-init-like-w-in"}


def test_wrong_initialisation_and_dropout_do_not_hide_a_wrong_function(tmp_path: Path) -> None:
    """Three findings: the function, the initialisation and the dropout."""
    relu = find("mlp-relu")
    text = reference_with((relu.old, relu.new), *SLIPS)
    report = check_text(tmp_path, text, "MLP").reports["MLP"]
    assert report.mistakes[0] == relu.id
    assert set(report.mistakes) == {relu.id, *BESIDE}


def test_forgotten_dropout_is_named_beside_an_unknown_function(tmp_path: Path) -> None:
    text = reference_with(
        ("gelu_tanh(self.hook_pre(pre))", "gelu_tanh(0.7 * self.hook_pre(pre))"),
        SLIPS[1],
    )
    report = check_text(tmp_path, text, "MLP").reports["MLP"]
    assert report.mistakes == ("mlp-dropout-missing",)
    assert "not explained" not in report.naming


def test_an_unknown_function_does_not_hide_other_mistakes(tmp_path: Path) -> None:
    text = reference_with(
        (SCALE, "query / 7,"),
        (
            "normal_parameter(heads, d_head, d_model, std=residual_std(config))",
            "normal_parameter(heads, d_head, d_model, std=config.init_std)",
        ),
        ("self.pattern_dropout(pattern)", "pattern"),
        ("return self.output_dropout(output + self.b_O)", "return output + self.b_O"),
    )
    report = check_text(tmp_path, text, "MultiHeadAttention").reports["MultiHeadAttention"]
    assert set(report.mistakes) == {"attention-dropout-missing", "attention-w-o-init-like-the-rest"}
    assert "No known mistake of MultiHeadAttention behaves like it" in report.naming


def test_the_mistake_behind_the_first_failed_claim_is_named_despite_another_fault(
    tmp_path: Path,
) -> None:
    """A LayerNorm with unbiased variance that also refuses a batch of five."""
    wrong = find("layer-norm-unbiased-variance")
    text = reference_with(
        (wrong.old, wrong.new),
        ("        centered = residual - red", "        residual = residual.clamp(max=9)\n"
         "        centered = residual - red"),
    )  # fmt: skip
    report = check_text(tmp_path, text, "LayerNorm").reports["LayerNorm"]
    assert report.mistakes in ((wrong.id,), ())
    assert " 0 away" not in report.naming


def test_a_part_that_raises_gets_no_other_mistakes_name(tmp_path: Path) -> None:
    text = reference_with(
        (
            "        centered = residual - reduce(",
            "        raise KeyError('x')\n        centered = residual - reduce(",
        )
    )
    verdict = check_text(tmp_path, text, "LayerNorm")
    assert {result.mistake for result in verdict.results} == {None}
    assert verdict.results[0].line == line_of(text, "raise KeyError('x')")


def test_one_number_beside_errors_names_no_other_mistake(tmp_path: Path) -> None:
    """Most checks end with an error, and the longest sequence read is 11, as one short of n_ctx."""
    appended = 'tokens = torch.cat([tokens, rearrange(next_token, "batch -> batch 1")], dim=1)'
    full = "if tokens.shape[1] >= len(model.pos_embed.W_pos):\n                break"
    text = reference_with(
        ("logits = model(tokens[:, -config.n_ctx :])", "logits = model(tokens)"),
        (appended, f"{appended}\n            {full}"),
    )
    named = check_text(tmp_path, text, "generate").reports["generate"].mistakes
    assert named == ("generate-stops-at-n-ctx",)


def test_an_edits_old_text_must_occur_in_the_reference_exactly_once() -> None:
    twice = Mistake(id="x", component="MLP", old="residual", new="", sentence="")
    with pytest.raises(EditDoesNotFit, match=r"occurs [0-9]+ times"):
        edited_reference.build(twice)


def test_an_edited_reference_differs_only_in_its_own_part() -> None:
    wrong = edited_reference.build(find("mlp-relu"))
    assert wrong.MLP is not edited_reference.reference().MLP
    assert wrong.LayerNorm is edited_reference.reference().LayerNorm


def test_an_unknown_id_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match="did you mean mlp-relu"):
        find("mpl-relu")
