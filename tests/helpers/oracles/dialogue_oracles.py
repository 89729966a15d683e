"""Compute a dialogue's targets and true probabilities word by word."""

from collections.abc import Sequence

from gpt2_small.stories.dialogues.dialogue_rules import ASSISTANT, DIALOGUES, END, USER
from gpt2_small.stories.parsing import Reader


def targets_of(words: Sequence[str]) -> list[bool]:
    """Return the mask of target words: the assistant's, and the end token after them."""
    found, is_assistant = [], False
    for word in words:
        is_role = word in (USER, ASSISTANT)
        found.append(is_assistant and not is_role)
        is_assistant = word == ASSISTANT if is_role else is_assistant and word != END
    return found


def dialogue_log_probs(words: Sequence[str]) -> list[float]:
    """Return the true conditional log-probability of each word of a whole dialogue, in nats.

    Raises Disagrees or Ended for words that are not a dialogue.
    """
    reader = Reader(words, DIALOGUES)
    DIALOGUES.derive(reader.choose, reader.read)
    return reader.log_probs
