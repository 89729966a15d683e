"""Test which loops over an iterator are said to follow one that has used it up."""

import ast
from pathlib import Path

import pytest
from checking import check_text, line_of, reference_with
from test_lines import traces_of

from gpt2_small.checker.mistakes.lines.effects.loops_of_one_call import loops_of_one_call
from gpt2_small.checker.mistakes.lines.effects.training_step_lines import step
from gpt2_small.checker.mistakes.lines.effects.used_up_iterator import used_up_argument

PAIRS = {
    "one after the other": (
        "norm = sum(p.grad.norm() for p in ps)\nfor p in ps:\n    p.grad /= norm\n", [(2, 3)]),
    "a branch, and what follows it": (
        "if known:\n    most = max(p.max() for p in ps)\nreturn [p for p in ps]\n", [(3, 4)]),
    "the rows of a loop, and the loop": (
        "for row in [p.sum() for p in ps]:\n    print([p for p in ps])\n", [(2, 3)]),
}  # fmt: skip
NO_PAIRS = {
    "two branches": "if known:\n    [p for p in ps]\nelse:\n    for p in ps:\n        p\n",
    "two values of a condition": "return max(p for p in ps) if known else [p for p in ps]\n",
    "two cases": (
        "match known:\n    case 1:\n"
        "        [p for p in ps]\n    case _:\n        [p for p in ps]\n"),
    "a return of the first": "if known:\n    return max(p for p in ps)\nreturn [p for p in ps]\n",
    "a return after the first": (
        "if known:\n"
        "    for p in ps:\n        p\n    return 1\nreturn [p for p in ps]\n"),
    "returns of both branches after the first": (
        "if known:\n    n = [p for p in ps]\n    if n:\n        return n\n    else:\n"
        "        raise ValueError(n)\nreturn [p for p in ps]\n"),
    "a loop that may end early": (
        "for p in ps:\n"
        "    if p.any():\n        break\nreturn [p for p in ps]\n"),
    "one inside the other": "for p in ps:\n    for q in ps:\n        p, q\n",
    "a comprehension of two": "return [(p, q) for p in ps for q in ps]\n",
}  # fmt: skip


def loops(body: str) -> list[tuple[int, int]]:
    """The pairs of loops over ps in a function with this body."""
    text = "def helper(ps, known):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    return loops_of_one_call("ps", function)


@pytest.mark.parametrize("name", PAIRS)
def test_the_loops_of_one_call_are_found(name: str) -> None:
    body, pairs = PAIRS[name]
    assert loops(body) == pairs


@pytest.mark.parametrize("name", NO_PAIRS)
def test_loops_of_which_one_call_runs_one_are_no_pair(name: str) -> None:
    assert loops(NO_PAIRS[name]) == []


@pytest.mark.parametrize(("executed", "line"), [([2, 4, 3], 3), ([3, 2], None), ([2], None)])
def test_only_loops_that_were_run_in_this_order_count(executed: list[int], line: int) -> None:
    text = (
        b"def show(names):\n    [n for n in names]\n    [n for n in names]\nshow(m.parameters())\n"
    )
    found = used_up_argument(text, executed)
    assert (found and found[0]) == line


@pytest.mark.parametrize("used_first", [True, False])
def test_a_used_up_iterator_is_blamed_for_wrong_weights(tmp_path: Path, used_first: bool) -> None:
    first = "if True" if used_first else "if not most"
    clips = "    grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item()\n"
    text, traces = traces_of(
        tmp_path,
        "train_step",
        (clips,
         "    def clip(parameters, most):\n"
         f"        {first}:\n            [p.sum() for p in parameters]\n"
         "        for p in parameters:  # here\n"
         "            p.grad *= most / 10\n\n"
         "    grad_norm = nn.utils.get_total_norm([p.grad for p in model.parameters()]).item()\n"
         "    clip(model.parameters(), max_grad_norm)\n"),
    )  # fmt: skip
    found = step(0, traces[""], "", text.encode())
    assert found is not None
    assert (found.differs == line_of(text, "# here")) is used_first


def test_a_used_up_iterator_is_not_blamed_for_a_missing_refusal(tmp_path: Path) -> None:
    text = reference_with(
        ("    if not max_grad_norm > 0:\n"
         "        raise ValueError(f\"max_grad_norm is {max_grad_norm}; give a number above 0\")\n",
         "    def show(parameters):\n        for p in parameters:\n            p\n"
         "        for p in parameters:\n            p\n\n    show(model.parameters())\n"),
    )  # fmt: skip
    report = check_text(tmp_path, text, "train_step").reports["train_step"]
    assert "used up" not in "".join(report.location)
