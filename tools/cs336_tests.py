"""Run the tokenizer tests of Stanford's CS336, first assignment, on the lesson or on the kit.

    git clone https://github.com/stanford-cs336/assignment1-basics
    python tools/cs336_tests.py assignment1-basics
    python tools/cs336_tests.py assignment1-basics --subject lesson-with-ties-by-bytes
    python tools/cs336_tests.py assignment1-basics --subject kit

The tests are copied to a temporary folder, with this file as their `adapters.py`; the checkout
stays as it is. The subject is the reference of the tokenization lesson, the same with the
assignment's rule for pairs that occur equally often, or the tokenizers of `prepare` and `train`.
tiktoken, the oracle of these tests, reads the GPT-2 ranks of this machine.
Exit code: 0 if all pass, 1 if some do not, 2 if the folder has no such tests.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import tiktoken

from gpt2_small import binding
from gpt2_small.checker.exercise_sets import find_lesson
from gpt2_small.checker.mistakes.edited_reference import build
from gpt2_small.tokenizers.byte_pairs import ByteLevelTokenizer, BytePairTokenizer
from gpt2_small.tokenizers.gpt2 import GPT2Tokenizer
from gpt2_small.tokenizers.gpt2_table import byte_letters
from gpt2_small.tokenizers.protocol import split_at_names

TESTS = ("test_tokenizer.py", "test_train_bpe.py")
SUBJECT = "GPT2_SMALL_CS336_SUBJECT"
LESSON, BY_BYTES, KIT = SUBJECTS = ("lesson", "lesson-with-ties-by-bytes", "kit")
LETTERS = {byte: letter for letter, byte in byte_letters().items()}
BYTES = [bytes([byte]) for byte in range(256)]

Vocabulary = dict[int, bytes]
Merges = Sequence[tuple[bytes, bytes]]


def lesson() -> ModuleType:
    """Return the lesson's reference, with the subject's rule for ties."""
    exercises = find_lesson("tokenization")
    if os.environ[SUBJECT] == LESSON:
        return binding.load(exercises.reference)
    other = "train-bpe-ties-by-greater-bytes"
    (mistake,) = (each for each in exercises.mistakes("train_bpe") if each.id == other)
    return build(mistake, exercises=exercises)


class WithSpecialTokens:
    """Encode text with special tokens, each as one id; a subclass encodes the rest."""

    def __init__(self, vocabulary: Vocabulary, special: Sequence[str]) -> None:
        self.vocabulary = vocabulary
        self.id_of = {name: id for id, name in vocabulary.items()}
        self.special = special

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for number, piece in enumerate(split_at_names(text, self.special)):
            ids += [self.id_of[piece.encode()]] if number % 2 else self.encode_ordinary(piece)
        return ids

    def encode_iterable(self, lines: Iterable[str]) -> Iterator[int]:
        yield from self.encode("".join(lines))

    def encode_ordinary(self, text: str) -> list[int]:
        raise NotImplementedError


class LessonTokenizer(WithSpecialTokens):
    """Map the ids of the lesson's `encode` and `decode` to those of a vocabulary."""

    def __init__(self, vocabulary: Vocabulary, merges: Merges, special: Sequence[str]) -> None:
        super().__init__(vocabulary, special)
        self.lesson = lesson()
        self.names = BYTES + [left + right for left, right in merges]
        self.number_of = {name: number for number, name in enumerate(self.names)}
        self.merges = [(self.number_of[left], self.number_of[right]) for left, right in merges]

    def encode_ordinary(self, text: str) -> list[int]:
        return [self.id_of[self.names[each]] for each in self.lesson.encode(text, self.merges)]

    def decode(self, ids: Sequence[int]) -> str:
        numbers: list[int] = []
        for name in map(self.vocabulary.__getitem__, ids):
            numbers += [self.number_of[name]] if name in self.number_of else name
        text: str = self.lesson.decode(numbers, self.merges)
        return text


class KitTokenizer(WithSpecialTokens):
    """Wrap the kit's byte-pair tokenizer."""

    def __init__(self, vocabulary: Vocabulary, merges: Merges, special: Sequence[str]) -> None:
        super().__init__(vocabulary, special)
        names = {in_letters(name): id for id, name in vocabulary.items()}
        pairs = [(in_letters(left), in_letters(right)) for left, right in merges]
        self.engine = ByteLevelTokenizer(names, pairs, end_of_text=None)
        self.encode_ordinary = self.engine.encode_ordinary  # type: ignore[method-assign]

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self.vocabulary[id] for id in ids).decode(errors="replace")


def in_letters(name: bytes) -> str:
    """Write bytes in GPT-2's printable stand-ins."""
    return "".join(LETTERS[byte] for byte in name)


def get_tokenizer(
    vocab: Vocabulary, merges: Merges, special_tokens: Sequence[str] | None = None
) -> WithSpecialTokens:
    """Return the tokenizer under test; the assignment's tests import this from `adapters.py`."""
    subject = KitTokenizer if os.environ[SUBJECT] == KIT else LessonTokenizer
    return subject(vocab, merges, special_tokens or ())


def run_train_bpe(
    input_path: str | Path, vocab_size: int, special_tokens: Sequence[str], **_options: Any
) -> tuple[Vocabulary, list[tuple[bytes, bytes]]]:
    """Return the vocabulary and merges of a text; the tests import this from `adapters.py`."""
    text = Path(input_path).read_text(encoding="utf-8")
    names, size = list(BYTES), vocab_size - len(special_tokens)
    if os.environ[SUBJECT] == KIT:
        bytes_of = byte_letters()
        trained = BytePairTokenizer.train(text, size + 1).merges
        merges = [
            (bytes(map(bytes_of.__getitem__, a)), bytes(map(bytes_of.__getitem__, b)))
            for a, b in trained
        ]
        names += [left + right for left, right in merges]
    else:
        merges = []
        for left, right in lesson().train_bpe(text, size):
            merges.append((names[left], names[right]))
            names.append(names[left] + names[right])
    names += [name.encode() for name in special_tokens]
    return dict(enumerate(names)), merges


def gpt2_encoding(_name: str) -> tiktoken.Encoding:
    """Return tiktoken's encoding of GPT-2, from the ranks on this machine."""
    return GPT2Tokenizer()._engine


def main() -> int:
    """Copy the tests, run them on the subject, and print the failures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path, help="a clone of stanford-cs336/assignment1-basics")
    parser.add_argument("--subject", choices=SUBJECTS, default=LESSON)
    options = parser.parse_args()
    tests = options.checkout / "tests"
    missing = [name for name in TESTS if not (tests / name).is_file()]
    if missing:
        print(f"{tests} has no {' and no '.join(missing)}; give a clone of assignment1-basics.")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tests"
        shutil.copytree(tests, copy, ignore=shutil.ignore_patterns("*.npz", "*.pt"))
        shutil.copy(__file__, copy / "adapters.py")
        command = [sys.executable, "-m", "pytest", "-q", "--tb=line", "-rfExX"]
        variables = {SUBJECT: options.subject, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(
            [*command, *(f"tests/{name}" for name in TESTS)],
            cwd=folder,
            env=os.environ | variables,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
elif SUBJECT in os.environ:
    vars(tiktoken).update(get_encoding=gpt2_encoding)
