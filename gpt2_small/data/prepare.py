"""Prepare shards from a text: tokenise it with several processes, and resume after interrupts."""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gpt2_small.data.corpora.corpus import SPLIT_NAMES, SPLITS, Corpus, HeldOut, Piece, Place
from gpt2_small.data.corpora.named_corpora import open_corpus
from gpt2_small.data.corpora.rows import SKIPPED_SHARE
from gpt2_small.data.parallel_encoding import Batch, EncodedBatch, encode_in_order
from gpt2_small.data.prepare_options import (
    PrepareOptions,
    check_space,
    settings_of,
    suitable_processes,
)
from gpt2_small.data.shards.index import index_content
from gpt2_small.data.shards.shard_writer import SplitWriter
from gpt2_small.data.train_tokenizer import learn_tokenizer
from gpt2_small.data.unfinished_folder import UnfinishedFolder
from gpt2_small.errors import UserError, counted
from gpt2_small.tokenizers.protocol import Tokenizer, id_dtype
from gpt2_small.tokenizers.registry import FILE_NAME, load_tokenizer, save_tokenizer

BATCH_CHARACTERS = 2**20
BATCH_PIECES = 4096
SAVE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class PrepareProgress:
    """The progress of a preparation.

    stage: `opening`, `vocabulary`, `tokens`, `hashes` or `done`.
    documents, tokens, bytes: processed so far, including before an interruption.
    total_documents, total_bytes: the approximate totals, if they are known.
    remarks: notes for the user about the text read so far.
    """

    stage: str
    documents: int = 0
    tokens: int = 0
    bytes: int = 0
    total_documents: int | None = None
    total_bytes: int | None = None
    remarks: tuple[str, ...] = field(default=(), compare=False)

    @property
    def fraction(self) -> float | None:
        """The completed fraction, if the total is known."""
        if self.total_documents:
            return min(1.0, self.documents / self.total_documents)
        return min(1.0, self.bytes / self.total_bytes) if self.total_bytes else None


def prepare(
    name: str,
    folder: str | Path,
    options: PrepareOptions | None = None,
    *,
    column: str | None = None,
    split: str | None = None,
    max_documents: int | None = None,
    skipped_share: float = SKIPPED_SHARE,
    processes: int | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> Iterator[PrepareProgress]:
    """Prepare shards in `folder`, or resume it; a generator, which starts at the first `next`.

    The shards depend on the text and the options alone.

    Args:
        name, column, split, max_documents, skipped_share: the text, as for `open_corpus`.
        processes: the number of tokenising processes; None chooses it by text size and cores.
        save_seconds: the time between two saved states.

    Raises:
        UserError: an unreadable text, a folder with other content or other settings, or too little
            disk space.
    """
    unfinished = UnfinishedFolder(Path(folder))
    begun_with = unfinished.progress.get("settings", {})
    revision = (
        begun_with.get("revision of the text") if begun_with.get("the text") == name else None
    )
    if processes is not None and processes < 1:
        raise UserError(f"--processes is {processes}; give at least 1")
    _check_outside(name, Path(folder))
    corpus = open_corpus(
        name,
        column=column,
        split=split,
        limit=max_documents,
        revision=revision,
        skipped_share=skipped_share,
    )
    preparation = Preparation(corpus, unfinished, options or PrepareOptions(), save_seconds)
    yield from preparation.run(processes or suitable_processes(corpus))


def _check_outside(name: str, folder: Path) -> None:
    """Raises UserError for an output folder inside the input folder."""
    text = Path(name)
    if os.path.isdir(text) and folder.absolute().resolve().is_relative_to(text.resolve()):
        raise UserError(f"{folder} lies inside {name}, which is read; give a folder elsewhere")


class Preparation:
    """The preparation of a corpus in a folder.

    Raises UserError when the folder was begun with other settings, or the disk is too small.
    """

    def __init__(
        self,
        corpus: Corpus,
        unfinished: UnfinishedFolder,
        options: PrepareOptions,
        save_seconds: float,
    ) -> None:
        self.corpus, self.unfinished, self.save_seconds = corpus, unfinished, save_seconds
        self.settings = settings_of(corpus, options)
        unfinished.check_settings(self.settings)
        self._given = options.tokenizer
        share: float = self.settings["--validation-share"] or 0.0
        self.held_out = HeldOut(share, corpus.always_held_out)
        self.documents = dict.fromkeys(SPLITS, 0)
        self.bytes = 0
        self.writers: dict[str, SplitWriter] = {}
        check_space(
            unfinished.path, corpus, self.settings["--tokenizer"], unfinished.bytes_written()
        )

    def run(self, processes: int) -> Iterator[PrepareProgress]:
        """Write the missing shards, and publish the folder."""
        with self.unfinished.locked():
            self.unfinished.check_settings(self.settings)
            if "index" not in self.unfinished.progress:
                yield self._progress("vocabulary")
                tokenizer = self._tokenizer()
                try:
                    yield from self._tokenise(tokenizer, self._resume(tokenizer), processes)
                    yield self._progress("hashes")
                    self._close(tokenizer)
                finally:
                    for writer in self.writers.values():
                        writer.leave()
            saved = self.unfinished.progress
            self.unfinished.publish(saved["names"], saved["index"])
            yield self._progress("done")

    def _tokenizer(self) -> Tokenizer:
        if "settings" in self.unfinished.progress:
            return load_tokenizer(self.unfinished.path)
        if self._given is None or isinstance(self._given, str):
            tokenizer = learn_tokenizer(self.settings["--tokenizer"], self.corpus, self.held_out)
        else:
            tokenizer = self._given
        save_tokenizer(tokenizer, self.unfinished.path)
        self.unfinished.save(settings=self.settings)
        return tokenizer

    def _resume(self, tokenizer: Tokenizer) -> Place | None:
        """Open the shards in their last saved state, and return the position in the text."""
        saved = self.unfinished.progress.get("saved", {})
        self.documents = saved.get("documents", self.documents)
        self.bytes = saved.get("bytes", self.bytes)
        self.writers = {
            split: SplitWriter(
                self.unfinished.path,
                split,
                kind=self.settings["--format"],
                dtype=np.dtype(id_dtype(tokenizer.vocab_size)).newbyteorder("<"),
                shard_tokens=self.settings["--shard-tokens"],
                state=saved.get("shards", {}).get(split),
            )
            for split in SPLITS
        }
        place: Place | None = saved.get("place")
        return place

    def _tokenise(
        self, tokenizer: Tokenizer, place: Place | None, processes: int
    ) -> Iterator[PrepareProgress]:
        yield self._progress("tokens")
        places: deque[Place] = deque()  # the positions after the batches being encoded

        def batches() -> Iterator[Batch]:
            for batch in _batches(self.corpus.pieces(place)):
                places.append(self.corpus.place)
                yield batch

        saved_at = time.monotonic()
        for encoded in encode_in_order(batches(), tokenizer, self.held_out, processes):
            self._append(encoded)
            end = places.popleft()
            if time.monotonic() - saved_at >= self.save_seconds:
                self._save(end)
                saved_at = time.monotonic()
            yield self._progress("tokens")

    def _append(self, encoded: EncodedBatch) -> None:
        for split, writer in self.writers.items():
            writer.append(encoded.ids[split])
            self.documents[split] += encoded.documents[split]
        self.bytes += encoded.size

    def _save(self, place: Place) -> None:
        shards = {split: writer.save() for split, writer in self.writers.items()}
        saved = {"place": place, "shards": shards, "documents": self.documents, "bytes": self.bytes}
        self.unfinished.save(saved=saved)

    def _close(self, tokenizer: Tokenizer) -> None:
        """Close the last shards, and save the index for `publish`.

        Raises UserError when a split has no text; then nothing is left to resume.
        """
        for split, writer in self.writers.items():
            if writer.tokens == 0:
                self.unfinished.remove()
                raise self._empty(split)
            writer.close()
        shards = {split: writer.shards() for split, writer in self.writers.items()}
        names = {FILE_NAME: FILE_NAME}
        for split, entries in shards.items():
            for entry in entries:
                alone = self.settings["--format"] == "bin" and len(entries) == 1
                names[entry["file"]] = f"{split}.bin" if alone else entry["file"]
        index = index_content(
            settings=self.settings,
            left_out={"files": self.corpus.left_out, "rows": self.corpus.counts.as_json()},
            remarks=self._remarks(),
            tokenizer=tokenizer,
            folder=self.unfinished.path,
            documents=self.documents,
            shards={
                split: [{**entry, "file": names[entry["file"]]} for entry in entries]
                for split, entries in shards.items()
            },
        )
        self.unfinished.save(index=index, names=names)

    def _empty(self, split: str) -> UserError:
        return UserError(
            f"no text of {self.corpus.name} is left for {SPLIT_NAMES[split]}: it has "
            f"{counted(sum(self.documents.values()), 'document')} and "
            f"{counted(self.bytes, 'byte')} of text; "
            "give more text (at least ten different documents, or ten characters)"
        )

    def _progress(self, stage: str) -> PrepareProgress:
        return PrepareProgress(
            stage=stage,
            documents=sum(self.documents.values()),
            tokens=sum(writer.tokens for writer in self.writers.values()),
            bytes=self.bytes,
            total_documents=self.corpus.documents,
            total_bytes=self.corpus.bytes,
            remarks=self._remarks() if stage in ("vocabulary", "done") else (),
        )

    def _remarks(self) -> tuple[str, ...]:
        return (*self.corpus.remarks, *self.corpus.counts.remarks())


def _batches(pieces: Iterable[Piece]) -> Iterator[Batch]:
    """Group pieces in batches, without prefetching pieces of the next batch."""
    batch: Batch = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece.text)
        if size >= BATCH_CHARACTERS or len(batch) == BATCH_PIECES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
