"""Draw multiple-choice questions: a story's beginning, its right ending and three wrong ones.

A wrong ending replaces a word of the right one by another of the same kind, so that every sentence
is well formed but the story contradicts itself. Its probability in the grammar is 0, so that a
perfect model answers every question. The endings of a question differ in the same word, so that a
model that ignores the context finds all four equally likely.
"""

from functools import cache
from random import Random
from typing import Any

from gpt2_small.stories.parsing import agrees, parses
from gpt2_small.stories.rules import GRAMMAR
from gpt2_small.stories.stories_tokenizer import join_words
from gpt2_small.stories.story_texts import generate_story

WRONG_ENDINGS = 3
# The arrival and the closing sentence, which refer to what came before.
SENTENCES_OF_AN_ENDING = 2


def story_questions(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Draw questions in HellaSwag's format, deterministically from the seed."""
    rng = Random(f"stories endings {seed}")
    questions: list[dict[str, Any]] = []
    while len(questions) < count:
        question = _question(rng)
        if question is not None:
            questions.append({"ind": len(questions), **question})
    return questions


def _question(rng: Random) -> dict[str, Any] | None:
    """Draw a story and a question on it; None without a word that has three wrong replacements."""
    words = generate_story(rng)
    cut = _beginning_of_ending(words)
    begin, right = words[:cut], words[cut:]
    kinds = _words_of_the_same_kind()
    places = [at for at, word in enumerate(right) if word in kinds]
    for at in rng.sample(places, len(places)):
        wrong = []
        for word in rng.sample(kinds[right[at]], len(kinds[right[at]])):
            ending = [*right[:at], word, *right[at + 1 :]]
            if parses(begin + ending) and not agrees(begin + ending):
                wrong.append(ending)
            if len(wrong) == WRONG_ENDINGS:
                return _as_a_question(begin, [right, *wrong], rng)
    return None


def _as_a_question(begin: list[str], endings: list[list[str]], rng: Random) -> dict[str, Any]:
    """The fields of a question, of whose endings the first is right, in random order."""
    order = rng.sample(range(len(endings)), len(endings))
    context = join_words(begin)
    return {
        "activity_label": "",
        "ctx": context,
        "ctx_a": context,
        "ctx_b": "",
        "endings": [join_words(endings[place]) for place in order],
        "label": order.index(0),
    }


def _beginning_of_ending(words: list[str]) -> int:
    """The index of the first word of the last sentences."""
    ends = [at for at, word in enumerate(words) if word == "."]
    return ends[-SENTENCES_OF_AN_ENDING - 1] + 1


@cache
def _words_of_the_same_kind() -> dict[str, list[str]]:
    """For each word that fills a slot, the words that can replace it."""
    kinds: dict[str, set[str]] = {}
    for entries in GRAMMAR.slots.values():
        forms = {form for entry in entries.values() for form in entry.forms}
        for form in forms:
            texts = [entry.forms[form] for entry in entries.values() if form in entry.forms]
            for column in zip(*(text for text in texts if len(text) == len(texts[0])), strict=True):
                for word in column:
                    kinds.setdefault(word, set()).update(column)
    return {word: sorted(others - {word}) for word, others in kinds.items() if len(others) > 1}
