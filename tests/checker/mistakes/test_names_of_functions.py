"""Test what is said about wrong functions: the name, what it explains, and what is a remark."""

from pathlib import Path

import pytest
from checking import check_text, line_of, reference_with
from default_share import slowly

from gpt2_small.checker.verdict import REMARK, PartReport, Verdict

GREEDY = "    if temperature == 0:\n        return logits.argmax(dim=-1)\n"
NO_WARM_UP = "peak_step, last_step = max(warmup_steps - 1, 0), total_steps - 1"
COSINE = "0.5 * (1 + math.cos(math.pi * progress))"
RECORD = "        yield TrainRecord(step + 1, result.loss, result.grad_norm, rate, tokens)\n"
SYNCHRONISED = "last=number == len(batches)"


def checked(tmp_path: Path, part: str, *edits: tuple[str, str]) -> tuple[Verdict, PartReport]:
    """The verdict on a part of the reference with edits, and the part's report."""
    verdict = check_text(tmp_path, reference_with(*edits), part)
    return verdict, verdict.reports.get(part, PartReport())


@pytest.mark.parametrize("least", ["1e-6", slowly("1e-5")])
def test_a_tiny_temperature_for_0_is_rejected_and_named(tmp_path: Path, least: str) -> None:
    _, report = checked(
        tmp_path, "sample", (GREEDY, f"    temperature = max(temperature, {least})\n")
    )
    assert report.mistakes == ("sample-nearly-zero-temperature",)


@pytest.mark.parametrize(
    "taken",
    [
        "logits.softmax(dim=-1).argmax(dim=-1)",
        slowly("logits.log_softmax(dim=-1).argmax(dim=-1)"),
        slowly("logits.topk(1).indices[:, 0]"),
    ],
)
def test_the_larger_of_nearly_equal_logits_is_accepted_in_any_style(
    tmp_path: Path, taken: str
) -> None:
    verdict, _ = checked(tmp_path, "sample", ("logits.argmax(dim=-1)", taken))
    assert verdict.exit_code == 0


def test_a_draw_from_logits_is_not_taken_for_an_overflow(tmp_path: Path) -> None:
    draw = (
        GREEDY
        + "    return torch.multinomial(logits / temperature, 1, generator=generator)[:, 0]\n"
    )
    _, report = checked(tmp_path, "sample", (GREEDY, draw))
    assert report.mistakes == ("sample-draws-from-logits",)


UPWARDS = (
    "    if top_p is not None and top_p < 1:\n",
    "    if top_p is not None:\n"
    "        ordered, tokens = probabilities.sort(dim=-1)\n"
    "        dropped = ordered.cumsum(dim=-1) - ordered >= top_p\n"
    "        probabilities = probabilities.masked_fill(dropped.scatter(1, tokens, dropped), 0.0)\n"
    "    if False:\n",
)


def test_probabilities_that_are_sorted_upwards_for_top_p_say_nothing_of_top_k(
    tmp_path: Path,
) -> None:
    _, report = checked(tmp_path, "sample", UPWARDS)
    assert report.mistakes == ("sample-top-p-sorted-upwards",)


def test_a_name_by_the_first_check_alone_is_said_to_explain_this_check(tmp_path: Path) -> None:
    _, report = checked(tmp_path, "sample", ("index=rank).squeeze(-1)", "index=rank)"))
    assert report.naming == (
        "Your sample returns [batch 1]. This explains the first check's result exactly."
    )


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ("(1 - progress)", "schedule-linear"),
        slowly(("(1 + math.cos(math.pi * progress))", "schedule-half-missing")),
    ],
)
def test_a_wrong_decay_is_explained_whatever_the_first_rate_without_a_warm_up(
    tmp_path: Path, wrong: str, name: str
) -> None:
    starts = (NO_WARM_UP, "peak_step, last_step = warmup_steps - 1, total_steps - 1")
    _, report = checked(tmp_path, "learning_rate", starts, (COSINE, wrong))
    assert report.mistakes == (name,)
    assert "This explains every result exactly" in report.naming


def test_a_peak_that_is_not_a_number_is_a_remark(tmp_path: Path) -> None:
    verdict, _ = checked(tmp_path, "learning_rate", ("if not 0 <= peak < math.inf", "if peak < 0"))
    assert verdict.exit_code == 0
    assert [r.message for r in verdict.results if r.message.startswith(REMARK)] == [
        f"{REMARK}a call with peak=nan is accepted; it should be refused with ValueError"
    ]


EVERY_STEP = "    optimizer.zero_grad()\n    losses = []\n"
STEP = "loss(model, batch) * (batch[:, 1:].numel() / tokens)"


@pytest.mark.parametrize(
    ("part", "edit", "name"),
    [
        ("generate", ("                top_k=top_k,\n", "                top_k=top_k or 200,\n"),
         "generate-keeps-50-tokens"),
        slowly(("train_step", (EVERY_STEP, f"    model.eval()\n{EVERY_STEP}"),
                "train-step-in-evaluation")),
    ],
)  # fmt: skip
def test_a_default_that_no_caller_asked_for_is_rejected(
    tmp_path: Path, part: str, edit: tuple[str, str], name: str
) -> None:
    verdict, report = checked(tmp_path, part, edit)
    assert verdict.exit_code == 1
    assert report.mistakes == (name,)


@pytest.mark.slow
def test_a_loss_without_a_graph_is_not_said_to_be_zeroed(tmp_path: Path) -> None:
    detached = (
        STEP,
        f"torch.tensor({STEP}.item(), requires_grad=True)".replace(
            "loss(model, batch) * (batch", "(loss(model, batch) * (batch"
        ).replace(".item()", ").item()"),
    )
    _, report = checked(tmp_path, "train_step", detached)
    assert "or none reaches the model" in report.naming
    assert "no gradient of this loss reaches the model's parameters" in report.location[0]


@pytest.mark.slow
def test_an_error_that_train_swallows_is_a_remark(tmp_path: Path) -> None:
    step = (
        "        result = train_step(model, batches, optimizer, max_grad_norm=max_grad_norm, "
        "loss=loss)\n"
    )
    caught = f"        try:\n    {step}        except FloatingPointError:\n            continue\n"
    verdict, _ = checked(tmp_path, "train", (step, caught))
    assert verdict.exit_code == 0
    assert any("a training whose loss is not finite" in r.message for r in verdict.results)


def test_a_mode_that_generate_leaves_alone_is_no_second_mistake(tmp_path: Path) -> None:
    path = Path(__file__).parents[1] / "wrong_files" / "generate_new_tokens_only.py"
    verdict = check_text(tmp_path, f"{reference_with()}\n\n{path.read_text()}", "generate")
    assert verdict.reports["generate"].mistakes == ("generate-new-tokens-only",)


def test_a_loop_that_ends_after_one_record_does_not_yield_after_the_loop(tmp_path: Path) -> None:
    _, report = checked(tmp_path, "train", (RECORD, f"{RECORD}        break\n"))
    assert report.mistakes == ()


@pytest.mark.slow
def test_an_exchange_with_the_first_micro_batch_is_not_called_none(tmp_path: Path) -> None:
    _, report = checked(tmp_path, "train_step", (SYNCHRONISED, "last=number == 1"))
    assert "does not exchange gradients between processes with the last micro-batch" in (
        report.naming
    )


LATE_SPLIT = """
import torch.nn as nn

criterion = nn.CrossEntropyLoss(ignore_index=0)

def next_token_loss(logits, tokens):
    return criterion(logits[:, :-1].transpose(1, 2), tokens[:, 1:])
"""


def test_a_mistake_that_raises_beside_one_of_the_numbers_is_named_as_well(tmp_path: Path) -> None:
    report = check_text(tmp_path, LATE_SPLIT, "next_token_loss").reports["next_token_loss"]
    assert report.mistakes == ("loss-ignores-token-0", "loss-one-token-more-refused")


def test_a_name_does_not_explain_an_error_that_it_does_not_raise(tmp_path: Path) -> None:
    longer = "    logits = logits if len(tokens.T) <= len(logits[0]) else None\n    return"
    text = LATE_SPLIT.replace("    return", longer)
    report = check_text(tmp_path, text, "next_token_loss").reports["next_token_loss"]
    assert "exactly" not in report.naming


@pytest.mark.slow
def test_an_update_after_the_first_micro_batch_alone_is_not_one_after_each(tmp_path: Path) -> None:
    edit = (
        "            weighted_loss.backward()\n",
        "            weighted_loss.backward()\n"
        "            if number == 1 < len(batches):\n"
        "                optimizer.step()\n",
    )
    _, report = checked(tmp_path, "train_step", edit)
    assert "train-step-updates-each-batch" not in report.mistakes


NOTHING_FOR_TOP_P = (
    ("    if top_p is not None and top_p < 1:\n", "    root = probabilities.sqrt()\n"
     "    if top_k is not None:\n        probabilities = root\n"
     "    if top_p is not None and top_p < 1:\n"),
    ("(probabilities, num_samples=1", "(probabilities if top_p is None else None, num_samples=1"),
)  # fmt: skip
LOGITS_FOR_TOP_K = (
    ("(relative / temperature).sort(", "(relative / temperature / (top_p or 1)).sort("),
    ("        descending[:, top_k:] = -math.inf\n",
     "        drawn = torch.multinomial(descending[:, :top_k], 1, generator=generator)\n"
     "        return token_of_rank.gather(-1, drawn)[:, 0]\n"),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edits", "raised_at"),
    [(NOTHING_FOR_TOP_P, "rank = torch"), (LOGITS_FOR_TOP_K, "drawn = torch")],
    ids=["of a type", "of negative numbers"],
)
def test_the_line_of_an_error_is_quoted_where_the_line_itself_explains_it(
    tmp_path: Path, edits: tuple[tuple[str, str], ...], raised_at: str
) -> None:
    verdict, _ = checked(tmp_path, "sample", *edits)
    text = (tmp_path / "my_gpt2.py").read_text()
    raised = [r for r in verdict.results if "Error" in r.message and r.component == "sample"]
    assert raised
    assert {result.line for result in raised} == {line_of(text, raised_at)}


UNDERFLOWING = """
def next_token_loss(logits, tokens):
    right = logits[:, : tokens.shape[1] - 1].softmax(-1).gather(-1, tokens[:, 1:, None])
    return -right.log().mean()
"""
SOFTMAX_AT_0 = (
    GREEDY,
    GREEDY.replace("logits.argmax(dim=-1)", "torch.multinomial(logits.softmax(-1), 1)[:, 0]"),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "text", "quoted"),
    [
        ("next_token_loss", UNDERFLOWING, "right.log()"),
        ("sample", reference_with(SOFTMAX_AT_0), "torch.multinomial(logits.softmax(-1), 1)"),
    ],
    ids=["a logarithm that underflows", "a draw at temperature 0"],
)
def test_the_line_behind_a_claim_about_a_special_case_is_quoted(
    tmp_path: Path, part: str, text: str, quoted: str
) -> None:
    report = check_text(tmp_path, text, part).reports[part]
    assert quoted in report.location[-1]


def test_shares_rounded_to_float32_are_accepted(tmp_path: Path) -> None:
    verdict, _ = checked(
        tmp_path,
        "train_step",
        ("(batch[:, 1:].numel() / tokens)", "torch.tensor(batch[:, 1:].numel() / tokens).item()"),
    )
    assert verdict.exit_code == 0


def test_a_forward_pass_that_decides_the_exchange_alone_gets_a_remark(tmp_path: Path) -> None:
    verdict, _ = checked(
        tmp_path,
        "train_step",
        (
            "        with synchronised(model, last=number == len(batches)):\n"
            "            weighted_loss = loss(model, batch) * (batch[:, 1:].numel() / tokens)\n",
            "        weighted_loss = loss(model, batch) * (batch[:, 1:].numel() / tokens)\n"
            "        with synchronised(model, last=number == len(batches)):\n",
        ),
    )
    remarks = [r.message for r in verdict.results if r.message.startswith(REMARK)]
    assert remarks == [
        f"{REMARK}the number of gradient exchanges in a step of three micro-batches is 3; "
        "it should be at most 1"
    ]


UNSYNCHRONISED = ("with synchronised(model, last=number == len(batches))", "if True")
EQUAL_SHARES = ("* (batch[:, 1:].numel() / tokens)", "/ len(batches)")
CLIPS_TO_ONE = (
    "clip_grad_norm_(model.parameters(), max_grad_norm)",
    "clip_grad_norm_(model.parameters(), 1.0)",
)
LAST_LOSS = ("torch.stack(losses).sum().item()", "losses[-1].item() * len(batches)")
ZEROED_AFTERWARDS = (
    ("    optimizer.zero_grad()\n", ""),
    ("    optimizer.step()\n", "    optimizer.step()\n    optimizer.zero_grad()\n"),
)
TRAIN_TRIPLE = (
    ("tokens += result.tokens", "tokens = result.tokens"),
    ("        model.train()\n", "        print(step)\n"),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "edits", "names"),
    [
        ("train_step", (UNSYNCHRONISED, EQUAL_SHARES, CLIPS_TO_ONE),
         {"train-step-equal-shares", "train-step-clips-to-one"}),
        ("train_step", (EQUAL_SHARES, LAST_LOSS, *ZEROED_AFTERWARDS),
         {"train-step-gradient-equal-shares", "train-step-tells-last-loss",
          "train-step-zeroed-after-update"}),
        ("train", TRAIN_TRIPLE,
         {"train-tokens-of-step-alone", "train-mode-not-set", "train-prints"}),
    ],
    ids=["two beside a remark", "three of a step", "three of a training"],
)  # fmt: skip
def test_all_mistakes_of_a_training_are_named(
    tmp_path: Path, part: str, edits: tuple[tuple[str, str], ...], names: set[str]
) -> None:
    _, report = checked(tmp_path, part, *edits)
    assert set(report.mistakes) == names
    assert "This explains every result exactly" in report.naming
