"""Test that sentences about quoted lines are true, with edits of the reference."""

from pathlib import Path

import pytest
from checking import check_text, line_of, reference_with
from test_lines import traces_of

from gpt2_small.checker.mistakes.lines.claim_lines import ClaimLines
from gpt2_small.checker.mistakes.lines.location import NOTHING_RIGHT, Location
from gpt2_small.checker.mistakes.lines.non_output_lines import non_output_line
from gpt2_small.checker.mistakes.lines.only_statement import only_statement
from gpt2_small.checker.mistakes.matching.dropout_evidence import DropoutEvidence
from gpt2_small.checker.mistakes.matching.wrong_references import wrong_references
from gpt2_small.checker.mistakes.mistake import find

pytestmark = pytest.mark.usefixtures("one_thread")

LOOK_UP = "        return self.W_E[tokens]\n"
PRE = "        pre = F.linear(residual, self.W_in.T, self.b_in)\n"
POST = "        post = self.hook_post(gelu_tanh(self.hook_pre(pre)))\n"
MLP_OUTPUT = "        output = F.linear(post, self.W_out.T, self.b_out)\n"
LOSS = "    return F.cross_entropy(\n"
Z = "        output = einsum(\n            self.hook_z(z),"
CENTERED = "        centered = residual - reduce("

SENTENCES = {
    "a row of the batch that is repeated for all": (
        "Embedding",
        (LOOK_UP,
         "        rows = self.W_E[tokens[0]]  # here\n"
         "        return rows.unsqueeze(0).expand(tokens.shape[0], -1, -1)\n"),
        "the output of one row of the batch, where those of all belong.",
    ),
    "positions from the end, the same in every row": (
        "PositionalEmbedding",
        ('        return repeat(self.W_pos[:seq], "seq d_model',
         "        rows = self.W_pos[:seq].flip(0)  # here\n"
         '        return repeat(rows, "seq d_model'),
        "in the wrong order.",
    ),
    "losses that are not averaged": (
        "next_token_loss",
        (LOSS,
         "    if logits.shape[1] > 1:  # the rest is not read\n"
         "        return F.cross_entropy(predictions.transpose(1, 2), targets, reduction='none')"
         "  # here\n" + LOSS),
        "the part returns the loss of each target, not the output itself.",
    ),
    "a product for a power": (
        "MLP",
        (POST,
         "        inner = pre + 0.044715 * pre * 3  # here\n"
         "        post = 0.5 * pre * (1 + (0.7978845608028654 * inner).tanh())\n"),
        "it multiplies the hidden layer before the activation by 0.04472.",
    ),
    "an activation that is used again": (
        "MLP",
        (MLP_OUTPUT, MLP_OUTPUT + "        output = gelu_tanh(output)  # here\n"),
        "the reference has the output here.",
    ),
    "positions that are left out": (
        "MLP",
        ("        return self.output_dropout(output)\n\n\nclass TransformerBlock",
         "        outputs = [output[:, i] for i in range(output.shape[1] - 1)]\n"
         "        return torch.stack(outputs, dim=1)  # here\n\n\nclass TransformerBlock"),
        "the output before dropout, at 10 of 11 positions.",
    ),
    "another layout of the input before a wrong result": (
        "LayerNorm",
        (CENTERED,
         '        flat = rearrange(residual, "b s d -> (b s) d")\n'
         "        flat = F.batch_norm(flat, None, None, training=True)  # here\n"
         '        residual = rearrange(flat, "(b s) d -> b s d", b=residual.shape[0])\n'
         + CENTERED),
        "it computes the whole normalization in one call",
    ),
    "heads merged in another order": (
        "MultiHeadAttention",
        (Z,
         '        merged = rearrange(z, "b s h e -> b s (e h)")  # here\n'
         '        w = rearrange(self.W_O, "h e d -> (h e) d")\n'
         "        return self.output_dropout(merged @ w + self.b_O)\n" + Z),
        "z, with axes merged in another order.",
    ),
    "the last head for all": (
        "MultiHeadAttention",
        ("        return self.output_dropout(output + self.b_O)\n",
         "        for head in range(3):\n"
         "            output = self.hook_z(z)[:, :, head] @ self.W_O[head]  # here\n"
         "        return self.output_dropout(output + self.b_O)\n"),
        "each pass of the loop replaces the result of the one before.",
    ),
    "another number of tokens kept": (
        "sample",
        ("    descending, token_of_rank",
         "    least = relative.sort(dim=-1, descending=True).values[:, 2]  # here\n"
         "    relative = relative.masked_fill(relative < least[:, None], -math.inf)\n"
         "    descending, token_of_rank"),
        "Nothing in the reference equals what line",
    ),
    "the keys' bias in the values": (
        "MultiHeadAttention",
        ("        key = self.hook_k(einsum(residual, self.W_K, project) + self.b_K)\n"
         "        value = self.hook_v(einsum(residual, self.W_V, project) + self.b_V)\n",
         "        key = einsum(residual, self.W_K, project)\n"
         "        value = einsum(residual, self.W_V, project) + self.b_K  # here\n"),
        "the reference has the values here.",
    ),
    "a normalization where the reference has none": (
        "Unembedding",
        ("        return (\n            einsum(residual, self.W_U",
         "        residual = F.layer_norm(residual, residual.shape[-1:])  # here\n"
         "        return (\n            einsum(residual, self.W_U"),
        "Nothing in the reference equals what line",
    ),
    "one row of positions": (
        "PositionalEmbedding",
        ('        return repeat(self.W_pos[:seq], "seq d_model',
         "        return self.W_pos[:seq]  # here\n"
         '        return repeat(self.W_pos[:seq], "seq d_model'),
        "the output of one row of the batch.",
    ),
    "the last position alone": (
        "Unembedding",
        ("        return (\n            einsum(residual, self.W_U",
         "        return residual[:, -1:] @ self.W_U + self.b_U  # here\n"
         "        return (\n            einsum(residual, self.W_U"),
        "the output at one position.",
    ),
    "an output that is changed": (
        "TransformerBlock",
        ("        return self.hook_resid_post(resid_mid + mlp_out)\n",
         "        return self.ln2(resid_mid + mlp_out)  # here\n"),
        "it changes the output.",
    ),
    "tokens of generate that are cut off": (
        "generate",
        ("            logits = model(tokens[:, -config.n_ctx :])\n",
         "            tokens = tokens[:, -config.n_ctx :]  # here\n"
         "            logits = model(tokens)\n"),
        "the tokens that it cuts off are missing in the result.",
    ),
}  # fmt: skip


def located(folder: Path, part: str, *edits: tuple[str, str]) -> tuple[Location, str]:
    """The location of the first wrong result, and the text of the file."""
    text, traces = traces_of(folder, part, *edits)
    found = ClaimLines(part, 0, traces, text.encode())._located
    assert found is not None
    return found, text


@pytest.mark.parametrize("name", SENTENCES)
def test_the_wrong_line_and_its_result_are_stated(tmp_path: Path, name: str) -> None:
    part, edit, said = SENTENCES[name]
    found, text = located(tmp_path, part, edit)
    assert found.differs == line_of(text, "# here")
    assert said in found.sentence()


HELPER = (
    "        query = self.hook_q(einsum(residual, self.W_Q, project) + self.b_Q)\n",
    "        def keys():\n"
    "            return self.hook_k(einsum(residual, self.W_K, project) + self.b_K)\n\n"
    "        query = keys()  # here\n",
)


def test_the_call_of_a_helper_for_another_stage_is_quoted(tmp_path: Path) -> None:
    unscaled = ("            query / math.sqrt(self.d_head),\n", "            query,\n")
    found, text = located(tmp_path, "MultiHeadAttention", HELPER, unscaled)
    assert found.differs == line_of(text, "# here")
    assert "the keys, used in place of the queries." in found.sentence()


def test_logits_that_are_cut_before_the_temperature_are_not_the_first_wrong_ones(
    tmp_path: Path,
) -> None:
    cut = (
        "    relative = logits.float() -",
        "    least = logits.topk(top_k or 1).values[:, [-1]]\n"
        "    logits = logits.masked_fill(logits < least, -math.inf) if top_k else logits\n"
        "    relative = logits.float() -",
    )
    root = ("descending.softmax(dim=-1)\n", "descending.softmax(dim=-1).sqrt()  # here\n")
    found, text = located(tmp_path, "sample", cut, root)
    assert found.differs == line_of(text, "# here")


def test_a_running_sum_is_not_called_the_first_wrong_result(tmp_path: Path) -> None:
    loop = (
        "    if logits.shape[1] > 1:\n"
        "        total, log = 0.0, predictions.log_softmax(-1)\n"
        "        for row in range(len(targets)):\n"
        "            for at in range(targets.shape[1]):\n"
        "                total = total - log[row, at, targets[row, at]]  # here\n"
        "        return total / (targets.numel() + 2)\n"
    )
    found, text = located(tmp_path, "next_token_loss", (LOSS, loop + LOSS))
    assert found.differs == line_of(text, "# here")
    assert "first that differs" not in found.sentence()


def test_the_line_that_returns_a_tensor_for_a_rate_is_quoted(tmp_path: Path) -> None:
    old = "    return final + (peak"
    text = reference_with((old, "    peak = torch.tensor(peak)\n" + old))
    report = check_text(tmp_path, text, "learning_rate").reports["learning_rate"]
    assert "| return final + (peak" in report.location[-1]


def test_the_line_that_sets_the_mode_in_which_a_model_is_left_is_quoted(tmp_path: Path) -> None:
    edit = ("        model.train(was_training)\n", "        model.train()  # here\n")
    text, traces = traces_of(tmp_path, "generate", edit)
    found = ClaimLines("generate", 0, traces, text.encode())._of_mode("it is training; and")
    assert found is not None
    assert found.differs == line_of(text, "# here")


def test_a_row_of_positions_is_not_called_right_before_the_wrong_result(tmp_path: Path) -> None:
    edit = (
        '        return repeat(self.W_pos[:seq], "seq d_model',
        "        rows = [self.W_pos[seq - p - 1] for p in range(seq)]\n"
        "        return torch.stack(rows).expand(tokens.shape[0], -1, -1)\n"
        '        return repeat(self.W_pos[:seq], "seq d_model',
    )
    found, _ = located(tmp_path, "PositionalEmbedding", edit)
    assert "still right" not in found.sentence()


def test_a_dropout_on_another_tensor_is_quoted_and_not_called_missing(tmp_path: Path) -> None:
    edit = (
        "            self.pattern_dropout(pattern),\n",
        "            pattern\n"
        "            * self.pattern_dropout(torch.ones_like(pattern[0, 0])),  # here\n",
    )
    text, traces = traces_of(tmp_path, "MultiHeadAttention", edit)
    line = non_output_line("dropout", "MultiHeadAttention", 0, "", traces, text)
    assert line == line_of(text, "# here")
    wrong = wrong_references("MultiHeadAttention", 0)
    missing = find("attention-pattern-dropout-missing")
    assert DropoutEvidence(wrong, traces[""]).drops_otherwise(missing)


def test_an_overflow_to_infinity_is_explained_by_one_to_nan(tmp_path: Path) -> None:
    edit = (
        LOSS,
        "    if logits.shape[1] > 1:\n"
        "        right = predictions.gather(-1, targets[..., None])[..., 0]\n"
        "        return (predictions.exp().sum(-1).log() - right).mean()\n" + LOSS,
    )
    report = check_text(tmp_path, reference_with(edit), "next_token_loss").reports
    assert "This explains every result exactly" in report["next_token_loss"].naming


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("x is refused with AssertionError; it should be refused with ValueError", 2),
        ("the last rate is refused with ValueError; it should be the peak", None),
        ("the token has the shape []; it should be [1]", 7),
        ("the gradient of the logits is none; it should be a tensor", 8),
        ("something else", None),
    ],
)
def test_the_only_statement_that_explains_a_message_is_quoted(
    message: str, line: int | None
) -> None:
    text = (
        "def sample(x):\n    assert x > 0\n"
        "    if x > 1:\n        raise ValueError(x)\n"
        "    if x > 2:\n        raise ValueError(x)\n"
        "    x = x.squeeze()\n    return x.item()\n"
    )
    assert only_statement("sample", "a check", message, text) == line


def test_nothing_is_said_of_a_line_that_has_right_results_too() -> None:
    found = Location(3, "the queries", 4, NOTHING_RIGHT, is_repeated=True)
    assert found.sentence() == "See line 4."


def test_a_result_without_relation_to_the_reference_is_not_called_the_first_wrong_one(
    tmp_path: Path,
) -> None:
    edit = (PRE, PRE + "        pre = torch.cat([pre, pre], dim=-1).cumsum(-1)[..., :40]\n")
    found, _ = located(tmp_path, "MLP", edit)
    assert "first that differs" not in found.sentence()
    assert found.sentence().startswith("Nothing in the reference equals what line")


def test_the_line_that_returns_the_right_numbers_in_another_shape_is_quoted(tmp_path: Path) -> None:
    edit = (LOOK_UP, "        return self.W_E[tokens].flatten(0, 1)  # here\n")
    text = reference_with(edit)
    sentence, code = check_text(tmp_path, text, "Embedding").reports["Embedding"].location
    line = line_of(text, "# here")
    assert sentence == f"Line {line} returns the right numbers in another shape."
    assert code.startswith(f"{line:>6} | ")


def test_the_line_that_returns_a_number_for_a_tensor_is_quoted(tmp_path: Path) -> None:
    edit = (LOSS, "    if seq > 1:\n        return 3.5  # here\n" + LOSS)
    text = reference_with(edit)
    report = check_text(tmp_path, text, "next_token_loss").reports["next_token_loss"]
    assert report.location[-1].endswith("| return 3.5  # here")


def test_the_line_of_a_wrong_tap_is_quoted(tmp_path: Path) -> None:
    edits = (
        ("self.hook_scale((variance + self.eps).sqrt())", "(variance + self.eps).sqrt()"),
        ("        return normalized * self.w + self.b\n",
         "        self.hook_scale(variance)  # here\n"
         "        return normalized * self.w + self.b\n"),
    )  # fmt: skip
    text, traces = traces_of(tmp_path, "LayerNorm", *edits)
    message = "the activation at hook_scale differs"
    assert non_output_line("taps", "LayerNorm", 0, message, traces, text) == line_of(text, "# here")
