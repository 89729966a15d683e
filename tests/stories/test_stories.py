"""Test the stories corpus: its grammar, its entropy, and sampled texts."""

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from random import Random

import pytest
import torch

from gpt2_small import stories
from gpt2_small.stories.entropy import statistics_of, window_entropy
from gpt2_small.stories.grammar import Entry, Grammar, Node
from gpt2_small.stories.parsing import next_word_probabilities
from gpt2_small.stories.rules import BEGIN, GRAMMAR, SLOTS

N_CTX = 96
TRAINING_TEXT_SHA256 = "57ddc29076d63b90af3258468112e53385498228f175dac519558d1e80311ded"
FIVE_SIGMA = 4.9
"""In standard errors; a normal mean is further off once in a million trials."""

SMALL = Grammar(
    {
        "who": {
            "Ann": Entry("girl", {"plain": ("Ann",), "she": ("she",)}),
            "Bob": Entry("boy", {"plain": ("Bob", "Ray"), "she": ("he",)}),
        }
    },
    {
        "story": """
            2x {who=} {verb} and {who.she} {end@who}
            Here {who=} {verb} .
        """,
        "verb": "3x ran \n sat down",
        "end girl": "won . \n lost .",
        "end boy": "slept",
    },
    start="story",
)


def drawn(count: int, seed: int = 1) -> list[list[str]]:
    rng = Random(seed)
    return [stories.generate_story(rng) for _ in range(count)]


def every_story(grammar: Grammar) -> Iterator[tuple[float, list[str]]]:
    """Return each story with its probability, by enumeration of all choices."""
    paths: list[list[int]] = [[]]
    while paths:
        path = paths.pop()
        taken = iter(path)
        words: list[str] = []
        probability = 1.0
        open_choice: list[Node] = []

        def choose(node: Node) -> Node:
            nonlocal probability
            index = next(taken, None)  # noqa: B023
            if index is None:
                open_choice.append(node)  # noqa: B023
                raise StopIteration
            probability *= node.shares[index]
            return node.branches[index]

        try:
            grammar.derive(choose, words.extend)
            yield probability, words
        except StopIteration:
            paths.extend([*path, index] for index in range(len(open_choice[0].branches)))


def test_the_branches_of_every_choice_begin_with_different_words() -> None:
    for node in GRAMMAR.nodes():
        first = [GRAMMAR.first_words(branch) for branch in node.branches]
        assert all(first)
        assert sum(map(len, first)) == len(set().union(*first))


@pytest.mark.parametrize("rules", ["{first} ran\nAnn sat", "the end\nthe", "so it was\nso it was"])
def test_an_ambiguous_rule_is_refused(rules: str) -> None:
    with pytest.raises(ValueError, match="begin"):
        Grammar({}, {"story": rules, "first": "Ann\nBob"}, start="story")


@pytest.mark.parametrize("length", [0, 1, 7, 20, 45])
def test_after_any_prefix_the_probabilities_of_all_words_sum_to_1(length: int) -> None:
    for story in drawn(5, seed=length):
        prefix = [BEGIN, *story][: length + 1]
        nexts = [stories.token_log_probs([*prefix, word])[-1] for word in stories.VOCABULARY]
        assert sum(map(math.exp, nexts)) == pytest.approx(1, abs=1e-12)


def test_after_a_whole_story_only_the_next_story_can_follow() -> None:
    stream = [BEGIN, *drawn(1)[0]]
    assert stories.token_log_probs([*stream, BEGIN])[-1] == 0
    assert stories.token_log_probs([*stream, "The"])[-1] == -math.inf


def test_after_the_first_impossible_word_every_log_probability_is_minus_infinity() -> None:
    stream = [BEGIN, *drawn(1)[0]]
    stream[10] = "Once"
    log_probs = stories.token_log_probs(stream)
    assert all(map(math.isfinite, log_probs[:10]))
    assert set(log_probs[10:]) == {-math.inf}


def test_the_profile_of_a_small_grammar_equals_the_sum_over_its_stories() -> None:
    listed = list(every_story(SMALL))
    assert sum(probability for probability, _ in listed) == pytest.approx(1)
    found = statistics_of(SMALL)
    entropy = -sum(probability * math.log(probability) for probability, _ in listed)
    assert sum(found.surprisal.values()) == pytest.approx(entropy)
    assert found.count == len({tuple(words) for _, words in listed}) == len(listed) == 10
    for length in range(12):
        share = sum(probability for probability, words in listed if len(words) == length)
        assert found.lengths.get(length, 0) == pytest.approx(share)


@pytest.mark.parametrize("n_ctx", [1, 2, 3, 5, 8, 12])
def test_the_entropy_of_a_small_window_equals_the_sum_over_all_windows(n_ctx: int) -> None:
    windows: dict[tuple[str, ...], float] = defaultdict(float)
    streams: list[tuple[float, list[str]]] = [(1.0, [BEGIN])]
    while streams:
        probability, stream = streams.pop()
        if len(stream) > n_ctx:
            windows[tuple(stream[: n_ctx + 1])] += probability
            continue
        for share, words in every_story(SMALL):
            streams.append((probability * share, [*stream, *words, BEGIN]))
    entropy = -sum(share * math.log(share) for share in windows.values())
    assert window_entropy(statistics_of(SMALL), n_ctx) == pytest.approx(entropy, abs=1e-12)


def test_the_floor_equals_the_mean_surprisal_of_drawn_windows() -> None:
    windows = stories.stories_windows(0, 0, 1500, N_CTX, validation=True)
    tokenizer = stories.StoriesTokenizer()
    losses = torch.tensor(
        [-sum(stories.token_log_probs(tokenizer.words(row))) / N_CTX for row in windows.tolist()]
    )
    off = abs(losses.mean() - stories.entropy_per_token(N_CTX))
    assert off < FIVE_SIGMA * losses.std() / math.sqrt(len(losses))


def test_there_are_more_than_a_billion_stories() -> None:
    assert stories.count_stories() > 10**9


def test_stories_are_short_and_fit_into_a_window() -> None:
    assert 40 <= stories.mean_story_tokens() <= 70
    assert stories.longest_story_tokens() <= N_CTX


def test_the_training_text_of_a_seed_is_the_same_on_every_machine() -> None:
    text = "\n".join(map(stories.join_words, stories.training_stories(0, 200)))
    assert hashlib.sha256(text.encode()).hexdigest() == TRAINING_TEXT_SHA256


def test_another_seed_gives_other_stories() -> None:
    assert stories.training_stories(0, 20) != stories.training_stories(1, 20)


def test_every_drawn_story_parses_and_agrees() -> None:
    for story in drawn(300):
        assert stories.parses(story)
        assert stories.agrees(story)


@pytest.mark.parametrize(
    "slot",
    ["hero", "petname", "mood", "home", "kin", "thing", "place", "obstacle"],
)
def test_a_later_mention_of_something_else_still_parses_but_does_not_agree(slot: str) -> None:
    changed = 0
    for story in drawn(30):
        mentions = [index for index, word in enumerate(story) if word in SLOTS[slot]]
        if len(mentions) < 2:
            continue
        for word in SLOTS[slot]:
            other = [*story[: mentions[-1]], word, *story[mentions[-1] + 1 :]]
            if word != story[mentions[-1]] and stories.parses(other):
                assert not stories.agrees(other)
                changed += 1
    assert changed >= 12


def test_a_wrong_pronoun_parses_but_does_not_agree() -> None:
    story = next(story for story in drawn(50) if "she" in story)
    story[story.index("she")] = "he"
    assert stories.parses(story)
    assert not stories.agrees(story)


def test_a_story_with_a_word_missing_added_or_moved_does_not_parse() -> None:
    for story in drawn(40):
        for broken in (story[:-1], story[1:], [*story, "."], story[:8] + story[9:], story[::-1]):
            assert not stories.parses(broken)
            assert not stories.agrees(broken)


def test_an_article_fits_the_word_after_it() -> None:
    text = " ".join(map(stories.join_words, drawn(2000)))
    assert not re.findall(r"\b[Aa] [aeiou]\w+", text)
    assert not re.findall(r"\b[Aa]n [^aeiou]\w+", text)


def test_next_word_probabilities_sum_to_one_and_agree_with_the_log_probabilities():
    story = [BEGIN, *stories.generate_story(Random(5)), BEGIN]
    log_probs = stories.token_log_probs(story)
    for position in range(1, len(story)):
        found = next_word_probabilities(story[:position])
        assert sum(found.values()) == pytest.approx(1)
        assert math.log(found[story[position]]) == pytest.approx(log_probs[position])


def test_no_word_can_follow_an_impossible_text():
    assert next_word_probabilities([BEGIN, "Once", "time"]) is None
