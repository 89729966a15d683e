"""Chat with a model: turns, streamed replies, undo, retry, and a cache shared by all turns."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Literal

from gpt2_small.data.conversations.rendering import end_id, role_id, turn_ids
from gpt2_small.errors import UserError, shell_word
from gpt2_small.files.atomic import write_atomically
from gpt2_small.generation.continuation import Continuation, DrawnToken, Finish, stream_seed
from gpt2_small.generation.generation_loop import Stream
from gpt2_small.generation.loaded_model import LoadedModel
from gpt2_small.generation.sampling.sampling_options import SamplingOptions

# At least an eighth of the context is reserved for a reply, if earlier turns can be left out.
REPLY_FRACTION = 8


@dataclass
class ChatTurn:
    """One turn of a chat.

    ids: the role, the text and the end of the turn.
    steps, finish: of the assistant's turns, as in `Continuation`.
    """

    role: Literal["user", "assistant"]
    text: str
    ids: list[int]
    steps: list[DrawnToken] = field(default_factory=list)
    finish: Finish | None = None


class Chat:
    """A chat between a user and a model, which reads the latest whole turns that fit n_ctx.

    A key-value cache keeps earlier turns, so that each reply computes only the new tokens. Chats
    with the same model share its weights and nothing else.

    options: of every reply; each reply has its own generator, seeded by the seed and the reply's
        number.
    left_out: the number of oldest turns that the latest reply did not read.

    Raises UserError for a tokenizer without roles, and for invalid options.
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
        """Add a user's turn and return the reply, which is drawn as it is iterated.

        Raises UserError, and changes nothing, for an empty message, one that the tokenizer cannot
        encode, or one that does not fit the context.
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
        """Draw the last reply again. Raises UserError without one."""
        if not self.turns:
            raise UserError("there is no answer yet; send a message first")
        self.turns.pop()
        return self._answered()

    def undo(self) -> str:
        """Remove the last message and its reply, and return the message.

        Raises UserError without one.
        """
        if not self.turns:
            raise UserError("there is nothing to undo; send a message first")
        self.turns.pop()
        return self.turns.pop().text

    def edit(self, text: str) -> "Reply":
        """Replace the last message, and return the new reply. Raises UserError as `reply` does."""
        before = list(self.turns)
        self.undo()
        try:
            return self.reply(text)
        except UserError:
            self.turns = before
            raise

    def restart(self) -> None:
        """Remove all turns."""
        self.turns = []

    def messages(self) -> list[dict[str, str]]:
        """The turns as dicts of `role` and `content`, as `prepare --chat` reads them."""
        return [{"role": turn.role, "content": turn.text} for turn in self.turns]

    def save(self, path: str | Path) -> None:
        """Write the messages as one JSON line. Raises UserError if the file cannot be written."""
        line = json.dumps({"messages": self.messages()}, ensure_ascii=False)
        write_atomically(Path(path), line + "\n", errors="surrogatepass")

    def prompt(self) -> list[int]:
        """The prompt of the last turn: the latest whole turns that fit, and the role token."""
        role = role_id(self.loaded.tokenizer, "assistant")
        return [id for turn in self.turns[self.left_out : -1] for id in turn.ids] + [role]

    def leave_out(self, length: int) -> bool:
        """Leave out the oldest pairs of turns until the prompt has at most `length` tokens.

        Returns False when the last message alone is longer.
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
        reserved = min(self.options.max_new_tokens, max(1, n_ctx // REPLY_FRACTION))
        self.leave_out(n_ctx + 1 - reserved)
        self._replies += 1
        return Reply(self, stream_seed(self.options.seed, self._replies))


class Reply:
    """An assistant's turn; iterating draws its tokens.

    A reply that is not iterated to its end keeps its text and gets the finish `interrupted`.
    """

    def __init__(self, chat: Chat, seed: int) -> None:
        self._chat, self._turn = chat, chat.turns[-1]
        options = replace(chat.options, seed=seed)
        self._stream = Stream(
            chat.solution, chat.loaded, [chat.prompt()], options, decoder=chat.decoder
        )
        self._record("interrupted" if options.max_new_tokens else "length")

    @property
    def text(self) -> str:
        """The text so far, without a possible beginning of a stop string."""
        return self._row.text

    @property
    def steps(self) -> list[DrawnToken]:
        """A step for every token drawn, the stop token included."""
        return self._row.steps

    @property
    def finish(self) -> Finish | None:
        """The finish reason as in `Continuation`; `length` also if the context was full."""
        return self._turn.finish

    def __iter__(self) -> Iterator[DrawnToken]:
        chat, n_ctx = self._chat, self._chat.loaded.model.config.n_ctx
        for step in self._stream:
            self._record(step.finish or "interrupted")
            yield step
            if self._row.finish == "interrupted" or not self._is_latest:
                return
            if step.finish is None and chat.decoder.lengths[0] == n_ctx:
                drawn = [each.id for each in self.steps[:-1]]
                if not chat.leave_out(n_ctx - len(drawn) - 1):
                    self._end("length")
                    return
                chat.decoder.prefill([chat.prompt() + drawn])

    @property
    def _is_latest(self) -> bool:
        """Whether this reply is still the chat's last turn, which owns the cache."""
        turns = self._chat.turns
        return bool(turns) and turns[-1] is self._turn

    def stop(self) -> None:
        """End the reply here; text held back for stop strings is added."""
        self._end("interrupted")

    @property
    def _row(self) -> Continuation:
        return self._stream.rows[0]

    def _end(self, finish: Finish) -> None:
        if self._row.finish is None:
            self._row.interrupt()
            self._record(finish)

    def _record(self, finish: Finish) -> None:
        """Update the chat's turn."""
        tokenizer, options = self._chat.loaded.tokenizer, self._chat.options
        drawn = [step.id for step in self.steps if step.id not in (options.stop_tokens or ())]
        self._turn.ids = [role_id(tokenizer, "assistant"), *drawn, end_id(tokenizer)]
        self._turn.text, self._turn.steps = self.text, self.steps
        self._turn.finish = finish


def refuse_without_roles(loaded: LoadedModel) -> None:
    """Raises UserError, with the commands to fine-tune it, for a model without roles."""
    if loaded.tokenizer.roles is not None:
        return
    stories = loaded.tokenizer.name == "stories"
    data, preset = ("dialogues", "chat-stories") if stories else ("oasst1", "chat-oasst")
    model = shell_word(loaded.name.partition(", step ")[0])
    is_default = stories or loaded.tokenizer.name == "gpt2"
    tokenizer = "" if is_default else f" --tokenizer {model}"
    raise UserError(
        f"{loaded.name} was not trained on conversations; fine-tune it with "
        f"`gpt2-small prepare {data} --chat --out data/{data}{tokenizer}` and `gpt2-small train "
        f"--preset {preset} --data data/{data} --init-from {model} --out runs/chat`"
    )
