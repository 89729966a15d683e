"""Judge a model's answers in dialogues: whether they end, match the request, and are true.

The user's turns are drawn from the grammar and refer to the model's story.
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
    """A model's turn, without the end token, and whether it ended."""

    words: tuple[str, ...]
    ended: bool


# Answers many dialogues, each given as its words up to the assistant's role.
AnswerAll = Callable[[list[list[str]]], list[Answer]]


@dataclass(frozen=True)
class DialogueJudgement:
    """Shares of a model's turns.

    ended: of all turns.
    parsed: stories that are well formed.
    as_asked: stories about the requested hero and thing, and no others.
    agreed: stories as asked that are also consistent.
    exact: answers to questions that are true and in one of the grammar's forms. An inconsistent
        story has no true answers and counts as two wrong ones.
    """

    ended: Share
    parsed: Share
    as_asked: Share
    agreed: Share
    exact: Share


@dataclass
class _Dialogue:
    """One unfinished dialogue.

    actual: its words, with the model's answers.
    true: the same, with each wrong answer replaced by a true one.
    """

    actual: list[str]
    true: list[str]

    def ask(self, rng: Random) -> bool:
        """Draw the user's next turn, up to the assistant's role; False at the dialogue's end."""
        asked = continued(self.true, rng, ASSISTANT)
        self.actual += asked
        self.true += asked
        return bool(asked)

    def take(self, answer: Answer, rng: Random) -> bool:
        """Add an answer; return whether it ends, is true, and has one of the grammar's forms."""
        self.actual += [*answer.words, END]
        is_true = answer.ended and fits([*self.true, *answer.words, END])
        self.true += [*answer.words, END] if is_true else continued(self.true, rng, END)
        return is_true


def judge_dialogues(answer_all: AnswerAll, count: int, seed: int) -> DialogueJudgement:
    """Judge the stories and answers of a model in so many dialogues. Raises ValueError for none."""
    if count < 1:
        raise ValueError(f"{count} dialogues cannot be judged; give at least 1")
    rng = Random(f"dialogues judged {seed}")
    dialogues = [_Dialogue([], []) for _ in range(count)]
    for dialogue in dialogues:
        dialogue.ask(rng)
    stories = answer_all([dialogue.actual for dialogue in dialogues])
    turns, ended = count, sum(story.ended for story in stories)
    as_asked = [
        matches_request(dialogue.actual, story.words)
        for dialogue, story in zip(dialogues, stories, strict=True)
    ]
    agreed = [dialogue.take(story, rng) for dialogue, story in zip(dialogues, stories, strict=True)]
    unfinished = [dialogue for dialogue, agrees in zip(dialogues, agreed, strict=True) if agrees]
    asked, exact = LEAST_QUESTIONS * (count - len(unfinished)), 0
    while unfinished := [dialogue for dialogue in unfinished if dialogue.ask(rng)]:
        answers = answer_all([dialogue.actual for dialogue in unfinished])
        ended += sum(answer.ended for answer in answers)
        turns += len(answers)
        asked += len(answers)
        exact += sum(
            dialogue.take(answer, rng) for dialogue, answer in zip(unfinished, answers, strict=True)
        )
    return DialogueJudgement(
        ended=Share(ended, turns),
        parsed=Share(sum(parses(story.words) for story in stories), count),
        as_asked=Share(sum(as_asked), count),
        agreed=Share(sum(agreed), count),
        exact=Share(exact, asked),
    )


def fits(words: Sequence[str]) -> bool:
    """Whether words are a consistent dialogue, or the beginning of one."""
    reader = Reader(words, DIALOGUES)
    try:
        DIALOGUES.derive(reader.choose, reader.read)
    except Ended:
        return True
    except Disagrees:
        return False
    return reader.position == len(words)


def matches_request(request: Sequence[str], story: Sequence[str]) -> bool:
    """Whether a story names the hero and the thing of a request, and no others."""
    return all(
        {word for word in story if word in SLOTS[slot]}
        == {word for word in request if word in SLOTS[slot]}
        for slot in ASKED
    )


class _Done(Exception):
    """The last word to draw has been drawn."""


class _Continuation(Reader):
    """Reads given words, and draws the words after them, up to one word."""

    def __init__(self, words: Sequence[str], rng: Random, until: str) -> None:
        super().__init__(words, DIALOGUES)
        self.rng, self.until = rng, until
        self.drawn: list[str] = []

    def choose(self, node: Node) -> Node:
        """The branch of the next word, or a drawn one."""
        if self.position < len(self.tokens):
            return super().choose(node)
        return node.branch_at(self.rng.random())

    def read(self, words: Sequence[str]) -> None:
        """Read the given words, then record drawn ones."""
        for word in words:
            if self.position < len(self.tokens):
                super().read((word,))
                continue
            self.drawn.append(word)
            if word == self.until:
                raise _Done


def continued(words: Sequence[str], rng: Random, until: str) -> list[str]:
    """Draw the continuation of a dialogue up to and including a word; empty at the dialogue's end.

    Raises Disagrees for words that do not begin a dialogue.
    """
    continuation = _Continuation(words, rng, until)
    with suppress(_Done):
        DIALOGUES.derive(continuation.choose, continuation.read)
    return continuation.drawn
