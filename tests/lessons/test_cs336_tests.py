"""Test the command that runs CS336's tokenizer tests."""

import subprocess
from pathlib import Path

import pytest
from processes import ROOT, run_python

COMMAND = ROOT / "tools" / "cs336_tests.py"
TOKENIZER = """
import tiktoken
from .adapters import get_tokenizer

VOCABULARY = {**{255 - n: bytes([n]) for n in range(256)}, 256: b"ab", 257: b"<|end|>"}

def test_encode():
    tokenizer = get_tokenizer(VOCABULARY, [(b"a", b"b")], ["<|end|>"])
    ids = tokenizer.encode("xab<|end|>")
    assert ids == [255 - ord("x"), 256, 257]
    assert list(tokenizer.encode_iterable(["xa", "b<|end|>"])) == ids
    assert tokenizer.decode(ids) == "xab<|end|>"

def test_oracle():
    assert tiktoken.get_encoding("gpt2").encode("Hello, world") == [15496, 11, 995]
"""
# In "bd bd ac ac" the pairs (b, d) and (a, c) tie; the assignment takes the greater bytes, b" b".
TRAINING = """
from .adapters import run_train_bpe

def test_merges(tmp_path):
    (tmp_path / "text").write_text("bd ac bd ac")
    vocabulary, merges = run_train_bpe(tmp_path / "text", 258, ["<|end|>"])
    assert merges == [(b"b", b"d")]
    assert set(vocabulary.values()) == {bytes([n]) for n in range(256)} | {b"bd", b"<|end|>"}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    tests = tmp_path / "assignment" / "tests"
    tests.mkdir(parents=True)
    (tests / "__init__.py").touch()
    (tests / "test_tokenizer.py").write_text(TOKENIZER)
    (tests / "test_train_bpe.py").write_text(TRAINING)
    return tests.parent


def run(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run_python(COMMAND, checkout, *options, cwd=checkout)


@pytest.mark.parametrize(
    ("subject", "passed", "failed"),
    [
        pytest.param("lesson", 2, 1, marks=pytest.mark.slow),
        ("lesson-with-ties-by-bytes", 3, 0),
        pytest.param("kit", 2, 1, marks=pytest.mark.slow),
    ],
)
def test_every_subject_runs_with_its_rule_for_ties(
    checkout: Path, subject: str, passed: int, failed: int
) -> None:
    before = sorted(checkout.rglob("*"))
    done = run(checkout, "--subject", subject)
    assert sorted(checkout.rglob("*")) == before
    assert done.returncode == bool(failed), done.stdout + done.stderr
    assert f"{passed} passed" in done.stdout
    assert (f"{failed} failed" in done.stdout) == bool(failed)


def test_a_folder_without_the_assignments_tests_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2
    assert "has no test_tokenizer.py and no test_train_bpe.py" in done.stdout
