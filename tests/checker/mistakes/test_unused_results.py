"""Test the line quoted for a right result that nothing uses."""

from pathlib import Path

import pytest
from checking import line_of
from test_lines import traces_of

from gpt2_small.checker.mistakes.lines.claim_lines import ClaimLines

MASKED = "        scores = similarity + mask\n"
PATTERN = "        pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=-1))\n"
RETURNED = "        return self.output_dropout(output + self.b_O)\n"
APPENDED = "            tokens = torch.cat("

UNUSED = {
    "a mask that is stored nowhere": (
        "MultiHeadAttention",
        (MASKED, "        similarity.masked_fill(mask < 0, -math.inf)  # here\n"
                 "        scores = similarity\n"),
    ),
    "a mask under a name never read": (
        "MultiHeadAttention",
        (MASKED, "        masked = similarity + mask  # here\n"
                 "        scores = similarity\n"),
    ),
    "a mask that is stored nowhere, before exponentials": (
        "MultiHeadAttention",
        (MASKED, "        similarity.masked_fill(mask < 0, -math.inf)  # here\n"
                 "        raised = similarity.exp()\n"
                 "        scores = (raised / raised.sum(-1, keepdim=True)).log()\n"),
    ),
    "a mask under a name never read, before exponentials": (
        "MultiHeadAttention",
        (MASKED, "        masked = similarity + mask  # here\n"
                 "        raised = (similarity - similarity.amax(-1, keepdim=True)).exp()\n"
                 "        scores = (raised / raised.sum(-1, keepdim=True)).log()\n"),
    ),
    "an output under a misspelt name": (
        "MultiHeadAttention",
        (RETURNED, "        outputs = self.output_dropout(output + self.b_O)  # here\n"
                   "        return z.flatten(2)\n"),
    ),
    "tokens under a name never read": (
        "generate", (APPENDED, "            longer = torch.cat(  # here\n"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNUSED)
def test_a_right_result_that_nothing_uses_is_quoted(tmp_path: Path, name: str) -> None:
    part, edit = UNUSED[name]
    text, traces = traces_of(tmp_path, part, edit)
    found = ClaimLines(part, 0, traces, text.encode())._located
    assert found is not None
    assert found.differs == line_of(text, "# here")
    assert found.sentence().endswith("nothing uses its result.")


USED = {
    "a right result for a plot": (
        RETURNED, "        shown = output.clone()\n"
                  "        return self.output_dropout(output - self.b_O)  # here\n",
    ),
    "a right pattern to compare with": (
        PATTERN, "        wanted = scores.softmax(dim=-1)\n"
                 "        pattern = self.hook_pattern(scores.sigmoid())  # here\n",
    ),
    "a right mask to compare with": (
        MASKED, "        wanted = similarity + mask\n"
                "        scores = similarity - mask.transpose(0, 1)  # here\n",
    ),
    "a statement that prints": (
        MASKED, "        str(similarity.softmax(-1))\n"
                "        scores = similarity - mask.transpose(0, 1)  # here\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", USED)
def test_other_statements_without_use_are_not_quoted(tmp_path: Path, name: str) -> None:
    text, traces = traces_of(tmp_path, "MultiHeadAttention", USED[name])
    found = ClaimLines("MultiHeadAttention", 0, traces, text.encode())._located
    assert found is not None
    assert found.differs == line_of(text, "# here")


def test_a_right_activation_to_compare_with_is_not_quoted(tmp_path: Path) -> None:
    edit = (
        "        post = self.hook_post(gelu_tanh(self.hook_pre(pre)))\n",
        "        wanted = gelu_tanh(pre)\n        post = F.relu(pre)  # here\n",
    )
    text, traces = traces_of(tmp_path, "MLP", edit)
    found = ClaimLines("MLP", 0, traces, text.encode())._located
    assert found is not None
    assert found.differs == line_of(text, "# here")
