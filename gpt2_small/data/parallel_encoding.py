"""Encode documents with several processes, in order."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any, NamedTuple

import numpy as np

from gpt2_small.data.corpora.corpus import SPLITS, HeldOut, Piece, divided
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.protocol import DOCUMENT_GAP, Tokenizer, encode_array, id_dtype
from gpt2_small.tokenizers.registry import from_dict
from gpt2_small.tokenizers.surrogates import text_to_bytes

BATCHES_PER_PROCESS = 2  # one being encoded, and the next

Batch = list[Piece]


class EncodedBatch(NamedTuple):
    """The tokens of a batch.

    ids: by split, `[tokens]`.
    documents: by split, the number of documents that begin in it.
    size: bytes of the texts in UTF-8.
    """

    ids: dict[str, np.ndarray]
    documents: dict[str, int]
    size: int


def encode_batch(tokenizer: Tokenizer, batch: Batch, held_out: HeldOut) -> EncodedBatch:
    """Encode the pieces of a batch, by split.

    A document ends with the tokenizer's end of text, or with an empty line if it has none. A
    tokenizer that itself adds the end of text before each text, like the stories', or after it,
    gets no second one. The ids before a text are added to the first piece of a document alone.
    """
    ids: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    documents, size = dict.fromkeys(SPLITS, 0), 0
    marked = any(tokenizer.end_of_text in marks for marks in tokenizer.around)
    for piece in batch:
        for split, text in divided(piece, held_out):
            tokens = encode_array(tokenizer, text, begins=piece.begins, ends=piece.ends)
            ids[split].append(tokens)
            if piece.ends and not marked:
                ids[split].append(_end(tokenizer))
            documents[split] += piece.begins
            size += len(text_to_bytes(text))
    nothing = np.empty(0, dtype=id_dtype(tokenizer.vocab_size))
    return EncodedBatch({s: np.concatenate([nothing, *ids[s]]) for s in SPLITS}, documents, size)


def encode_in_order(
    batches: Iterable[Batch], tokenizer: Tokenizer, held_out: HeldOut, processes: int
) -> Iterator[EncodedBatch]:
    """Encode batches in order; with `processes` 1, in this process.

    At most two batches for each process are in memory.

    Raises:
        UserError: a text that cannot be encoded, or a process that was killed.
    """
    if processes == 1:
        for batch in batches:
            yield encode_batch(tokenizer, batch, held_out)
        return
    pending: deque[Future[EncodedBatch]] = deque()
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(tokenizer.to_dict(), held_out),
    )
    try:
        for batch in batches:
            with _interrupts_blocked():
                pending.append(pool.submit(_work, batch))
            if len(pending) == BATCHES_PER_PROCESS * processes:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise UserError(
            "a tokeniser process was killed, perhaps because memory ran out; give the same command "
            "again to resume, with fewer --processes (your own script needs "
            "`if __name__ == '__main__'` for more than one)"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _end(tokenizer: Tokenizer) -> np.ndarray:
    if tokenizer.end_of_text is None:
        return encode_array(tokenizer, DOCUMENT_GAP, begins=False, ends=False)
    return np.array([tokenizer.end_of_text], dtype=id_dtype(tokenizer.vocab_size))


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this context, so that processes started in it inherit the mask."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker: dict[str, Any] = {}


def _start_worker(tokenizer: dict[str, Any], held_out: HeldOut) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker.update(tokenizer=from_dict(tokenizer), held_out=held_out)


def _end_with_parent() -> None:
    """Exit when the parent process has ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _work(batch: Batch) -> EncodedBatch:
    return encode_batch(_worker["tokenizer"], batch, _worker["held_out"])
