"""Test the dialogues: their grammar, its exact floor, and the judge of answers."""

import math
from collections.abc import Iterator
from random import Random

import pytest
from dialogue_oracles import dialogue_log_probs, targets_of

from gpt2_small.errors import UserError
from gpt2_small.stories.dialogues.dialogue_corpus import (
    generate_dialogue,
    training_dialogues,
    turns_of,
)
from gpt2_small.stories.dialogues.dialogue_entropy import Expected, dialogue_floor
from gpt2_small.stories.dialogues.dialogue_judge import (
    Answer,
    continued,
    fits,
    judge_dialogues,
    matches_request,
)
from gpt2_small.stories.dialogues.dialogue_rules import ASSISTANT, DIALOGUES, END, USER
from gpt2_small.stories.dialogues.dialogue_tokenizer import DIALOGUE_WORDS, dialogue_tokenizer
from gpt2_small.stories.grammar import Entry, Grammar, Node
from gpt2_small.stories.parsing import agrees, parses
from gpt2_small.stories.stories_tokenizer import VOCABULARY, split_words
from gpt2_small.tokenizers.registry import from_dict

FIVE_SIGMA = 4.9
"""In standard errors; a normal mean is further off once in a million trials."""

SMALL = Grammar(
    {
        "who": {
            "Ann": Entry("girl", {"plain": ("Ann",)}),
            "Bob": Entry("boy", {"plain": ("Bob",)}),
        },
    },
    {
        "dialogue": f"""
            {USER} {{who=}} or {{end}} {END} {ASSISTANT} {{told@who}} {END} {USER} more {{end}}
        """,
        "end": "3x now \n 1x later today",
        "told girl": "2x she ran \n 3x she sat down \n 1x no",
        "told boy": "he {end}",
    },
    start="dialogue",
)


def every_derivation(grammar: Grammar) -> Iterator[tuple[float, list[str], list[float]]]:
    """Return each derivation's probability, words and the log-probability of every word."""
    waiting: list[list[int]] = [[]]
    while waiting:
        path = waiting.pop()
        taken = iter(path)
        words: list[str] = []
        log_probs: list[float] = [0.0]
        choice: list[Node] = []

        def choose(node: Node) -> Node:
            index = next(taken, None)  # noqa: B023
            if index is None:
                choice.append(node)  # noqa: B023
                raise StopIteration
            log_probs[-1] += math.log(node.shares[index])  # noqa: B023
            return node.branches[index]

        def say(said: object) -> None:
            for word in said:  # type: ignore[attr-defined]
                words.append(word)  # noqa: B023
                log_probs.append(0.0)  # noqa: B023

        try:
            grammar.derive(choose, say)
            yield math.exp(sum(log_probs)), words, log_probs[:-1]
        except StopIteration:
            waiting.extend([*path, index] for index in range(len(choice[0].branches)))


def dialogues(count: int, seed: int = 1) -> list[list[str]]:
    rng = Random(seed)
    return [generate_dialogue(rng) for _ in range(count)]


def test_expected_nats_and_targets_equal_the_sums_over_all_derivations_of_a_small_grammar() -> None:
    nats = targets = 0.0
    for probability, words, log_probs in every_derivation(SMALL):
        for log_prob, is_target in zip(log_probs, targets_of(words), strict=True):
            nats -= probability * log_prob * is_target
            targets += probability * is_target
    expected = Expected(SMALL)
    assert expected.nats == pytest.approx(nats, rel=1e-12)
    assert expected.targets == pytest.approx(targets, rel=1e-12)


def test_the_floor_equals_the_mean_true_log_probability_of_sampled_targets() -> None:
    surprisals, counts = [], []
    for words in dialogues(1500):
        is_target = targets_of(words)
        pairs = zip(dialogue_log_probs(words), is_target, strict=True)
        surprisals.append(-sum(log_prob for log_prob, target in pairs if target))
        counts.append(sum(is_target))
    floor, count = dialogue_floor(), len(counts)
    residuals = [nats - floor * targets for nats, targets in zip(surprisals, counts, strict=True)]
    error = math.sqrt(sum(each**2 for each in residuals)) / count
    assert abs(sum(residuals) / count) < FIVE_SIGMA * error
    assert error / Expected(DIALOGUES).targets < 0.01 * floor


def test_a_story_in_a_dialogue_agrees_and_matches_its_request() -> None:
    for words in dialogues(100):
        (_, request), (_, story), *questions = turns_of(words)
        assert agrees(story)
        assert matches_request(request, story)
        assert len(questions) in (4, 6)


def test_a_requested_hero_and_thing_have_probability_1_in_the_story() -> None:
    words = next(each for each in dialogues(100) if "Mara" in each)
    log_probs = dialogue_log_probs(words)
    hero = [place for place, word in enumerate(words) if word == "Mara"][1]
    first_of_the_story = words.index(ASSISTANT) + 1
    assert log_probs[hero] == 0 or hero == first_of_the_story


def test_every_question_has_answers_in_more_than_one_form() -> None:
    forms: dict[tuple[str, ...], set[int]] = {}
    for words in dialogues(3000):
        turns = turns_of(words)
        slots = {name for entries in DIALOGUES.slots.values() for name in entries}
        for (_, question), (_, answer) in zip(turns[2::2], turns[3::2], strict=True):
            asked = tuple(word for word in question if word not in slots)
            forms.setdefault(asked, set()).add(len(answer) * 100 + answer.index("."))
    assert len(forms) >= 9
    of_one_length = {asked for asked, lengths in forms.items() if len(lengths) < 2}
    assert all("feel" in asked for asked in of_one_length)  # "She was sad" or "Mara was sad"


def test_targets_are_the_assistants_words_and_its_end() -> None:
    words = [USER, "Tell", END, ASSISTANT, "A", "b", END, USER, "Who", END, ASSISTANT, "c", END]
    expected = [False] * 4 + [True] * 3 + [False] * 4 + [True] * 2
    assert targets_of(words) == expected


def test_a_seed_always_gives_the_same_training_dialogues() -> None:
    assert training_dialogues(3, 2) == training_dialogues(3, 4)[:2]
    assert training_dialogues(3, 2) != training_dialogues(4, 2)


def test_the_tokenizer_keeps_the_stories_ids_and_never_encodes_a_typed_role() -> None:
    tokenizer = dialogue_tokenizer()
    assert DIALOGUE_WORDS[: len(VOCABULARY)] == VOCABULARY
    assert tokenizer.roles is not None
    assert [DIALOGUE_WORDS[id] for id in tokenizer.roles] == [USER, ASSISTANT]
    assert (tokenizer.name, tokenizer.vocab_size) == ("dialogues-chat", len(DIALOGUE_WORDS))
    with pytest.raises(UserError, match="lacks the word '<'"):
        tokenizer.encode_ordinary("<|user|>")
    for words in dialogues(20):
        for _, said in turns_of(words):
            ids = tokenizer.encode_ordinary(" ".join(said))
            assert [DIALOGUE_WORDS[id] for id in ids] == said
            assert split_words(tokenizer.decode(ids)) == said


def test_a_typed_line_break_does_not_end_a_turn() -> None:
    tokenizer = dialogue_tokenizer()
    assert tokenizer.encode_ordinary("Who\nhelped") == tokenizer.encode_ordinary("Who helped")


def test_the_tokenizer_is_restored_from_its_description() -> None:
    tokenizer = dialogue_tokenizer()
    restored = from_dict(tokenizer.to_dict())
    assert restored.to_dict() == tokenizer.to_dict()
    assert restored.roles == tokenizer.roles


def perfect(prompts: list[list[str]], rng: Random) -> list[Answer]:
    return [Answer(tuple(continued(words, rng, END)[:-1]), True) for words in prompts]


def test_the_judge_accepts_all_dialogues_of_the_grammar() -> None:
    rng = Random(0)
    judgement = judge_dialogues(lambda prompts: perfect(prompts, rng), 60, seed=1)
    for share in vars(judgement).values():
        assert share.count == share.total > 0


def test_the_judge_detects_turns_that_do_not_end() -> None:
    rng = Random(0)
    unended = judge_dialogues(
        lambda prompts: [Answer(each.words, False) for each in perfect(prompts, rng)],
        20,
        seed=1,
    )
    assert (unended.ended.count, unended.ended.total) == (0, 20)
    assert unended.parsed.count == unended.as_asked.count == 20
    assert (unended.exact.count, unended.exact.total) == (0, 40)


def test_the_judge_detects_a_story_of_another_hero() -> None:
    rng, heroes = Random(0), [*DIALOGUES.slots["hero"]]
    others = dict(zip(heroes, heroes[1:8] + heroes[:1] + heroes[9:] + heroes[8:9], strict=True))

    def of_others(prompts: list[list[str]]) -> list[Answer]:
        return [
            Answer(tuple(others.get(word, word) for word in each.words), True)
            for each in perfect(prompts, rng)
        ]

    judgement = judge_dialogues(of_others, 20, seed=1)
    assert judgement.parsed.count == judgement.ended.count == 20
    assert judgement.as_asked.count == judgement.agreed.count == judgement.exact.count == 0


def test_the_judge_detects_a_false_answer() -> None:
    rng = Random(0)

    def first_answer_wrong(prompts: list[list[str]]) -> list[Answer]:
        turn = prompts[0].count(ASSISTANT)
        if turn == 1:
            return perfect(prompts, rng)
        return [Answer(("Nobody", "."), True) for _ in prompts]

    judgement = judge_dialogues(first_answer_wrong, 40, seed=1)
    assert judgement.agreed.count == 40
    assert 0 < judgement.exact.count < judgement.exact.total / 4  # where nobody came along


def test_a_true_answer_in_another_form_is_accepted_and_a_false_one_is_not() -> None:
    words = next(each for each in dialogues(300) if "Who helped Mara ?" in " ".join(each))
    question = " ".join(words[: words.index("helped")]).count(" ")
    answer = words.index(ASSISTANT, question) + 1
    said, other = words[answer : answer + 2], ["A", "witch"]
    assert fits([*words[:answer], *said, "."])
    assert fits([*words[:answer], *said, "helped", "her", "."])
    assert said == other or not fits([*words[:answer], *other, "."])
    assert not fits([*words[:answer], "A", "castle", "."])


def test_judging_no_dialogue_is_refused() -> None:
    with pytest.raises(ValueError, match="give at least 1"):
        judge_dialogues(lambda prompts: [], 0, seed=0)


def test_a_story_about_another_thing_does_not_match_its_request() -> None:
    words = generate_dialogue(Random(2))
    (_, request), (_, story), *_ = turns_of(words)
    things = DIALOGUES.slots["thing"]
    thing = next(word for word in request if word in things)
    other = next(
        word
        for word, entry in things.items()
        if word != thing and entry.kind == things[thing].kind and entry.forms["a"][0] == "a"
    )
    exchanged = [other if word == thing else word for word in story]
    assert parses(exchanged)
    assert not matches_request(request, exchanged)
