"""Count how many sampled stories parse, agree and are new."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gpt2_small.stories.parsing import agrees, parses
from gpt2_small.stories.stories_tokenizer import split_words

# The 97.5 % quantile of the standard normal distribution.
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Share:
    """`count` of `total`, with its Wilson 95 % interval (Wilson 1927)."""

    count: int
    total: int

    @property
    def share(self) -> float:
        return self.count / self.total

    @property
    def interval(self) -> tuple[float, float]:
        spread = Z_95**2 / self.total
        middle = (self.share + spread / 2) / (1 + spread)
        half = math.sqrt(spread * (self.share * (1 - self.share) + spread / 4)) / (1 + spread)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.share:.1%} ({low:.1%} to {high:.1%})"


@dataclass(frozen=True)
class Judgement:
    """The shares of stories that parse, agree throughout, and are not in the training text."""

    parsed: Share
    agreed: Share
    novel: Share


def judge(stories: Sequence[str], training_text: str) -> Judgement:
    """Judge whole stories, each one line of text, as in the training text.

    Raises ValueError when there is no story.
    """
    if not stories:
        raise ValueError("there is no story to judge")
    known = set(training_text.splitlines())
    words = [split_words(story) for story in stories]

    def share(holds: Sequence[bool]) -> Share:
        return Share(sum(holds), len(stories))

    return Judgement(
        parsed=share([parses(each) for each in words]),
        agreed=share([agrees(each) for each in words]),
        novel=share([story not in known for story in stories]),
    )
