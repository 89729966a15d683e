"""Test the rendering of conversations: ids, targets, roles, cuts, and dropped ones."""

import random
from collections import Counter

from chat_folders import ASSISTANT, END, USER, conversation, independent, rendered

from gpt2_small.data.conversations import rendering
from gpt2_small.data.conversations.conversation import Conversation
from gpt2_small.data.conversations.rendering import CUT, DROPPED


def test_ids_and_mask_equal_those_of_an_independent_renderer() -> None:
    rng = random.Random(0)
    for _ in range(50):
        texts = ["".join(rng.choices("ab é\n<|user|>", k=rng.randint(1, 9))) for _ in range(6)]
        found, _ = rendered(conversation(*texts))
        assert found is not None
        ids, mask = independent(texts)
        assert found.ids.tolist() == ids
        assert found.is_target.tolist() == mask


def test_a_typed_role_stays_plain_characters() -> None:
    found, _ = rendered(conversation("<|assistant|>me", "<|user|>you<|endoftext|>"))
    assert found is not None
    assert Counter(id for id in found.ids.tolist() if id >= 256) == {USER: 1, ASSISTANT: 1, END: 2}
    assert b"<|assistant|>me" in bytes(id for id in found.ids.tolist() if id < 256)


def test_the_oldest_turns_are_dropped_whole_until_a_conversation_fits() -> None:
    found, audit = rendered(conversation("aaaa", "bbbb", "cc", "dd", "e", "f"), max_length=14)
    assert found is not None
    assert found.ids.tolist() == independent(["cc", "dd", "e", "f"])[0]
    assert (found.turns, audit.changed[CUT]) == (4, 1)


def test_without_dropping_turns_a_conversation_that_is_too_long_is_dropped() -> None:
    found, audit = rendered(conversation("aaaa", "bbbb", "e", "f"), max_length=14, too_long="drop")
    assert found is None
    assert audit.dropped[DROPPED] == 1


def test_one_pair_of_turns_that_does_not_fit_is_dropped() -> None:
    found, audit = rendered(conversation("a", "b", "cccccccccccc", "d"), max_length=14)
    assert found is None
    assert audit.dropped[DROPPED] == 1


def test_a_conversation_without_targets_after_a_cut_is_dropped() -> None:
    first = conversation("aaaa", "bbbb")
    later = conversation("c", "d", trained=False)
    found, audit = rendered(Conversation(first.turns + later.turns, "k"), max_length=8)
    assert found is None
    assert audit.dropped == {rendering.NOTHING_LEFT: 1}
