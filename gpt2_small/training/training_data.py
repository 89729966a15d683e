"""What a run trains on: the stories, or a text of one's own."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from gpt2_small import stories
from gpt2_small.data.batches import batch_at, bigram_loss, check_length, evaluation_batches
from gpt2_small.data.corpora import Corpus, load_corpus
from gpt2_small.data.shards import Shards, holds_shards, open_shards
from gpt2_small.tokenizers.protocol import Tokenizer

HELD_OUT_STORY_WINDOWS = 256
BIGRAM_STORY_WINDOWS = 4096
BIGRAM_TOKENS = 2**22
BIGRAM_WINDOWS = 256
FINGERPRINT_STEPS = 16


@dataclass(frozen=True)
class StoriesData:
    """Windows that each begin at the beginning of a story.

    seed: of the training text.
    """

    n_ctx: int
    seed: int = 0
    name: str = "stories"

    @property
    def tokenizer(self) -> Tokenizer:
        """Words to ids and back."""
        return stories.StoriesTokenizer()

    @property
    def start_token(self) -> int:
        """What every story begins with."""
        return stories.BEGIN_ID

    def batch(self, *, seed: int, step: int, batch_size: int, rank: int, world_size: int) -> Tensor:
        """One process's share [batch seq+1] of the windows of a step."""
        windows = stories.stories_windows(self.seed, step, batch_size, self.n_ctx)
        return windows.tensor_split(world_size)[rank]

    def held_out(self, *, batch_size: int, rank: int, world_size: int) -> Iterator[Tensor]:
        """One process's share of windows of stories that the training text does not know."""
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
class TextData:
    """Windows of a text: random ones to train on, the held-out part once through.

    Raises UserError when the text is shorter than a window.
    """

    corpus: Corpus | Shards
    n_ctx: int

    def __post_init__(self) -> None:
        check_length(len(self.corpus.train), self.n_ctx)

    @property
    def name(self) -> str:
        """What the text is called."""
        return self.corpus.name

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back."""
        return self.corpus.tokenizer

    @property
    def start_token(self) -> int:
        """What a sample begins after: the end of a text, else the text's own first token."""
        end = self.tokenizer.end_of_text
        return int(self.corpus.train[:1][0]) if end is None else end

    def batch(self, *, seed: int, step: int, batch_size: int, rank: int, world_size: int) -> Tensor:
        """One process's share [batch seq+1] of the windows of a step."""
        return batch_at(
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
            self.corpus.validation,
            n_ctx=self.n_ctx,
            batch_size=batch_size,
            rank=rank,
            world_size=world_size,
        )

    def bigram_loss(self) -> float:
        """The held-out loss of the best bigram model of the training text, in nats per token."""
        held_out = self.held_out(batch_size=1, rank=0, world_size=1)
        return bigram_loss(self.corpus.train[:], held_out, self.tokenizer.vocab_size)


class ShardsData(TextData):
    """Windows of tokens in shards: random ones to train on, the held-out part once through.

    A window may reach over the end of a document, and from one shard into the next: what a step
    trains on does not depend on how the text was cut into shards.

    folder: what `open_shards` opens; `tokenizer` and `verify` are for it.
    held_out_tokens: how much of the held-out part is gone through; all of it when None.

    Raises UserError for shards that cannot be used, or that are shorter than a window.
    """

    def __init__(
        self,
        folder: str | Path,
        n_ctx: int,
        *,
        tokenizer: str | Tokenizer | None = None,
        verify: bool = False,
        held_out_tokens: int | None = None,
    ) -> None:
        shards = open_shards(folder, tokenizer=tokenizer, verify=verify)
        check_length(len(shards.train), n_ctx, f"the training part of {folder}")
        if held_out_tokens is not None:
            shards = replace(shards, validation=shards.validation.beginning(held_out_tokens))
        check_length(len(shards.validation), 1, f"the validation part of {folder}")
        super().__init__(shards, n_ctx)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is worth saying to a user about how the shards were read."""
        return self.corpus.remarks if isinstance(self.corpus, Shards) else ()

    def bigram_loss(self) -> float:
        """As of a text, but counted and measured on the first BIGRAM_TOKENS of each part alone."""
        train, validation = (
            part[:BIGRAM_TOKENS] for part in (self.corpus.train, self.corpus.validation)
        )
        held_out = evaluation_batches(validation, n_ctx=self.n_ctx, batch_size=BIGRAM_WINDOWS)
        return bigram_loss(train, held_out, self.tokenizer.vocab_size)


def open_data(
    source: str,
    tokenizer: str | Tokenizer | None,
    n_ctx: int,
    *,
    held_out_tokens: int | None = None,
) -> StoriesData | TextData:
    """What `--data` names, cut into windows: `stories`, shards, a text file, or `hub:NAME`.

    tokenizer: for a text, one that exists or how to make it; left out, what suits the source.
    held_out_tokens: how much of a held-out text is used; left out, all of it.

    Raises UserError for a source that cannot be used.
    """
    if source == "stories":
        return StoriesData(n_ctx)
    if holds_shards(source):
        return ShardsData(source, n_ctx, tokenizer=tokenizer, held_out_tokens=held_out_tokens)
    corpus = load_corpus(source, tokenizer=tokenizer, n_ctx=n_ctx)
    if held_out_tokens is not None:
        corpus = replace(corpus, validation=corpus.validation[: held_out_tokens + 1])
    return TextData(corpus, n_ctx)


def fingerprint(data: StoriesData | TextData) -> str:
    """A hash of what the first steps of seed 0 train on, and of the tokenizer.

    With it a run that goes on sees whether its data is still the same.
    """
    digest = hashlib.sha256(json.dumps(data.tokenizer.to_dict(), sort_keys=True).encode())
    for step in range(FINGERPRINT_STEPS):
        windows = data.batch(seed=0, step=step, batch_size=256, rank=0, world_size=1)
        digest.update(windows.numpy().tobytes())
    return digest.hexdigest()
