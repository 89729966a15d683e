"""Draw dialogues from their grammar, and find their turns."""

from collections.abc import Sequence
from random import Random

from gpt2_small.stories.dialogues.dialogue_rules import ASSISTANT, DIALOGUES, END, USER

TRAINING_DIALOGUES = 40_000


def generate_dialogue(rng: Random) -> list[str]:
    """Draw the words of one dialogue, including role and end tokens."""
    words: list[str] = []
    DIALOGUES.derive(lambda node: node.branch_at(rng.random()), words.extend)
    return words


def training_dialogues(seed: int, count: int = TRAINING_DIALOGUES) -> list[list[str]]:
    """Draw the first dialogues of a seed's training corpus."""
    rng = Random(f"dialogues training {seed}")
    return [generate_dialogue(rng) for _ in range(count)]


def turns_of(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The role and the words of each turn, without role and end tokens."""
    turns: list[tuple[str, list[str]]] = []
    for word in words:
        if word in (USER, ASSISTANT):
            turns.append(("user" if word == USER else "assistant", []))
        elif word != END:
            turns[-1][1].append(word)
    return turns
