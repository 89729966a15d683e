"""Hold a conversation: turns, replies that stream, undo, retry, and a cache that lasts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Literal

from gpt2_small.data.conversations.rendering import end_id, role_id, turn_ids
from gpt2_small.errors import UserError
from gpt2_small.files import write_atomically
from gpt2_small.generation.continuation import Continuation, Finish, Step, stream_seed
from gpt2_small.generation.loaded_model import LoadedModel
from gpt2_small.generation.sampling_options import SamplingOptions
from gpt2_small.generation.streaming import Stream

ROOM_FOR_A_REPLY = 8
"""At least an eighth of the context is kept for a reply, where earlier turns can be left out."""


@dataclass
class ChatTurn:
    """One turn.

    ids: with the role before the text and the end after it.
    steps, finish: of the assistant's, as in `Continuation`.
    """

    role: Literal["user", "assistant"]
    text: str
    ids: list[int]
    steps: list[Step] = field(default_factory=list)
    finish: Finish | None = None


class Chat:
    """A model and a user in turns. The model reads whole turns only, the latest that fit n_ctx.

    What it has read once stays in the conversation's own cache, so a later turn reads only what
    is new. Two conversations of one model share its weights and nothing else.

    options: of every reply; each reply has its own random numbers, from the seed and how many
        replies there were before it.
    left_out: how many of the oldest turns the latest reply did not read.

    Raises UserError for a tokenizer without roles, and for options that cannot be.
    """

    def __init__(
        self, solution: ModuleType, loaded: LoadedModel, options: SamplingOptions | None = None
    ) -> None:
        refuse_without_roles(loaded)
        tokenizer = loaded.tokenizer
        assert tokenizer.roles is not None
        options = replace(options or SamplingOptions(), num_samples=1)
        if options.stop_tokens is None:
            options = replace(options, stop_tokens=(*tokenizer.ends, *tokenizer.roles))
        options.check_by(solution)
        self.solution, self.loaded, self.options = solution, loaded, options
        self.decoder = loaded.new_decoder()
        self.turns: list[ChatTurn] = []
        self.left_out = self._replies = 0

    def reply(self, text: str) -> "Reply":
        """Take the user's turn, and give the assistant's, which is written while it is iterated.

        Raises UserError, with the conversation as it was, for an empty message, one that the
        tokenizer cannot encode, or one that does not fit the context.
        """
        if not text.strip():
            raise UserError("the message is empty; give at least one character")
        ids = turn_ids(self.loaded.tokenizer, "user", text)
        n_ctx = self.loaded.model.config.n_ctx
        if len(ids) + 1 > n_ctx:
            raise UserError(
                f"the message has {len(ids) - 2:,} tokens, and with its roles it does not fit the "
                f"{n_ctx:,} that {self.loaded.name} can read; give a shorter one"
            )
        self.turns.append(ChatTurn("user", text, ids))
        return self._answered()

    def retry(self) -> "Reply":
        """Write the last answer again. Raises UserError where there is none."""
        if not self.turns:
            raise UserError("there is no answer yet; send a message first")
        self.turns.pop()
        return self._answered()

    def undo(self) -> str:
        """Take the last message and its answer back, and return the message.

        Raises UserError where there is none.
        """
        if not self.turns:
            raise UserError("there is nothing to undo; send a message first")
        self.turns.pop()
        return self.turns.pop().text

    def edit(self, text: str) -> "Reply":
        """Answer another message in the place of the last. Raises UserError as `reply` does."""
        before = list(self.turns)
        self.undo()
        try:
            return self.reply(text)
        except UserError:
            self.turns = before
            raise

    def restart(self) -> None:
        """Forget all turns."""
        self.turns = []

    def messages(self) -> list[dict[str, str]]:
        """The turns as `role` and `content`, as `prepare --chat` and others read them."""
        return [{"role": turn.role, "content": turn.text} for turn in self.turns]

    def save(self, path: str | Path) -> None:
        """Write the messages as one JSON line. Raises UserError where that is not allowed."""
        line = json.dumps({"messages": self.messages()}, ensure_ascii=False)
        write_atomically(Path(path), line + "\n", errors="surrogatepass")

    def prompt(self) -> list[int]:
        """The prompt of the last turn: the latest whole turns that fit, and the role."""
        role = role_id(self.loaded.tokenizer, "assistant")
        return [id for turn in self.turns[self.left_out : -1] for id in turn.ids] + [role]

    def leave_out(self, length: int) -> bool:
        """Leave out oldest pairs of turns until the prompt has at most `length` tokens.

        Whether that could be done; the message before the last turn stays.
        """
        while len(self.prompt()) > length:
            if self.left_out + 2 >= len(self.turns):
                return False
            self.left_out += 2
        return True

    def _answered(self) -> "Reply":
        self.turns.append(ChatTurn("assistant", "", []))
        n_ctx = self.loaded.model.config.n_ctx
        self.left_out = 0
        room = min(self.options.max_new_tokens, max(1, n_ctx // ROOM_FOR_A_REPLY))
        self.leave_out(n_ctx + 1 - room)
        self._replies += 1
        return Reply(self, stream_seed(self.options.seed, self._replies))


class Reply:
    """The assistant's turn while it is written; iterating draws its tokens.

    A reply that is not iterated to its end keeps what was written, as `interrupted`.
    """

    def __init__(self, conversation: Chat, seed: int) -> None:
        self._conversation, self._turn = conversation, conversation.turns[-1]
        options = replace(conversation.options, seed=seed)
        self._stream = Stream(
            conversation.solution,
            conversation.loaded,
            [conversation.prompt()],
            options,
            decoder=conversation.decoder,
        )
        self._record("interrupted" if options.max_new_tokens else "length")

    @property
    def text(self) -> str:
        """The part of the text that is certain so far."""
        return self._row.text

    @property
    def steps(self) -> list[Step]:
        """A step for every token that was drawn, the one that ended it included."""
        return self._row.steps

    @property
    def finish(self) -> Finish | None:
        """How it ended: as in `Continuation`, `length` also where the context was full."""
        return self._turn.finish

    def __iter__(self) -> Iterator[Step]:
        conversation, n_ctx = self._conversation, self._conversation.loaded.model.config.n_ctx
        for step in self._stream:
            self._record(step.finish or "interrupted")
            yield step
            if self._row.finish == "interrupted" or not self._is_latest:
                return
            if step.finish is None and conversation.decoder.lengths[0] == n_ctx:
                drawn = [each.id for each in self.steps[:-1]]
                if not conversation.leave_out(n_ctx - len(drawn) - 1):
                    self._end("length")
                    return
                conversation.decoder.prefill([conversation.prompt() + drawn])

    @property
    def _is_latest(self) -> bool:
        """Whether the conversation, with its cache, is still where this reply stands."""
        turns = self._conversation.turns
        return bool(turns) and turns[-1] is self._turn

    def stop(self) -> None:
        """End it here; what was held back becomes part of the text."""
        self._end("interrupted")

    @property
    def _row(self) -> Continuation:
        return self._stream.rows[0]

    def _end(self, finish: Finish) -> None:
        if self._row.finish is None:
            self._row.interrupt()
            self._record(finish)

    def _record(self, finish: Finish) -> None:
        """Bring the conversation's turn up to what was written."""
        tokenizer, stops = self._conversation.loaded.tokenizer, self._conversation.options
        written = [step.id for step in self.steps if step.id not in (stops.stop_tokens or ())]
        self._turn.ids = [role_id(tokenizer, "assistant"), *written, end_id(tokenizer)]
        self._turn.text, self._turn.steps = self.text, self.steps
        self._turn.finish = finish


def refuse_without_roles(loaded: LoadedModel) -> None:
    """Raises UserError, with the command that teaches them, for a model without roles."""
    if loaded.tokenizer.roles is not None:
        return
    stories = loaded.tokenizer.name == "stories"
    data, preset = ("dialogues", "chat-stories") if stories else ("oasst1", "chat-oasst")
    folder = loaded.name.partition(", step ")[0]
    raise UserError(
        f"{loaded.name} was not trained on conversations; fine-tune it with "
        f"`gpt2-small prepare {data} --chat --out data/{data}` and `gpt2-small train --preset "
        f"{preset} --data data/{data} --init-from {folder} --out runs/chat`"
    )
