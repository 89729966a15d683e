"""Draw dialogues from their grammar, and find their turns, targets and true probabilities."""

from collections.abc import Sequence
from random import Random

from gpt2_small.stories.dialogues.dialogue_rules import ASSISTANT, DIALOGUES, END, USER
from gpt2_small.stories.parsing import Reader

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


def targets_of(words: Sequence[str]) -> list[bool]:
    """The mask of target words: the assistant's, and the end token after them."""
    found, is_assistant = [], False
    for word in words:
        is_role = word in (USER, ASSISTANT)
        found.append(is_assistant and not is_role)
        is_assistant = word == ASSISTANT if is_role else is_assistant and word != END
    return found


def dialogue_log_probs(words: Sequence[str]) -> list[float]:
    """The true conditional log-probability of each word of a whole dialogue, in nats.

    Raises Disagrees or Ended for words that are not a dialogue.
    """
    reader = Reader(words, DIALOGUES)
    DIALOGUES.derive(reader.choose, reader.read)
    return reader.log_probs
