"""Test loading and binding a file, and the errors for invalid ones."""

import os
import sys

import pytest
from processes import ROOT, printed_by

import gpt2_small
from gpt2_small import UserError, binding

TINY = "class Transformer:\n    name = {!r}\n"


@pytest.fixture
def learner(tmp_path):
    path = tmp_path / "my_gpt2.py"
    path.write_text(TINY.format("mine"))
    return path


def test_loading_gives_a_fresh_module_and_changes_nothing_else(learner):
    modules, environment = set(sys.modules), dict(os.environ)
    first, second = gpt2_small.load(learner), gpt2_small.load(str(learner))
    assert first.Transformer is not second.Transformer
    assert set(sys.modules) == modules
    assert dict(os.environ) == environment


BROKEN = {
    "a syntax error": ("x = 1\ndef f(:\n", "my_gpt2.py, line 2: invalid syntax"),
    "bad indentation": ("if True:\npass\n", "my_gpt2.py, line 2: expected an indented block"),
    "an exception": ("x = 1\n\nraise KeyError('no\\nway')", "line 3: KeyError: 'no\\\\nway'"),
    "lines in the message": ("raise ValueError('no\\nway')", "line 1: ValueError: no way"),
    "no message": ("assert False\n", "my_gpt2.py, line 1: AssertionError"),
    "an exception in a function": (
        "def f():\n    return 1 / 0\n\nf()\n",
        "my_gpt2.py, line 2: ZeroDivisionError: division by zero",
    ),
    "an exception in a library": (
        "import json\njson.loads('')\n",
        "my_gpt2.py, line 2: JSONDecodeError: Expecting value",
    ),
    "a library that is missing": (
        "\nimport nosuchlibrary\n",
        "my_gpt2.py, line 2: ModuleNotFoundError: No module named 'nosuchlibrary'",
    ),
    "an unwritten body": ("def f():\n", "my_gpt2.py, line 1: expected an indented block"),
    "exit()": ("import sys\nsys.exit(0)\n", "line 2: the file calls exit()"),
    "exit(3)": ("raise SystemExit(3)\n", "line 1: the file calls exit()"),
    "null bytes": (
        "x = 1\n\0",
        "my_gpt2.py is not a Python file: it contains null bytes; save it as UTF",
    ),
    "a syntax error elsewhere": (
        "compile('(', 'other.py', 'exec')\n",
        "other.py, line 1: '\\(' was never closed",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_reported_in_one_sentence_with_the_line(learner, text, sentence):
    learner.write_text(text)
    with pytest.raises(UserError, match=sentence) as caught:
        gpt2_small.load(learner)
    assert "\n" not in str(caught.value)
    assert str(learner) in str(caught.value) or "other.py" in str(caught.value)


@pytest.mark.parametrize("name", ["mypackage", "mypackage.layers"])
def test_a_file_that_imports_its_own_package_gets_the_pythonpath_it_needs(tmp_path, name):
    package = tmp_path / "mypackage"
    package.mkdir()
    (package / "model.py").write_text(f"import {name}\n")
    with pytest.raises(UserError) as caught:
        gpt2_small.load(package / "model.py")
    assert str(caught.value).endswith(f"in that package: set PYTHONPATH={tmp_path}")


@pytest.mark.parametrize(
    "script", ["for _ in range(2):\n    1 / 0\n", "data = open('input.txt')\n"]
)
def test_a_failing_script_gets_advice_to_guard_its_code_with_main(learner, script):
    learner.write_text(f"class MLP:\n    pass\n\n{script}")
    with pytest.raises(UserError) as caught:
        gpt2_small.load(learner)
    assert str(caught.value).endswith('put a script\'s code under if __name__ == "__main__":')


def test_a_file_of_another_kind_is_refused_as_not_python(tmp_path):
    (tmp_path / "README.md").write_text("# Title\n\nIt isn't Python.\n")
    with pytest.raises(UserError, match=r"README\.md is not a Python file: .*line 3"):
        gpt2_small.load(tmp_path / "README.md")


def test_a_relative_import_is_refused_with_its_replacement(learner):
    learner.write_text("from .layers import LayerNorm\n")
    with pytest.raises(UserError, match="import by the full name, with PYTHON"):
        gpt2_small.load(learner)


def test_a_file_that_is_not_utf8_is_refused_in_one_sentence(learner):
    learner.write_bytes("x = 1\ny = 'café'\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"my_gpt2\.py, line \d: .*utf-8.*; save the file"):
        gpt2_small.load(learner)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my_gtp2.py", r"there is no file .*my_gtp2\.py; did you mean .*/my_gpt2\.py\?"),
        ("quite-different.py", "there is no file .*; check the name"),
        ("nowhere/my_gpt2.py", "there is no file .*; check the name"),
        (".", "is a folder; give the Python file with your solution"),
        ("my_gpt2.py/inner.py", "cannot be read: Not a directory"),
    ],
)
def test_a_path_without_a_file_is_refused_in_one_sentence_with_the_way_out(learner, name, sentence):
    with pytest.raises(UserError, match=sentence):
        gpt2_small.load(learner.parent / name)


def test_a_failed_load_leaves_no_module_in_sys_modules(learner):
    learner.write_text("raise ValueError\n")
    modules = set(sys.modules)
    with pytest.raises(UserError):
        gpt2_small.load(learner)
    assert set(sys.modules) == modules


def test_a_dataclass_with_postponed_annotations_loads_from_a_file_of_any_name(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True)\nclass TransformerConfig:\n    d_model: int = 768\n"
    )
    assert gpt2_small.load(path).TransformerConfig().d_model == 768


def test_a_bound_file_exports_its_names_and_passes_its_path_to_child_processes(learner):
    program = f"""
import os, gpt2_small
module = gpt2_small.bind("my_gpt2.py")
from gpt2_small import Transformer
assert Transformer is gpt2_small.Transformer is module.Transformer
assert gpt2_small.bind({str(learner)!r}) is module
assert gpt2_small.bind("./../{learner.parent.name}/my_gpt2.py") is module
print(os.environ["GPT2_SMALL_SOLUTION"], Transformer.name)
"""
    assert printed_by(program, learner.parent) == f"{learner} mine"


def test_the_environment_variable_chooses_the_file(learner):
    program = "from gpt2_small import Transformer; print(Transformer.name)"
    variables = {"GPT2_SMALL_SOLUTION": "my_gpt2.py"}
    assert printed_by(program, learner.parent, **variables) == "mine"


BIND_AND_PRINT_THE_REFUSAL = """
try:
    gpt2_small.bind("other.py")
except gpt2_small.UserError as error:
    print(error)
"""


def test_a_second_file_is_refused_with_both_paths_and_the_first_stays_bound(learner):
    other = learner.with_name("other.py")
    other.write_text(TINY.format("other"))
    program = "import gpt2_small; gpt2_small.bind('my_gpt2.py')\n" + BIND_AND_PRINT_THE_REFUSAL
    program += "print(gpt2_small.Transformer.name)"
    assert printed_by(program, learner.parent) == (
        f"cannot bind {other}: {learner} is in use already; start a new Python for it\nmine"
    )


def test_a_file_is_refused_with_both_paths_once_the_reference_is_in_use(learner):
    other = learner.with_name("other.py")
    other.write_text(TINY.format("other"))
    program = "import gpt2_small\nfrom gpt2_small import Transformer\n" + BIND_AND_PRINT_THE_REFUSAL
    assert printed_by(program, learner.parent) == (
        f"cannot bind {other}: {ROOT / 'solution.py'} is in use already; start a new Python for it"
    )


def test_a_file_changed_or_deleted_after_binding_is_refused(learner):
    program = """
import pathlib, gpt2_small
gpt2_small.bind("my_gpt2.py")
for change in (lambda path: path.write_text("x = 1"), pathlib.Path.unlink):
    change(pathlib.Path("my_gpt2.py"))
    try:
        gpt2_small.bind("my_gpt2.py")
    except gpt2_small.UserError as error:
        print(error)
"""
    assert printed_by(program, learner.parent) == (
        f"{learner} has changed since it was bound; gpt2_small.check() checks the new text, "
        "and a new Python (in a notebook: restart the kernel) can bind it\n"
        f"there is no file {learner}; check the name"
    )


def test_a_name_missing_from_the_file_raises_an_import_error(learner):
    program = """
import gpt2_small
gpt2_small.bind("my_gpt2.py")
try:
    from gpt2_small import LayerNorm
except ImportError as error:
    print(error)
print(hasattr(gpt2_small, "LayerNorm"), hasattr(gpt2_small.bind("my_gpt2.py"), "__wrapped__"))
try:
    gpt2_small.LayerNorm
except AttributeError as error:
    print(error)
"""
    sentence = (
        "my_gpt2.py has no LayerNorm; write it there (gpt2-small check my_gpt2.py judges its "
        "parts), or run without this file, on the reference"
    )
    assert printed_by(program, learner.parent) == f"{sentence}\nFalse False\n{sentence}"


def test_a_file_that_imports_its_parts_from_the_kit_is_refused_in_one_sentence(learner):
    learner.write_text("from gpt2_small import LayerNorm\n")
    program = "import gpt2_small\n" + BIND_AND_PRINT_THE_REFUSAL.replace("other", "my_gpt2")
    expected = f"{learner}, line 1: my_gpt2.py has no LayerNorm; write it there"
    assert printed_by(program, learner.parent).startswith(expected)


def test_the_bound_solution_is_described_by_file_and_hash(learner):
    module = gpt2_small.load(learner)
    assert binding.describe(module) == f"{learner} (sha256 {binding.sha256(module)[:12]})"
    assert binding.describe(gpt2_small.load(ROOT / "solution.py")) == "the reference, solution.py"


def test_the_option_for_later_commands_is_quoted_and_empty_for_the_reference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my gpt2.py").write_text((ROOT / "solution.py").read_text())
    assert binding.option(gpt2_small.load("my gpt2.py")) == " --solution 'my gpt2.py'"
    assert binding.option(gpt2_small.load(ROOT / "solution.py")) == ""


def test_weights_of_a_learners_file_are_refused_under_another_file_and_the_file_is_named(
    learner, monkeypatch
):
    mine = gpt2_small.load(learner)
    record = binding.training_record(mine)
    with pytest.raises(
        UserError, match=rf"runs/x was trained with {learner} \(sha256 .* add --sol"
    ):
        binding.check_trained_with(record, "runs/x")
    monkeypatch.setattr(binding, "bound", lambda: mine)
    assert binding.check_trained_with(record, "runs/x") is None


def test_the_refusal_names_the_copy_in_the_run_if_there_is_one(learner, tmp_path):
    record = binding.training_record(gpt2_small.load(learner))
    (kept := tmp_path / "a run" / "solution.py").parent.mkdir()
    kept.write_bytes(learner.read_bytes())
    with pytest.raises(UserError, match=f"add --solution '{kept}'"):
        binding.check_trained_with(record, "runs/x", kept)


def test_the_references_weights_run_with_any_solution(learner, monkeypatch):
    record = binding.training_record(binding.bound())
    mine = gpt2_small.load(learner)
    monkeypatch.setattr(binding, "bound", lambda: mine)
    assert binding.check_trained_with(record, "runs/x") is None


def test_an_older_runs_solution_is_compared_and_a_difference_gets_a_remark():
    sha256 = binding.sha256(binding.bound())
    assert binding.check_trained_with({"solution_sha256": sha256}, "runs/x") is None
    assert binding.check_trained_with({}, "runs/x") is None
    remark = binding.check_trained_with({"solution_sha256": "0" * 64}, "runs/x")
    assert "runs/x was trained with a solution of sha256 000000000000" in str(remark)
