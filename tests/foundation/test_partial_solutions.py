"""Test the errors of commands that run on a file without every part."""

import pytest
from processes import run_python

import gpt2_small
from gpt2_small import UserError, binding

TINY = "class Transformer:\n    name = {!r}\n"


@pytest.fixture
def learner(tmp_path):
    path = tmp_path / "my_gpt2.py"
    path.write_text(TINY.format("mine"))
    return path


PARTIAL = {
    "empty": ("", "my_gpt2.py has no TransformerConfig; write it there"),
    "a number": ("TransformerConfig = 5\n", "TransformerConfig is not a dataclass; write @data"),
    "an unknown annotation": (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass(frozen=True)\nclass TransformerConfig:\n    d_model: integer = 768\n",
        "name 'integer' is not defined",
    ),
}


COMMANDS = {
    "train": ("train", "--preset", "stories", "--out", "run"),
    "plan": ("plan", "--preset", "gpt2"),
    "sample": ("sample", "--model", "run", "--prompt", "Once"),
}


def failure_of(words, learner, text):
    """Return the exit code and standard error of `gpt2-small` with this text as its solution."""
    learner.write_text(text)
    variables = {"GPT2_SMALL_SOLUTION": "my_gpt2.py"}
    ran = run_python("-m", "gpt2_small", *words, cwd=learner.parent, **variables)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(("text", "sentence"), PARTIAL.values(), ids=PARTIAL)
def test_training_with_a_file_without_a_usable_config_is_refused_in_one_sentence(
    learner, text, sentence
):
    code, printed = failure_of(COMMANDS["train"], learner, text)
    assert (code, printed.count("\n")) == (2, 1), printed
    assert sentence in printed


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_each_command_refuses_an_empty_file_in_one_sentence_with_the_way_out(learner, words):
    code, printed = failure_of(words, learner, "")
    assert (code, printed.count("\n")) == (2, 1), printed
    assert "my_gpt2.py has no " in printed
    assert "run without this file, on the reference" in printed


def test_a_value_in_place_of_a_part_is_refused_in_one_sentence(learner):
    code, printed = failure_of(COMMANDS["sample"], learner, "sample = 5\n")
    sentence = f"{learner}: sample is of type int; write it as a class or function"
    assert (code, printed) == (1, f"error: {sentence}\n")


def test_a_missing_part_leaves_probes_and_the_checkers_modules_as_they_are(learner):
    module = gpt2_small.load(learner)
    assert getattr(module, "sample", None) is None
    for name in ("__wrapped__", "helper"):
        with pytest.raises(AttributeError, match="has no attribute") as caught:
            getattr(module, name)
        assert not isinstance(caught.value, UserError)
    plain = binding.execute(learner.read_bytes(), learner, "plain")
    with pytest.raises(AttributeError, match="has no attribute 'sample'"):
        plain.sample  # noqa: B018
