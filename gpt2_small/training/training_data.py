"""Draw training and evaluation windows from the stories or from a text."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gpt2_small import stories
from gpt2_small.data.batches import batch_at, bigram_loss, check_length, evaluation_batches
from gpt2_small.data.cached_shards import open_text
from gpt2_small.data.conversations.chat_folder import holds_chats
from gpt2_small.data.corpora.rows import refuse_column
from gpt2_small.data.epoch_order import epoch_batch_at
from gpt2_small.data.prepare import PrepareProgress
from gpt2_small.data.shards import Shards
from gpt2_small.data.shards.token_sequence import TokenSequence
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.training.chat_data import ChatData, open_chat_data

HELD_OUT_STORY_WINDOWS = 256
BIGRAM_STORY_WINDOWS = 4096
BIGRAM_TOKENS = 2**22
BIGRAM_WINDOWS = 256
FINGERPRINT = "tokens-1:"  # the version of the hash, as its prefix
FIRST_STEPS = 16
# Parts with more tokens are hashed by so many evenly spaced blocks.
WHOLE_TOKENS = 2**26
BLOCK_TOKENS = 2**16
BLOCKS = 1024


class TrainingWindows(ABC):
    """Windows of equal length, divided equally between the processes of a step."""

    @abstractmethod
    def batch(self, *, seed: int, step: int, batch_size: int, rank: int, world_size: int) -> Tensor:
        """One process's share [batch seq+1] of the windows of a step."""

    def micro_batches(self, *, number: int, **step: int) -> list[Tensor]:
        """One process's share of a step, in this many micro-batches."""
        return list(self.batch(**step).chunk(number))


@dataclass(frozen=True)
class StoriesData(TrainingWindows):
    """Windows of the stories, each from the beginning of a story.

    seed: of the training text.
    """

    n_ctx: int
    seed: int = 0
    name: str = "stories"

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the stories' words."""
        return stories.StoriesTokenizer()

    @property
    def start_token(self) -> int:
        """The token that begins every story."""
        return stories.BEGIN_ID

    def batch(self, *, seed: int, step: int, batch_size: int, rank: int, world_size: int) -> Tensor:
        """One process's share [batch seq+1] of the windows of a step."""
        windows = stories.stories_windows(self.seed, step, batch_size, self.n_ctx, order_seed=seed)
        return windows.tensor_split(world_size)[rank]

    def held_out(self, *, batch_size: int, rank: int, world_size: int) -> Iterator[Tensor]:
        """One process's share of windows of stories that are not in the training text."""
        windows = stories.stories_windows(
            self.seed, 0, HELD_OUT_STORY_WINDOWS, self.n_ctx, validation=True
        )
        yield from windows[rank::world_size].split(batch_size)

    def bigram_loss(self) -> float:
        """The held-out loss of the best bigram model of the training text, in nats per token."""
        training = stories.stories_windows(self.seed, 0, BIGRAM_STORY_WINDOWS, self.n_ctx)
        held_out = self.held_out(batch_size=HELD_OUT_STORY_WINDOWS, rank=0, world_size=1)
        return bigram_loss(training.numpy(), held_out, self.tokenizer.vocab_size)


@dataclass(frozen=True)
class TextData(TrainingWindows):
    """Windows of a text: random or in epochs for training, all in order for evaluation.

    Windows may cross the ends of documents and shards, so that they do not depend on the division
    into shards.

    held_out_tokens: the number of held-out tokens to evaluate on; None for all.
    order: `random` draws windows with replacement, `epochs` takes each once per epoch.

    Raises UserError when the text is shorter than a window.
    """

    corpus: Shards
    n_ctx: int
    held_out_tokens: int | None = None
    order: str = "random"

    def __post_init__(self) -> None:
        name = self.corpus.name
        check_length(len(self.corpus.train), self.n_ctx, f"the training part of {name}")
        check_length(len(self._held_out), 1, f"the validation part of {name}")

    @property
    def _held_out(self) -> TokenSequence:
        if self.held_out_tokens is None:
            return self.corpus.validation
        return self.corpus.validation.beginning(self.held_out_tokens)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes for the user about how the text was read."""
        return self.corpus.remarks

    @property
    def name(self) -> str:
        """The name of the text."""
        return self.corpus.name

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the text."""
        return self.corpus.tokenizer

    @property
    def start_token(self) -> int:
        """The prompt of a sample: the end-of-text token, else the text's first token."""
        end = self.tokenizer.end_of_text
        return int(self.corpus.train[:1][0]) if end is None else end

    def batch(self, *, seed: int, step: int, batch_size: int, rank: int, world_size: int) -> Tensor:
        """One process's share [batch seq+1] of the windows of a step."""
        draw = epoch_batch_at if self.order == "epochs" else batch_at
        return draw(
            self.corpus.train,
            seed=seed,
            step=step,
            batch_size=batch_size,
            n_ctx=self.n_ctx,
            rank=rank,
            world_size=world_size,
        )

    def held_out(self, *, batch_size: int, rank: int, world_size: int) -> Iterator[Tensor]:
        """One process's share of the held-out text."""
        yield from evaluation_batches(
            self._held_out,
            n_ctx=self.n_ctx,
            batch_size=batch_size,
            rank=rank,
            world_size=world_size,
        )

    def bigram_loss(self) -> float:
        """The held-out loss of the best bigram model of the training text, in nats per token.

        It is fitted and evaluated on the first BIGRAM_TOKENS of each part.
        """
        train, validation = (part[:BIGRAM_TOKENS] for part in (self.corpus.train, self._held_out))
        held_out = evaluation_batches(validation, n_ctx=self.n_ctx, batch_size=BIGRAM_WINDOWS)
        return bigram_loss(train, held_out, self.tokenizer.vocab_size)


Data = StoriesData | TextData | ChatData


def open_data(
    source: str,
    tokenizer: str | Tokenizer | None,
    n_ctx: int,
    *,
    column: str | None = None,
    held_out_tokens: int | None = None,
    order: str = "random",
    progress: Callable[[PrepareProgress], object] | None = None,
) -> Data:
    """Open the data of `--data`: `stories`, a folder of conversations, or a text (`open_text`).

    tokenizer: for a text, a tokenizer or the name of one; left out, chosen by the text.
    column: of rows, the column of text; left out, detected.
    held_out_tokens: the number of held-out tokens to evaluate on; None for all.
    order: of the training windows, as for TextData.
    progress: as for open_text.

    Raises UserError for an unusable text.
    """
    if source == "stories":
        if order != "random":
            raise UserError(f"order is {order!r}, but the stories are drawn at random")
        if column is not None:
            raise UserError("the stories have no columns; leave --column out")
        return StoriesData(n_ctx)
    if holds_chats(source):
        refuse_column(source, column)
        return open_chat_data(source, n_ctx, held_out_tokens)
    shards = open_text(source, tokenizer=tokenizer, column=column, progress=progress)
    return TextData(shards, n_ctx, held_out_tokens, order)


def fingerprint(data: Data) -> str:
    """A hash of the training and evaluation data and of the tokenizer.

    A resumed run compares it. Parts with more than WHOLE_TOKENS are hashed in BLOCKS blocks.
    """
    if isinstance(data, ChatData):
        return data.fingerprint()
    description = json.dumps(data.tokenizer.to_dict(), sort_keys=True)
    digest = hashlib.blake2b(description.encode(), digest_size=32)
    if isinstance(data, StoriesData):
        parts: tuple[TokenSequence | np.ndarray, ...] = (
            stories.training_tokens(data.seed).numpy(),
            *(batch.numpy().ravel() for batch in data.held_out(batch_size=1, rank=0, world_size=1)),
        )
    else:
        parts = (data.corpus.train, data.corpus.validation)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        for start in _hashed_blocks(len(part)):
            digest.update(part[start : start + BLOCK_TOKENS].astype("<u4").tobytes())
    return FINGERPRINT + digest.hexdigest()


def is_same_data(recorded: str | None, data: Data) -> bool:
    """Whether a run's recorded fingerprint is that of `data`.

    Earlier versions recorded a hash of the windows of the first steps alone.
    """
    if isinstance(data, ChatData):
        return recorded == data.fingerprint()
    if recorded is not None and not recorded.startswith(FINGERPRINT):
        return recorded == _hash_of_first_steps(data)
    return recorded == fingerprint(data)


def _hash_of_first_steps(data: StoriesData | TextData) -> str:
    digest = hashlib.sha256(json.dumps(data.tokenizer.to_dict(), sort_keys=True).encode())
    for step in range(FIRST_STEPS):
        windows = data.batch(seed=0, step=step, batch_size=256, rank=0, world_size=1)
        digest.update(windows.numpy().tobytes())
    return digest.hexdigest()


def _hashed_blocks(tokens: int) -> Iterable[int]:
    if tokens <= WHOLE_TOKENS:
        return range(0, tokens, BLOCK_TOKENS)
    return map(int, np.linspace(0, tokens - BLOCK_TOKENS, BLOCKS, dtype=np.int64))
