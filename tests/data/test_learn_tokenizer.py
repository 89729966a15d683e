"""Test learning tokenizers from a text: long words, extreme sizes, and Ctrl-C."""

import os
import random
import signal
import subprocess
import sys

import pytest
from shard_folders import made

from gpt2_small.data import byte_pair_process
from gpt2_small.data.byte_pair_process import train_byte_pairs
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.byte_pairs import LONGEST_WORD, BytePairTokenizer
from gpt2_small.tokenizers.registry import check_spec


def letters(count):
    return "".join(random.Random(0).choices("abcdefgh", k=count))


def test_byte_pairs_of_a_long_word_equal_those_of_its_parts():
    word = letters(3 * LONGEST_WORD + 7)
    parts = [word[start : start + LONGEST_WORD] for start in range(0, len(word), LONGEST_WORD)]
    cut = BytePairTokenizer.train(" ".join(parts), 300)
    assert BytePairTokenizer.train(word, 300).merges == cut.merges


def test_words_of_ordinary_length_are_not_cut():
    text = " ".join(letters(9) for _ in range(50)) + " " + letters(LONGEST_WORD)
    tokenizer = BytePairTokenizer.train(text, 270)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("size", ["1000001", "1000000000", "9" * 30])
def test_a_vocabulary_too_large_for_memory_is_refused_at_once(size):
    with pytest.raises(UserError, match=f"'bpe:{size}' is too large; give at most bpe:1000000"):
        check_spec(f"bpe:{size}")


def test_a_child_process_learns_the_same_tokenizer(monkeypatch):
    monkeypatch.setattr(byte_pair_process, "SMALL_CHARACTERS", 10)
    text = "one two \ud83d three two one, " * 40
    assert train_byte_pairs(text, 265).merges == BytePairTokenizer.train(text, 265).merges
    with pytest.raises(UserError, match="bpe:5000 is too large for this text"):
        train_byte_pairs(text, 5000)


def test_a_killed_child_process_is_reported_in_one_sentence(monkeypatch):
    monkeypatch.setattr(byte_pair_process, "SMALL_CHARACTERS", 10)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UserError, match=r"training bpe:280 failed \(exit code 1\)"):
        train_byte_pairs("one two three two one, " * 40, 280)


PROGRAM = """
import sys
from gpt2_small import cli
from gpt2_small.data import byte_pair_process
byte_pair_process.SMALL_CHARACTERS = 10
byte_pair_process.__name__ = "time_without_end"
cli.main()
"""


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_byte_pair_training(tmp_path, by, code):
    (tmp_path / "time_without_end.py").write_text("print('begun', flush=True)\nwhile True: pass\n")
    (tmp_path / "text.txt").write_text(letters(5000))
    command = ["prepare", "text.txt", "--out", "out", "--tokenizer", "bpe:300"]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{tmp_path}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(by)
        assert "The same command resumes" in process.communicate(timeout=60)[0]
    assert process.returncode == code


def test_one_repeated_character_gives_an_alphabet_of_one(tmp_path):
    (tmp_path / "text.txt").write_text("a" * 100)
    out = made(tmp_path / "text.txt", tmp_path / "out", tokenizer="char")
    assert (out / "train.bin").read_bytes() == b"\0\0" * 90
