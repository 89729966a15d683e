"""Test remarks on code that is, or accesses, the reference or a classmate's."""

import ast
import re
from pathlib import Path

import pytest
from class_folder import body, written

from gpt2_small import binding
from gpt2_small.checker.grading import grading as grade
from gpt2_small.checker.grading import originality, student_rows
from gpt2_small.checker.grading.student_rows import GradeRow
from gpt2_small.checker.grading.submissions import Submission


@pytest.mark.parametrize(
    ("line", "remark"),
    [
        ("import solution", "imports solution, the reference"),
        ("from solution import sample", "imports solution, the reference"),
        ("from gpt2_small.checker import mistake", "imports gpt2_small, the kit"),
        ("importlib.import_module('solution')", "imports solution, the reference"),
        ("__import__('gpt2_small.binding')", "imports gpt2_small, the kit"),
        ("from transformers import GPT2Model", "imports transformers, which contains a GPT-2"),
        ("Path('../solution.py').read_text()", "names solution.py"),
        ("x = open(name)", "calls open"),
        ("exec(text)", "calls exec"),
        ("sys.modules['a']", "uses sys.modules"),
    ],
)
def test_a_line_that_accesses_the_reference_gets_a_remark(line: str, remark: str) -> None:
    assert f"{remark} (line 2)" in originality.remarks(ast.parse(f"a = 1\n{line}\n"))


@pytest.mark.parametrize(
    "line", ["import torch", "f = torch.compile(f)", "from my.solution import x", "open = 3"]
)
def test_an_ordinary_line_gets_no_remark(line: str) -> None:
    assert originality.remarks(ast.parse(line)) == []


def test_a_renamed_copy_of_the_reference_is_recognised() -> None:
    renamed = written(sample=body("sample", "descending", "sorted_logits"))
    (remark,) = originality.remarks(ast.parse(renamed))
    assert remark == "reads like the reference: sample 100%"


def test_a_copy_with_one_changed_line_is_recognised() -> None:
    edited = written(sample=body("sample", "logits.float() - ", "0 * logits.float() + logits - "))
    (remark,) = originality.remarks(ast.parse(edited))
    assert re.fullmatch(r"reads like the reference: sample 9\d%", remark)


def test_independent_code_is_not_recognised_as_the_reference() -> None:
    room = Path(__file__).parents[1]
    files = [*(room / "styles").glob("*.py"), *(room / "right_files").glob("*.py")]
    assert len(files) > 10
    assert [f for f in files if originality.likenesses(ast.parse(f.read_text()))] == []


def test_two_files_that_differ_only_in_names_and_comments_get_a_remark() -> None:
    one = written(LayerNorm=body("LayerNorm"))
    two = written(
        LayerNorm=body("LayerNorm", "centered", "c").replace("c = ", "# mine\n        c   =   ")
    )
    codes = [originality.fingerprint(ast.parse(text)) for text in (one, two, written())]
    some = [
        GradeRow(name, code=code, states={"LayerNorm": "passed"})
        for name, code in zip("abc", codes, strict=True)
    ]
    student_rows.note_copies(some)
    assert [row.remarks for row in some] == [["the same code as b"], ["the same code as a"], []]


def test_a_part_that_passes_without_a_definition_gets_a_remark() -> None:
    row = GradeRow("a", states={"MLP": "passed", "sample": "passed"})
    handed_in = Submission("a", Path("a.py"), source=b"def sample(logits): pass")
    (remark,) = grade.remarks_on(handed_in, row)
    assert remark == "MLP holds, but is not defined in the file"


def test_the_reference_itself_is_recognised() -> None:
    tree = originality.parsed(binding.reference_path().read_bytes())
    assert tree is not None
    assert set(originality.likenesses(tree).values()) == {1.0}
