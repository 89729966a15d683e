"""Score texts: nats per token, perplexity and bits per byte, in windows of a given stride."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gpt2_small.errors import UserError
from gpt2_small.evaluation import intervals
from gpt2_small.evaluation.continuation_scores import ContinuationScorer
from gpt2_small.model_protocol import Model
from gpt2_small.tokenizers.protocol import Tokenizer

# Windows sorted by length together, to reduce padding.
WINDOWS_SORTED_TOGETHER = 256


class TokenArray(Protocol):
    """Token ids [tokens] in memory or in files."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: slice) -> np.ndarray: ...


@dataclass(frozen=True)
class Document:
    """The token ids of a document; the first is not scored.

    group: the unit of the confidence interval; None for one group per window.
    is_target: for each token, whether it is scored; None for all.
    """

    tokens: TokenArray
    group: int | None = None
    is_target: np.ndarray | None = None


@dataclass(frozen=True)
class TextScore:
    """The score of a model on texts.

    tokens, bytes: the scored amount; special tokens have no bytes.
    nats: summed over the tokens.
    interval: 95 %, of nats per token over `groups` documents, or over the windows of a single
        document; None for a single window.
    windows, n_ctx, stride: the division into windows; each token, except at the beginning of a
        document, was scored with at least n_ctx - stride tokens of context.
    """

    tokens: int
    bytes: int
    nats: float
    interval: tuple[float, float] | None
    groups: int
    windows: int
    n_ctx: int
    stride: int

    @property
    def nats_per_token(self) -> float:
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        return math.exp(self.nats_per_token) if self.nats_per_token < 700 else math.inf

    @property
    def bits_per_byte(self) -> float | None:
        """Bits per byte; None if no scored token has bytes."""
        return self.nats / math.log(2) / self.bytes if self.bytes else None


@dataclass(frozen=True)
class _Window:
    """Ids [inputs+1], the last of which are new.

    is_target: for each new id, whether it is scored.
    """

    ids: np.ndarray
    is_target: np.ndarray
    group: int

    @property
    def scored(self) -> int:
        """The number of targets."""
        return int(self.is_target.sum())

    @property
    def context(self) -> int:
        """The number of ids before the new ones."""
        return len(self.ids) - len(self.is_target)


def context_prefix(tokenizer: Tokenizer) -> list[int]:
    """The end of text, inserted before a document so that its first token is scored too.

    Empty for a tokenizer without one; a document's first token is not scored then.
    """
    return [] if tokenizer.end_of_text is None else [tokenizer.end_of_text]


def document(tokenizer: Tokenizer, text: str, group: int) -> Document:
    """Encode a text, after the end of text unless the tokenizer itself adds a first token."""
    ids, prefix = tokenizer.encode(text), context_prefix(tokenizer)
    begins_by_itself = ids != tokenizer.encode_ordinary(text)
    return Document(np.array(ids if begins_by_itself else prefix + ids), group)


def score_documents(
    model: Model,
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    *,
    stride: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> TextScore:
    """Score all targets of the documents except each one's first token.

    model: a Transformer of the bound solution, run in eval mode.
    stride: the number of new tokens in each window; left out, n_ctx, without overlap.
    progress: called with the number of tokens scored so far.

    Raises UserError for a stride outside 1 to n_ctx, for ids beyond the vocabulary, and without
    tokens to score.
    """
    n_ctx = model.config.n_ctx
    stride = n_ctx if stride is None else stride
    if not 1 <= stride <= n_ctx:
        raise UserError(f"stride is {stride}; give a whole number from 1 to n_ctx = {n_ctx}")
    scorer, totals = _WindowScorer(model), _Totals()
    for batch in _batches(_windows(documents, n_ctx, stride), scorer.tokens_per_batch):
        for window, loss in zip(batch, scorer.losses(batch), strict=True):
            totals.add(window, loss, _byte_length(tokenizer, window))
        if progress is not None:
            progress(totals.tokens)
    if not totals.tokens:
        raise UserError("there is no token to score; give a longer text")
    return totals.score(n_ctx, stride)


class _Totals:
    """Sums the losses and sizes of windows by group."""

    def __init__(self) -> None:
        self.tokens = self._bytes = self._windows = 0
        self._nats: dict[int, float] = defaultdict(float)
        self._sizes: dict[int, int] = defaultdict(int)
        # The windows of the first group, while it is the only one.
        self._only: list[tuple[float, int]] = []

    def add(self, window: _Window, nats: float, byte_length: int) -> None:
        """Add a window's loss, summed over its targets, and the bytes of their text."""
        self._nats[window.group] += nats
        self._sizes[window.group] += window.scored
        if len(self._sizes) == 1:
            self._only.append((nats, window.scored))
        self.tokens += window.scored
        self._bytes += byte_length
        self._windows += 1

    def score(self, n_ctx: int, stride: int) -> TextScore:
        """The score so far, its interval over groups, or over the windows of a single group."""
        units = [(self._nats[group], self._sizes[group]) for group in sorted(self._sizes)]
        if len(units) == 1:
            units = self._only
        estimate = intervals.ratio([loss for loss, _ in units], [size for _, size in units])
        return TextScore(
            tokens=self.tokens,
            bytes=self._bytes,
            nats=math.fsum(self._nats.values()),
            interval=estimate.interval,
            groups=len(units),
            windows=self._windows,
            n_ctx=n_ctx,
            stride=stride,
        )


def _windows(documents: Iterable[Document], n_ctx: int, stride: int) -> Iterator[_Window]:
    """Divide documents into windows, with every target but a document's first token once."""
    own_group = 0
    for each in documents:
        length = len(each.tokens)
        stop = 1
        while stop < length:
            first = stop
            stop = min(length, stop + (n_ctx if stop == 1 else stride))
            begin = max(0, first - 1 - (n_ctx - stride))
            ids = np.asarray(each.tokens[begin:stop]).astype(np.int64)
            group = own_group if each.group is None else each.group
            own_group += 1
            is_target = np.ones(stop - first, dtype=bool)
            if each.is_target is not None:
                is_target = each.is_target[first:stop].astype(bool)
            if is_target.any():
                yield _Window(ids, is_target, group)


def _batches(windows: Iterable[_Window], tokens_per_batch: int) -> Iterator[list[_Window]]:
    """Batch windows of similar length."""
    unsorted: list[_Window] = []
    for window in windows:
        unsorted.append(window)
        if len(unsorted) == WINDOWS_SORTED_TOGETHER:
            yield from _by_length(unsorted, tokens_per_batch)
            unsorted = []
    yield from _by_length(unsorted, tokens_per_batch)


def _by_length(windows: Sequence[_Window], tokens_per_batch: int) -> Iterator[list[_Window]]:
    batch: list[_Window] = []
    for window in sorted(windows, key=lambda window: -len(window.ids)):
        if batch and len(batch[0].ids) * (len(batch) + 1) > tokens_per_batch:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


class _WindowScorer:
    """Sums the losses of windows by a model, or by its fast twin."""

    def __init__(self, model: Model) -> None:
        self._continuations = ContinuationScorer(model, is_packed=False)
        self.tokens_per_batch = self._continuations.tokens_per_batch
        self._d_vocab = model.config.d_vocab

    def losses(self, windows: Sequence[_Window]) -> list[float]:
        """The loss of each window, in nats, summed over its targets."""
        for window in windows:
            if window.ids.max(initial=0) >= self._d_vocab:
                raise UserError(
                    f"the text contains the id {window.ids.max()}, beyond the model's "
                    f"{self._d_vocab} tokens; prepare it with the model's own tokenizer"
                )
        requests = [
            (window.ids[: window.context].tolist(), window.ids[window.context :].tolist())
            for window in windows
        ]
        scores = self._continuations.score(requests)
        return [
            -score.total_of(window.is_target) for score, window in zip(scores, windows, strict=True)
        ]


def _byte_length(tokenizer: Tokenizer, window: _Window) -> int:
    """The bytes of the targets' text, which may depend on the token before them."""
    special = set(tokenizer.special_tokens.values())

    def ordinary(first: int, stop: int) -> list[int]:
        return [id for id in window.ids[first:stop].tolist() if id not in special]

    total = 0
    for first, stop in _runs(window.is_target):
        first, stop = window.context + first, window.context + stop
        before = ordinary(first - 1, first)
        total += len(tokenizer.decode_bytes(before + ordinary(first, stop)))
        total -= len(tokenizer.decode_bytes(before))
    return total


def _runs(is_target: np.ndarray) -> list[tuple[int, int]]:
    """The beginning and end of each run of consecutive targets."""
    edges = np.flatnonzero(np.diff(is_target, prepend=False, append=False))
    return [(int(first), int(stop)) for first, stop in edges.reshape(-1, 2)]
