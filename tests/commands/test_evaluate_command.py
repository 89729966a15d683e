"""Test `gpt2-small evaluate` and `lm-eval`: numbers, formats and errors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_folders import prepared
from command_line import Ran, run_in_an_empty_folder
from shard_folders import made
from small_gpt2s import our_gpt2, saved_run

from gpt2_small.stories import StoriesTokenizer, join_words, training_stories
from gpt2_small.stories.choice_questions import story_questions
from gpt2_small.stories.parsing import agrees, parses
from gpt2_small.stories.stories_tokenizer import split_words
from gpt2_small.tokenizers.simple import ByteTokenizer

run = run_in_an_empty_folder


@pytest.fixture
def a_run() -> Path:
    saved_run(Path("run"), our_gpt2(d_vocab=257, n_ctx=32), ByteTokenizer())
    Path("text.txt").write_text("To be, or not to be.\n" * 20)
    return Path("run")


@pytest.fixture
def prepared_folders(run: Callable[..., Ran]) -> None:
    """Prepare small shards and conversations in the current folder."""
    Path("some.txt").write_text("To be, or not to be.\n" * 20)
    made(Path("some.txt"), Path("shards"), tokenizer="byte")
    prepared(Path())


@pytest.fixture
def a_story_run() -> Path:
    tokenizer = StoriesTokenizer()
    saved_run(Path("run"), our_gpt2(d_vocab=tokenizer.vocab_size, n_ctx=72), tokenizer)
    return Path("run")


def test_a_texts_scores_are_on_the_screen_and_in_the_file(
    run: Callable[..., Ran], a_run: Path
) -> None:
    ran = run("evaluate", "run", "--data", "text.txt", "--json", "out.json")
    report = json.loads(Path("out.json").read_text())
    assert ran.code == 0, ran.err
    assert report["format"] == "gpt2-small-evaluation/1"
    assert report["model"] == "run"
    assert report["bytes"] == report["tokens"] == Path("text.txt").stat().st_size
    assert f"{report['bits_per_byte']:.4f}" in ran.out
    assert {"nats_per_token", "perplexity", "stride", "interval", "seconds"} <= set(report)


def test_questions_are_scored_by_both_definitions(run: Callable[..., Ran], a_run: Path) -> None:
    row = {"ctx": "To be", "endings": ["or not", "x"], "label": 0}
    Path("q.jsonl").write_text(f"{json.dumps(row)}\n" * 3)
    ran = run("evaluate", "run", "--choices", "q.jsonl", "--json", "out.json")
    report = json.loads(Path("out.json").read_text())
    assert ran.code == 0, ran.err
    assert report["examples"] == 3
    assert set(report["choices"]) == {"completion", "harness"}
    assert set(report["choices"]["harness"]) == {
        "acc",
        "acc_norm",
        "acc_stderr",
        "acc_norm_stderr",
        "bits_per_byte",
    }


def test_questions_about_the_stories_need_no_file(
    run: Callable[..., Ran], a_story_run: Path
) -> None:
    ran = run(
        "evaluate", "run", "--choices", "stories", "--definition", "completion", "--limit", "40"
    )
    assert ran.code == 0, ran.err
    assert "completion: 40 questions" in ran.out


def test_a_definition_whose_prompt_the_vocabulary_lacks_is_left_out_by_default(
    run: Callable[..., Ran], a_story_run: Path
) -> None:
    flags = ("--choices", "stories", "--limit", "10", "--json", "out.json")
    ran = run("evaluate", "run", *flags)
    assert ran.code == 0, ran.err
    assert "harness: left out" in ran.out
    assert set(json.loads(Path("out.json").read_text())["choices"]) == {"completion"}


@pytest.mark.parametrize("definition", ["harness", "both"])
def test_a_chosen_definition_whose_prompt_the_vocabulary_lacks_is_refused(
    run: Callable[..., Ran], a_story_run: Path, definition: str
) -> None:
    ran = run("evaluate", "run", "--choices", "stories", "--definition", definition)
    assert ran.code == 2
    assert "the prompt of harness has words that the vocabulary lacks" in ran.err
    assert ran.err.endswith("; give --definition completion\n")


def test_questions_with_a_word_that_the_vocabulary_lacks_are_refused_by_that_word(
    run: Callable[..., Ran], a_story_run: Path
) -> None:
    row = {"ctx": "Zebras", "endings": ["a", "b"], "label": 0}
    Path("q.jsonl").write_text(json.dumps(row))
    for flags in ([], ["--definition", "harness"]):
        ran = run("evaluate", "run", "--choices", "q.jsonl", *flags)
        assert ran.code == 2
        assert "lacks the word 'zebras'" in ran.err.lower()
        assert "--definition" not in ran.err


def words(question: dict[str, Any], ending: str) -> list[str]:
    return split_words(f"{question['ctx']} {ending}")


def test_of_a_storys_endings_only_the_right_one_agrees_and_all_parse() -> None:
    for question in story_questions(50):
        for number, ending in enumerate(question["endings"]):
            assert parses(words(question, ending))
            assert agrees(words(question, ending)) is (number == question["label"])


def test_the_endings_of_a_story_differ_in_the_same_single_word() -> None:
    for question in story_questions(50):
        columns = zip(*(split_words(each) for each in question["endings"]), strict=True)
        assert [len(set(column)) for column in columns].count(4) == 1
        assert len({tuple(split_words(each)) for each in question["endings"]}) == 4


def test_the_right_ending_occurs_at_every_position() -> None:
    assert {question["label"] for question in story_questions(50)} == {0, 1, 2, 3}


def test_a_stories_model_has_a_lower_loss_than_a_uniform_guess(
    run: Callable[..., Ran], a_story_run: Path
) -> None:
    Path("tales.txt").write_text("\n".join(map(join_words, training_stories(0, 20))))
    ran = run("evaluate", "run", "--data", "tales.txt", "--stride", "8")
    assert ran.code == 0, ran.err
    assert "at least 64 of 72" in ran.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "nothing to evaluate on; give --data PATH or --choices FILE"),
        (["--choices", "no.jsonl"], "there is no file no.jsonl"),
        (["--data", "no.txt"], "there is no file and no data set"),
        (["--data", "text.txt", "--stride", "99"], "stride is 99"),
        (["--data", "text.txt", "--limit", "3"], "--limit is for --choices"),
        (["--choices", "q.jsonl", "--stride", "3"], "--stride is for --data"),
        (["--choices", "q.jsonl", "--column", "text"], "--column is for --data"),
        (["--data", "text.txt", "--definition", "harness"], "--definition is for --choices"),
        (["--choices", "text.txt"], "line 1 is not JSON"),
        (["--data", "text.txt", "--definition", "harnes"], "did you mean harness?"),
        (["--data", "text.txt", "--json", "no/folder/out.json"], "no/folder"),
        (
            ["--data", "shards", "--column", "x"],
            "shards holds tokens, which have no columns; leave",
        ),
        (["--data", "chats", "--column", "x"], "chats holds tokens, which have no columns; leave"),
    ],
)
def test_an_impossible_evaluation_is_refused_in_one_sentence(
    run: Callable[..., Ran],
    a_run: Path,
    prepared_folders: None,
    arguments: list[str],
    sentence: str,
) -> None:
    ran = run("evaluate", "run", *arguments)
    assert ran.code == 2
    assert sentence in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--tasks", " , "], "names no task"),
        (["--tasks", "hellaswag", "--include-path", "no"], "no is not a folder"),
    ],
)
def test_tasks_that_cannot_run_are_refused_in_one_sentence(
    run: Callable[..., Ran], a_run: Path, arguments: list[str], sentence: str
) -> None:
    ran = run("lm-eval", "run", *arguments)
    assert ran.code == 2
    assert sentence in ran.err
