"""Batch conversations for training: each once an epoch, with others of similar length."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from gpt2_small.data.conversations.chat_batches import (
    conversations_of_step,
    held_out_batches,
    masked_batch,
)
from gpt2_small.data.conversations.chat_folder import Chats, open_chats
from gpt2_small.data.conversations.chat_sources import DIALOGUES
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.training.step.masked_objective import MaskedObjective


@dataclass(frozen=True)
class ChatData:
    """Conversations as rows, padded on the right; a token that is no target is stored as `~token`.

    held_out_tokens: the number of held-out tokens to evaluate on; None for all.

    Raises UserError for a conversation longer than the context.
    """

    chats: Chats
    n_ctx: int
    held_out_tokens: int | None = None
    objective: ClassVar = MaskedObjective

    def __post_init__(self) -> None:
        for part in (self.chats.train, self.chats.val):
            longest = int(part.lengths.max())
            if longest > self.n_ctx + 1:
                raise UserError(
                    f"{self.chats.name} has a conversation of {longest:,} tokens, more than a "
                    f"context of {self.n_ctx:,} holds; prepare it with --max-length "
                    f"{self.n_ctx + 1}, or give --set n_ctx={longest - 1}"
                )

    @property
    def name(self) -> str:
        """The name of the conversations."""
        return self.chats.name

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the conversations."""
        return self.chats.tokenizer

    @property
    def start_token(self) -> int:
        """The first token of a conversation: the user's role."""
        assert self.tokenizer.roles is not None
        return self.tokenizer.roles.user

    @property
    def holds_dialogues(self) -> bool:
        """Whether these are the embedded dialogues, whose floor is known."""
        return bool(self.chats.index.get("source", {}).get("name") == DIALOGUES)

    def micro_batches(
        self, *, seed: int, step: int, batch_size: int, rank: int, world_size: int, number: int
    ) -> list[Tensor]:
        """One process's share of a step, in this many micro-batches, each padded separately."""
        chosen = conversations_of_step(
            self.chats.train.lengths, seed=seed, step=step, batch_size=batch_size
        )
        mine = chosen[rank::world_size]
        return [masked_batch(self.chats.train, part) for part in np.array_split(mine, number)]

    def held_out(self, *, batch_size: int, rank: int, world_size: int) -> Iterator[Tensor]:
        """One process's share of all held-out conversations."""
        val = self.chats.val
        last = int(val.starts[-1]) if self.held_out_tokens is None else self.held_out_tokens
        used = max(1, int((val.starts[1:] <= last).sum()))
        return held_out_batches(
            val, batch_size=batch_size, rank=rank, world_size=world_size, first=used
        )

    def fingerprint(self) -> str:
        """A hash of all conversations and of the tokenizer."""
        return self.chats.sha256


def open_chat_data(folder: str, n_ctx: int, held_out_tokens: int | None = None) -> ChatData:
    """Open the conversations of a prepared folder. Raises UserError for an unusable one."""
    return ChatData(open_chats(folder), n_ctx, held_out_tokens)
