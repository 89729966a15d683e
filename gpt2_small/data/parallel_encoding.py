"""Many documents to tokens, by several processes, in the order in which they came."""

import hashlib
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

from gpt2_small.data.sources import Piece
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.protocol import (
    DOCUMENT_GAP,
    Tokenizer,
    encode_array,
    id_dtype,
    text_to_bytes,
)
from gpt2_small.tokenizers.registry import from_dict

SPLITS = ("train", "val")
WAITING = 2  # batches for each process: one in work, one to go on with at once

Batch = list[Piece]


class Encoded(NamedTuple):
    """What became of a batch.

    ids: by split, `[tokens]`.
    documents: by split, how many begin here.
    size: bytes of the texts in UTF-8.
    """

    ids: dict[str, np.ndarray]
    documents: dict[str, int]
    size: int


def encode_batch(tokenizer: Tokenizer, batch: Batch, validation_share: float) -> Encoded:
    """The tokens of the pieces, the train split's and the validation split's apart.

    A document ends with the tokenizer's end of text, or where it has none with an empty line. A
    tokenizer that puts its own mark before each text, as the stories' does, needs none after it.
    """
    ids: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    documents = dict.fromkeys(SPLITS, 0)
    end, size = _end(tokenizer), 0
    for piece in batch:
        data = text_to_bytes(piece.text)
        split = piece.split or split_of(data, validation_share)
        tokens = encode_array(tokenizer, piece.text)
        ids[split].append(tokens)
        if piece.ends and not (len(tokens) and tokens[0] == tokenizer.end_of_text):
            ids[split].append(end)
        documents[split] += piece.begins
        size += len(data)
    nothing = np.empty(0, dtype=id_dtype(tokenizer.vocab_size))
    return Encoded({s: np.concatenate([nothing, *ids[s]]) for s in SPLITS}, documents, size)


def split_of(document: bytes, validation_share: float) -> str:
    """The split of a document, by its content alone: all copies of one go the same way."""
    digest = hashlib.blake2b(document, digest_size=8).digest()
    return "val" if int.from_bytes(digest, "big") < validation_share * 2**64 else "train"


def encode_in_order(
    batches: Iterable[Batch], tokenizer: Tokenizer, validation_share: float, processes: int
) -> Iterator[Encoded]:
    """What became of each batch, in order; with one process it is done here.

    No more than two batches for each process are held.

    Raises:
        UserError: a text that cannot be encoded, or a process that was ended from outside.
    """
    if processes == 1:
        for batch in batches:
            yield encode_batch(tokenizer, batch, validation_share)
        return
    waiting: deque[Future[Encoded]] = deque()
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(tokenizer.to_dict(), validation_share),
    )
    try:
        for batch in batches:
            with _interrupts_held_back():
                waiting.append(pool.submit(_work, batch))
            if len(waiting) == WAITING * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise UserError(
            "one of the processes that tokenise was ended from outside, perhaps for want of "
            "memory; give the same command again to go on, with fewer --processes (a script of "
            "one's own needs `if __name__ == '__main__'` for more than one)."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _end(tokenizer: Tokenizer) -> np.ndarray:
    if tokenizer.end_of_text is None:
        return encode_array(tokenizer, DOCUMENT_GAP)
    return np.array([tokenizer.end_of_text], dtype=id_dtype(tokenizer.vocab_size))


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes started meanwhile never see Ctrl-C, which is for the one that started them."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker: dict[str, Any] = {}


def _start_worker(tokenizer: dict[str, Any], validation_share: float) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker.update(tokenizer=from_dict(tokenizer), validation_share=validation_share)


def _end_with_parent() -> None:
    """A parent that was killed sends no word; without this its processes would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _work(batch: Batch) -> Encoded:
    return encode_batch(_worker["tokenizer"], batch, _worker["validation_share"])
