"""Test which lines are said to cut a gradient off."""

import ast
from pathlib import Path

import pytest
from checking import line_of
from test_lines import traces_of

from gpt2_small.checker.mistakes.lines.gradient_cuts import only_cut
from gpt2_small.checker.mistakes.lines.non_output_lines import non_output_line

PATTERN = "        pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(dim=-1))\n"
Z = "            self.pattern_dropout(pattern),\n"
B_K = ("einsum(residual, self.W_K, project) + self.b_K)", "einsum(residual, self.W_K, project))")
NONE = "The gradient of b_K is None: the output does not use it, or something is cut off."
OTHER = "The gradient of W_Q differs from the reference."

CUTS = {
    "a pattern that is kept for a plot": (
        OTHER, [(PATTERN, PATTERN + "        self.last = pattern.detach()\n")]),
    "the maximum of a softmax": (
        OTHER, [(PATTERN, "        most = scores.amax(-1, keepdim=True).detach()\n"
                          f"        scores = scores - most\n{PATTERN}")]),
    "a pattern that cuts the queries off": (
        OTHER, [(Z, Z.replace("(pattern)", "(pattern.detach())"))]),
    "a pattern, which is not why an unread bias has no gradient": (
        NONE, [(Z, Z.replace("(pattern)", "(pattern.detach())")), B_K]),
}  # fmt: skip


@pytest.mark.parametrize("name", CUTS)
def test_only_a_result_that_the_output_needs_cuts_a_gradient_off(tmp_path: Path, name: str) -> None:
    message, edits = CUTS[name]
    text, traces = traces_of(tmp_path, "MultiHeadAttention", *edits)
    line = non_output_line("gradient", "MultiHeadAttention", 0, message, traces, text)
    is_cut = name == "a pattern that cuts the queries off"
    assert line == (line_of(text, "self.pattern_dropout(pattern.detach())") if is_cut else None)


BODIES = {
    "returned": ("return x.item()", True),
    "computed with": ("y = x.detach()\n    z = y + 1\n    return z", True),
    "collected": ("all = []\n    all.append(x.tolist())\n    return all[0]", True),
    "read in a loop": ("y = 0\n    for one in x.tolist():\n        y += one\n    return y", True),
    "kept": ("self.last = x.detach()\n    return x", False),
    "kept in a list": ("self.seen.append(x.item())\n    return self.scale * x", False),
    "printed": ("y = x.item()\n    print(y)\n    return x", False),
    "plotted": ("plt.plot(x.numpy())\n    return x", False),
    "only compared": ("if x.item() > 3:\n        raise ValueError(x)\n    return x", False),
}


@pytest.mark.parametrize("name", BODIES)
def test_only_a_call_whose_result_is_computed_with_explains_a_missing_gradient(name: str) -> None:
    body, is_cut = BODIES[name]
    text = f"def f(self, x):\n    {body}\n"
    call = next(n + 1 for n, line in enumerate(text.splitlines()) if "x." in line)
    found = only_cut(ast.parse(text), "the gradient of the input is none", text)
    assert found == (call if is_cut else None)
