"""Draw dialogues from their grammar and read them: turns, targets, true probabilities."""

from collections.abc import Sequence
from random import Random

from gpt2_small.stories.dialogues.dialogue_rules import ASSISTANT, DIALOGUES, END, USER
from gpt2_small.stories.parsing import Reader

TRAINING_DIALOGUES = 40_000


def generate_dialogue(rng: Random) -> list[str]:
    """The words of one dialogue, role tokens and ends among them."""
    words: list[str] = []
    DIALOGUES.derive(lambda node: node.branch_at(rng.random()), words.extend)
    return words


def training_dialogues(seed: int, count: int = TRAINING_DIALOGUES) -> list[list[str]]:
    """The first dialogues of the training corpus of a seed."""
    rng = Random(f"dialogues training {seed}")
    return [generate_dialogue(rng) for _ in range(count)]


def turns_of(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Role and words of each turn, without role tokens and ends."""
    turns: list[tuple[str, list[str]]] = []
    for word in words:
        if word in (USER, ASSISTANT):
            turns.append(("user" if word == USER else "assistant", []))
        elif word != END:
            turns[-1][1].append(word)
    return turns


def targets_of(words: Sequence[str]) -> list[bool]:
    """Which words are targets: what the assistant says and the end after it."""
    found, is_assistant = [], False
    for word in words:
        is_role = word in (USER, ASSISTANT)
        found.append(is_assistant and not is_role)
        is_assistant = word == ASSISTANT if is_role else is_assistant and word != END
    return found


def dialogue_log_probs(words: Sequence[str]) -> list[float]:
    """The true log-probability of each word of a whole dialogue given those before it, in nats.

    Raises Disagrees or Ended for words that are no dialogue.
    """
    reader = Reader(words, DIALOGUES)
    DIALOGUES.derive(reader.choose, reader.hear)
    return reader.log_probs
