"""Test the stories' tokenizer, training windows, and judge."""

from pathlib import Path
from random import Random

import pytest
import torch

from gpt2_small import stories
from gpt2_small.errors import UserError
from gpt2_small.stories import BEGIN_ID, StoriesTokenizer, judge, stories_windows
from gpt2_small.tokenizers.protocol import StreamDecoder, Tokenizer
from gpt2_small.tokenizers.registry import from_dict, load_tokenizer, save_tokenizer
from gpt2_small.tokenizers.words import WordTokenizer

N_CTX = 96

TOKENIZER: Tokenizer = StoriesTokenizer()


def drawn_stories(count: int, seed: int = 1) -> list[str]:
    rng = Random(seed)
    return [stories.join_words(stories.generate_story(rng)) for _ in range(count)]


def test_encoding_decoded_ids_gives_the_same_ids() -> None:
    for window in stories_windows(0, 0, 200, N_CTX, validation=True).tolist():
        assert TOKENIZER.encode(TOKENIZER.decode(window)) == window


def test_decoding_an_encoded_text_gives_the_same_text() -> None:
    text = "\n".join(drawn_stories(100))
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_decoded_text_has_usual_spacing() -> None:
    words = ["“", "Eat", "this", "pie", ",", "”", "said", "a", "nun", ".", "He", "did", "."]
    assert stories.join_words(words) == "“Eat this pie,” said a nun. He did."
    assert stories.split_words('"Eat this pie," said a nun. He did.') == words


def test_a_prompt_begins_with_the_same_token_as_a_window() -> None:
    windows = stories_windows(0, 0, 8, N_CTX)
    assert TOKENIZER.encode("Once upon a time")[0] == BEGIN_ID == TOKENIZER.end_of_text
    assert windows[:, 0].tolist() == [BEGIN_ID] * 8
    assert TOKENIZER.encode("") == [BEGIN_ID]


def test_pieces_decoded_one_at_a_time_add_up_to_the_text() -> None:
    ids = TOKENIZER.encode("\n".join(drawn_stories(20)))
    decoder = StreamDecoder(TOKENIZER)
    assert "".join(map(decoder.push, ids)) + decoder.finish() == TOKENIZER.decode(ids)


def test_an_unknown_word_is_refused_with_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"'lanterm'; did you mean lantern\?"):
        TOKENIZER.encode("a lanterm")


@pytest.mark.parametrize("id", [-1, StoriesTokenizer.vocab_size])
def test_an_id_outside_the_vocabulary_is_refused(id: int) -> None:
    with pytest.raises(UserError, match=f"token id {id} "):
        TOKENIZER.decode([0, id])


def test_the_vocabulary_is_large_and_sorted() -> None:
    assert len(stories.VOCABULARY) == TOKENIZER.vocab_size > 200
    assert list(stories.VOCABULARY[1:]) == sorted(set(stories.VOCABULARY[1:]))


def test_a_saved_stories_tokenizer_is_restored(tmp_path: Path) -> None:
    save_tokenizer(TOKENIZER, tmp_path)
    assert load_tokenizer(tmp_path).to_dict() == TOKENIZER.to_dict()


def test_a_run_keeps_its_training_vocabulary(tmp_path: Path) -> None:
    other = WordTokenizer([*stories.VOCABULARY, "spaceship"], name="stories")
    save_tokenizer(other, tmp_path)
    restored = load_tokenizer(tmp_path)
    assert restored.encode("the spaceship")[-1] == TOKENIZER.vocab_size
    assert restored.to_dict() != TOKENIZER.to_dict()


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"vocabulary": ["<|story|>", "a"]}])
def test_a_damaged_vocabulary_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match="damaged"):
        from_dict({**TOKENIZER.to_dict(), **change})


@pytest.mark.parametrize("validation", [False, True])
def test_windows_depend_only_on_the_arguments(validation: bool) -> None:
    first = stories_windows(0, 5, 4, N_CTX, validation=validation)
    assert first.dtype == torch.int64
    assert first.shape == (4, N_CTX + 1)
    torch.manual_seed(99)
    assert torch.equal(first, stories_windows(0, 5, 4, N_CTX, validation=validation))
    assert not torch.equal(first, stories_windows(0, 6, 4, N_CTX, validation=validation))


def test_training_windows_begin_at_a_story_of_the_training_text() -> None:
    text = "\n" + stories.training_text(0)
    for window in stories_windows(0, 7, 16, N_CTX).tolist():
        assert "\n" + TOKENIZER.decode(window) in text


def test_validation_windows_contain_stories_outside_the_training_text() -> None:
    known = set(stories.training_text(0).splitlines())
    windows = stories_windows(0, 0, 100, 2 * N_CTX, validation=True)
    complete_stories = [
        line for ids in windows.tolist() for line in TOKENIZER.decode(ids).split("\n")[:-1]
    ]
    assert len(complete_stories) >= 100
    assert not known & set(complete_stories)


def test_a_window_longer_than_the_training_text_is_refused() -> None:
    with pytest.raises(UserError, match="longer than the training text"):
        stories_windows(0, 0, 1, 10**8)


def test_stories_are_judged_by_whether_they_parse_agree_and_are_new() -> None:
    old, new = drawn_stories(2)
    name = stories.split_words(new)[-2]
    judgement = judge([old, new, new.replace(name, "hermitage"), "Once upon"], f"{old}\n{old}")
    assert [judgement.parsed.count, judgement.agreed.count, judgement.novel.count] == [2, 2, 3]
    assert judgement.parsed.total == 4


def test_judging_no_story_is_refused() -> None:
    with pytest.raises(ValueError, match="no story"):
        judge([], "")


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (8, 10, 0.4902, 0.9433),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_a_share_has_its_wilson_interval(count: int, total: int, low: float, high: float) -> None:
    """The last row is Newcombe's (Statistics in Medicine 17, 1998, table I)."""
    assert stories.Share(count, total).interval == pytest.approx((low, high), abs=1e-4)
