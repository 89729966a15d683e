"""Test the tokenization lesson's claims: on GPT-2's table, and over seeds."""

from types import ModuleType
from typing import Any

import pytest
from default_share import slowly
from lesson_values import Values, values_fixture
from measure_lessons import experiment

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.exercise_sets import find_lesson
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import make_tokenizer

values = values_fixture("04_tokenization")


@pytest.fixture(scope="module")
def lesson() -> ModuleType:
    return reference(find_lesson("tokenization"))


@pytest.fixture(scope="module")
def found() -> ModuleType:
    return experiment("04_tokenization")


@pytest.fixture(scope="module")
def gpt2() -> Tokenizer:
    return make_tokenizer("gpt2")


# GPT-2's table


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("1275+6773", ["12", "75", "+", "67", "73"]),
        ("egg", ["egg"]),
        (" egg", [" egg"]),
        ("Egg", ["E", "gg"]),
        (" Egg", [" Egg"]),
        ("EGG", ["EG", "G"]),
        ("hello world", ["hello", " world"]),
        ("hello ", ["hello", " "]),
        ("hello  world", ["hello", " ", " world"]),
        (" SolidGoldMagikarp", [" SolidGoldMagikarp"]),
    ],
)
def test_gpt2s_tokens_are_as_the_lesson_shows(
    gpt2: Tokenizer, text: str, pieces: list[str]
) -> None:
    assert [gpt2.decode([id]) for id in gpt2.encode(text)] == pieces


@pytest.mark.parametrize(("digits", "alone"), [(1, 9), (2, 90), (3, 719), (4, 88)])
def test_some_numbers_of_three_digits_are_one_token_and_most_of_four_are_not(
    gpt2: Tokenizer, digits: int, alone: int
) -> None:
    numbers = range(10 ** (digits - 1), 10**digits)
    assert sum(len(gpt2.encode(str(number))) == 1 for number in numbers) == alone


def test_korean_takes_about_a_token_a_byte_and_english_one_in_four(gpt2: Tokenizer) -> None:
    sentences = {
        "The quick brown fox jumps over the lazy dog.": 4.40,
        "빠른 갈색 여우가 게으른 개를 뛰어넘는다.": 1.06,
    }
    for sentence, expected in sentences.items():
        per_token = len(sentence.encode()) / len(gpt2.encode(sentence))
        assert per_token == pytest.approx(expected, abs=0.005)


def test_a_typed_end_of_text_is_encoded_as_plain_characters(gpt2: Tokenizer) -> None:
    ids = gpt2.encode("<|endoftext|>")
    assert gpt2.end_of_text == 50256
    assert gpt2.end_of_text not in ids
    assert gpt2.decode(ids) == "<|endoftext|>"


# Small models


def test_every_question_has_its_answer_and_an_end_as_targets(found: ModuleType) -> None:
    task = found.addition(0)
    signs, row = "+0123456789=", task.train[0].tolist()
    asked = "".join(signs[~id] for id in row if id < 0 and ~id < len(signs))
    answered = [id for id in row if id >= 0]
    left, right = asked.removesuffix("=").split("+")
    assert "".join(signs[id] for id in answered[:-1]) == str(int(left) + int(right))
    assert answered[-1] == task.d_vocab - 1


@pytest.mark.parametrize(
    ("ids", "is_reversed"), [(0, False), (0, True), (512, True), slowly((512, False))]
)
def test_the_answer_lists_the_words_letters_in_the_requested_order(
    found: ModuleType, ids: int, is_reversed: bool
) -> None:
    task = found.letters_of_words(ids, is_reversed=is_reversed)
    letters = {}
    for word, row in zip(found.words(), [*task.train, *task.held_out], strict=True):
        answered = [id for id in row.tolist() if id >= 0][:-1]
        expected = word[::-1] if is_reversed else word
        assert len(answered) == len(expected)
        for id, letter in zip(answered, expected, strict=True):
            assert letters.setdefault(id, letter) == letter
    assert sorted(letters.values()) == list(found.LETTERS)


def test_no_held_out_question_is_trained_on(found: ModuleType) -> None:
    for task in (found.addition(300), found.letters_of_words(0, is_reversed=True)):
        trained = {tuple(row) for row in task.train.tolist()}
        assert len(task.held_out) == found.HELD_OUT
        assert not trained & {tuple(row) for row in task.held_out.tolist()}


def test_an_answer_counts_only_if_it_is_right_completely(found: ModuleType) -> None:
    import torch

    rows = torch.tensor([[~1, 2, 3], [~1, 2, 4], [~1, 4, 3]])

    def model(tokens: torch.Tensor) -> torch.Tensor:
        next_token = torch.tensor([0, 2, 3, 0, 3])
        return torch.nn.functional.one_hot(next_token[tokens], 5).float()

    assert found.accuracy(model, rows) == pytest.approx(1 / 3)


def interval(found: ModuleType, values: Values, name: str) -> Any:
    return found.small_models.interval(values[name])


def test_characters_add_better_than_byte_pairs_with_every_seed(
    found: ModuleType, values: Values
) -> None:
    by_characters, by_pairs = values["adding, characters"], values["adding, 300 ids"]
    ahead = found.small_models.interval(
        [one - other for one, other in zip(by_characters, by_pairs, strict=True)]
    )
    assert ahead.mean - ahead.half > 0
    assert min(by_characters) > 0.7 > max(by_pairs)


@pytest.mark.parametrize("what", ["reversing", "spelling"])
def test_the_larger_the_vocabulary_the_fewer_words_are_right(
    found: ModuleType, values: Values, what: str
) -> None:
    characters, small, large = (
        interval(found, values, f"{what}, {tokens}")
        for tokens in ("characters", "512 ids", "4096 ids")
    )
    assert large.is_below(small)
    assert small.is_below(characters)


@pytest.mark.parametrize("what", ["reversing", "spelling"])
def test_characters_give_nearly_every_letter_and_4096_ids_less_than_half_the_words(
    values: Values, what: str
) -> None:
    assert min(values[f"{what}, characters"]) > 0.9
    assert max(values[f"{what}, 4096 ids"]) < 0.5
