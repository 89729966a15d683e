"""Test planted faults of chat training: each fails its check."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_chat_batches
import test_chat_folder
import test_chat_rendering
import test_oasst
from chat_folders import END, TOKENIZER, prepared

from gpt2_small.data.conversations import chat_batches, oasst, prepare_chats, rendering
from gpt2_small.data.conversations import chat_folder as chat_folder_module
from gpt2_small.errors import UserError

Patch = pytest.MonkeyPatch


def fails(check: Callable[..., object], *arguments: Any, **keywords: Any) -> bool:
    """Return whether a test function fails."""
    try:
        check(*arguments, **keywords)
    except (AssertionError, UserError, ValueError, pytest.fail.Exception):
        return True
    return False


def with_mask(change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., Any]:
    """Return a renderer of turns with changed masks."""
    turns = rendering._turns

    def changed(conversation: Any, tokenizer: Any) -> Any:
        for ids, is_target in turns(conversation, tokenizer):
            yield ids, change(ids, is_target)

    return changed


def shifted(ids: np.ndarray, is_target: np.ndarray) -> np.ndarray:
    return np.roll(is_target, -1) if is_target.any() else is_target


def with_role(ids: np.ndarray, is_target: np.ndarray) -> np.ndarray:
    return np.full(len(ids), is_target.any())


def without_end(ids: np.ndarray, is_target: np.ndarray) -> np.ndarray:
    return is_target & (ids != END)


def with_user(ids: np.ndarray, is_target: np.ndarray) -> np.ndarray:
    found = np.ones(len(ids), dtype=bool)
    found[0] = False
    return found


@pytest.mark.parametrize("fault", [shifted, with_role, without_end, with_user])
def test_a_wrong_mask_is_detected_by_the_independent_renderer(
    fault: Callable[..., np.ndarray], monkeypatch: Patch
) -> None:
    test_chat_rendering.test_ids_and_mask_equal_those_of_an_independent_renderer()
    monkeypatch.setattr(rendering, "_turns", with_mask(fault))
    assert fails(test_chat_rendering.test_ids_and_mask_equal_those_of_an_independent_renderer)


def test_a_typed_role_that_becomes_a_role_is_detected(monkeypatch: Patch) -> None:
    test_chat_rendering.test_a_typed_role_stays_plain_characters()
    kind = type(TOKENIZER)
    monkeypatch.setattr(kind, "encode_ordinary", kind.encode_special)
    assert fails(test_chat_rendering.test_a_typed_role_stays_plain_characters)


def test_a_cut_after_the_check_for_targets_is_detected(monkeypatch: Patch, tmp_path: Path) -> None:
    render = rendering.render

    def checked_before_the_cut(conversation: Any, tokenizer: Any, **options: Any) -> Any:
        untruncated = render(conversation, tokenizer, **(options | {"max_length": 10**6}))
        if untruncated is None:
            return None
        length = options["max_length"]
        return rendering.RenderedConversation(
            untruncated.ids[:length], untruncated.is_target[:length], untruncated.turns
        )

    monkeypatch.setattr(prepare_chats, "render", checked_before_the_cut)
    cut = prepared(tmp_path, max_length=8)
    with pytest.raises(UserError, match="has no target"):
        chat_folder_module.open_chats(cut)


def test_epochs_with_replacement_are_detected(monkeypatch: Patch) -> None:
    test_chat_batches.test_an_epoch_has_each_conversation_once(8)

    def drawn(lengths: bytes, seed: int, epoch: int, batch_size: int) -> np.ndarray:
        count = len(lengths) // 8
        return np.random.default_rng([seed, epoch]).integers(count, size=count)

    monkeypatch.setattr(chat_batches, "_epoch_order", drawn)
    assert fails(test_chat_batches.test_an_epoch_has_each_conversation_once, 8)


def test_siblings_in_both_splits_are_detected(monkeypatch: Patch, tmp_path: Path) -> None:
    document_hash = prepare_chats.document_hash
    seen: list[bytes] = []

    def by_row(key: bytes) -> bytes:
        seen.append(key)
        return document_hash(b"%d" % len(seen))

    monkeypatch.setattr(prepare_chats, "document_hash", by_row)
    assert fails(
        test_chat_folder.test_conversations_with_the_same_first_message_are_in_one_split,
        prepared(tmp_path),
    )


def test_training_a_shared_prefix_twice_is_detected(monkeypatch: Patch) -> None:
    test_oasst.test_a_shared_prefix_is_trained_once()
    raw_turn = oasst.RawTurn
    monkeypatch.setattr(
        oasst, "RawTurn", lambda role, text, is_trained: raw_turn(role, text, is_trained=True)
    )
    assert fails(test_oasst.test_a_shared_prefix_is_trained_once)


def test_packing_conversations_into_one_row_is_detected(monkeypatch: Patch, tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    test_chat_batches.test_rows_are_padded_on_the_right_and_carry_their_mask(folder)
    conversation = chat_folder_module.ChatSplit.conversation

    def with_the_next(self: Any, number: int) -> tuple[np.ndarray, np.ndarray]:
        pairs = [conversation(self, each) for each in (number, (number + 1) % len(self))]
        ids, is_target = zip(*pairs, strict=True)
        return np.concatenate(ids), np.concatenate(is_target)

    def packed(chats: Any, numbers: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(chat_folder_module.ChatSplit, "conversation", with_the_next)
            return chat_batches.masked_batch(chats, numbers)

    monkeypatch.setattr(test_chat_batches, "masked_batch", packed)
    assert fails(test_chat_batches.test_rows_are_padded_on_the_right_and_carry_their_mask, folder)
