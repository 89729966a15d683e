"""Judge a model's answers in dialogues: whether they end, tell what was asked, and are true.

The user's side is drawn from the grammar, along the story that the model told.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from gpt2_small.stories.dialogues.dialogue_rules import ASKED, ASSISTANT, DIALOGUES, END
from gpt2_small.stories.grammar import Node
from gpt2_small.stories.judge import Share
from gpt2_small.stories.parsing import Disagrees, Ended, Reader, parses
from gpt2_small.stories.rules import SLOTS

LEAST_QUESTIONS = 2


@dataclass(frozen=True)
class Answer:
    """A model's turn, without the end, and whether it ended."""

    words: tuple[str, ...]
    ended: bool


AnswerAll = Callable[[list[list[str]]], list[Answer]]
"""Answers to many dialogues, each its words up to the assistant's role."""


@dataclass(frozen=True)
class DialogueJudgement:
    """Shares of what a model answered.

    ended: of all its turns.
    parsed: stories that are one, each mention taken alone.
    as_asked: stories of the hero and the thing that were asked for, and of no other.
    agreed: stories that are as asked and agree with themselves from beginning to end.
    exact: answers to questions that are true and in one of the grammar's forms. A story that does
        not agree has no true answers: two are counted as wrong.
    """

    ended: Share
    parsed: Share
    as_asked: Share
    agreed: Share
    exact: Share


@dataclass
class _Dialogue:
    """One dialogue on its way.

    heard: what the model reads, its own answers in it.
    true: the same with a true answer in the place of each wrong one.
    """

    heard: list[str]
    true: list[str]

    def ask(self, rng: Random) -> bool:
        """Draw the user's next turn, up to the assistant's role; False when all is said."""
        asked = drawn_on(self.true, rng, ASSISTANT)
        self.heard += asked
        self.true += asked
        return bool(asked)

    def take(self, answer: Answer, rng: Random) -> bool:
        """Whether an answer is true, in one of the forms of the grammar, and ends."""
        self.heard += [*answer.words, END]
        is_true = answer.ended and fits([*self.true, *answer.words, END])
        self.true += [*answer.words, END] if is_true else drawn_on(self.true, rng, END)
        return is_true


def judge_dialogues(answer_all: AnswerAll, count: int, seed: int) -> DialogueJudgement:
    """Judge the stories and answers of a model in so many dialogues. Raises ValueError for none."""
    if count < 1:
        raise ValueError(f"{count} dialogues cannot be judged; give at least 1")
    rng = Random(f"dialogues judged {seed}")
    dialogues = [_Dialogue([], []) for _ in range(count)]
    for dialogue in dialogues:
        dialogue.ask(rng)
    stories = answer_all([dialogue.heard for dialogue in dialogues])
    turns, ended = count, sum(story.ended for story in stories)
    as_asked = [
        names_what_was_asked(dialogue.heard, story.words)
        for dialogue, story in zip(dialogues, stories, strict=True)
    ]
    agreed = [dialogue.take(story, rng) for dialogue, story in zip(dialogues, stories, strict=True)]
    going_on = [dialogue for dialogue, agrees in zip(dialogues, agreed, strict=True) if agrees]
    asked, exact = LEAST_QUESTIONS * (count - len(going_on)), 0
    while going_on := [dialogue for dialogue in going_on if dialogue.ask(rng)]:
        answers = answer_all([dialogue.heard for dialogue in going_on])
        ended += sum(answer.ended for answer in answers)
        turns += len(answers)
        asked += len(answers)
        exact += sum(
            dialogue.take(answer, rng) for dialogue, answer in zip(going_on, answers, strict=True)
        )
    return DialogueJudgement(
        ended=Share(ended, turns),
        parsed=Share(sum(parses(story.words) for story in stories), count),
        as_asked=Share(sum(as_asked), count),
        agreed=Share(sum(agreed), count),
        exact=Share(exact, asked),
    )


def fits(words: Sequence[str]) -> bool:
    """Whether words are a dialogue, or the beginning of one, in which everything agrees."""
    reader = Reader(words, DIALOGUES)
    try:
        DIALOGUES.derive(reader.choose, reader.hear)
    except Ended:
        return True
    except Disagrees:
        return False
    return reader.position == len(words)


def names_what_was_asked(request: Sequence[str], story: Sequence[str]) -> bool:
    """Whether a story names the hero and the thing of a request, and no other."""
    return all(
        {word for word in story if word in SLOTS[slot]}
        == {word for word in request if word in SLOTS[slot]}
        for slot in ASKED
    )


class _Over(Exception):
    """The word to draw up to has been drawn."""


class _Drawing(Reader):
    """Walks along given words, and draws what comes after them, up to one word."""

    def __init__(self, words: Sequence[str], rng: Random, until: str) -> None:
        super().__init__(words, DIALOGUES)
        self.rng, self.until = rng, until
        self.drawn: list[str] = []

    def choose(self, node: Node) -> Node:
        """The branch that the next word takes, or one that is drawn."""
        if self.position < len(self.tokens):
            return super().choose(node)
        return node.branch_at(self.rng.random())

    def hear(self, words: Sequence[str]) -> None:
        """Take words from those given, then as drawn."""
        for word in words:
            if self.position < len(self.tokens):
                super().hear((word,))
                continue
            self.drawn.append(word)
            if word == self.until:
                raise _Over


def drawn_on(words: Sequence[str], rng: Random, until: str) -> list[str]:
    """How a dialogue goes on, up to and with a word; nothing when it is over.

    Raises Disagrees for words that begin no dialogue.
    """
    drawing = _Drawing(words, rng, until)
    with suppress(_Over):
        DIALOGUES.derive(drawing.choose, drawing.hear)
    return drawing.drawn
