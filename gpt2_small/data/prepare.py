"""Text to shards of tokens, by several processes, taken up again where it was stopped."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_small.data.hub_datasets import Place
from gpt2_small.data.learn_tokenizer import learn_tokenizer
from gpt2_small.data.parallel_encoding import SPLITS, Batch, Encoded, encode_in_order
from gpt2_small.data.prepare_options import Options, check_space, settings_of, suitable_processes
from gpt2_small.data.shard_writer import SplitWriter
from gpt2_small.data.source_names import open_source
from gpt2_small.data.sources import Piece, Source
from gpt2_small.data.unfinished_folder import Unfinished
from gpt2_small.errors import UserError
from gpt2_small.files import sha256
from gpt2_small.tokenizers.protocol import Tokenizer, id_dtype
from gpt2_small.tokenizers.registry import FILE_NAME, load_tokenizer, save_tokenizer

FORMAT = "gpt2-small-shards/1"
BATCH_CHARACTERS = 2**20
BATCH_PIECES = 4096
SAVE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a preparation is.

    stage: `vocabulary`, `tokens`, `hashes` or `done`.
    documents, tokens, bytes: of text, so far, those before an interruption among them.
    total_documents, total_bytes: about how many there are, where that is known.
    """

    stage: str
    documents: int
    tokens: int
    bytes: int
    total_documents: int | None
    total_bytes: int | None

    @property
    def fraction(self) -> float | None:
        """The part that is done, where the whole is known."""
        if self.total_documents:
            return min(1.0, self.documents / self.total_documents)
        return min(1.0, self.bytes / self.total_bytes) if self.total_bytes else None


def prepare(
    name: str,
    folder: str | Path,
    options: Options | None = None,
    *,
    column: str | None = None,
    split: str | None = None,
    max_documents: int | None = None,
    processes: int | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> Iterator[Progress]:
    """Make shards in `folder`, or go on making them; nothing happens before the first `next`.

    What is made depends on the text and the options alone.

    Args:
        name, column, split, max_documents: the text, as `source_names.open_source` takes them.
        processes: that tokenise; None is chosen by the size of the text and the machine.
        save_seconds: between the states from which an interrupted preparation can go on.

    Raises:
        UserError: the text cannot be had, the folder holds something else or was begun with other
            settings, or there is not enough space.
    """
    unfinished = Unfinished(Path(folder))
    begun_with = unfinished.progress.get("settings", {})
    revision = (
        begun_with.get("revision of the text") if begun_with.get("the text") == name else None
    )
    source = open_source(name, column=column, split=split, limit=max_documents, revision=revision)
    if processes is not None and processes < 1:
        raise UserError(f"--processes is {processes}; give at least 1.")
    preparation = Preparation(source, unfinished, options or Options(), save_seconds)
    yield from preparation.run(processes or suitable_processes(source))


class Preparation:
    """Shards on their way from a source to a folder.

    Raises UserError when the folder was begun with other settings, or there is not enough space.
    """

    def __init__(
        self, source: Source, unfinished: Unfinished, options: Options, save_seconds: float
    ) -> None:
        self.source, self.unfinished, self.save_seconds = source, unfinished, save_seconds
        self.settings = settings_of(source, options)
        unfinished.check_settings(self.settings)
        self.share: float = self.settings["--validation-share"] or 0.0
        self.documents = dict.fromkeys(SPLITS, 0)
        self.bytes = 0
        self.writers: dict[str, SplitWriter] = {}
        check_space(
            unfinished.path, source, self.settings["--tokenizer"], unfinished.bytes_written()
        )

    def run(self, processes: int) -> Iterator[Progress]:
        """Make what is still missing."""
        with self.unfinished.locked():
            self.unfinished.check_settings(self.settings)
            if "index" not in self.unfinished.progress:
                yield self._progress("vocabulary")
                tokenizer = self._tokenizer()
                try:
                    yield from self._tokenise(tokenizer, self._take_up(tokenizer), processes)
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
        tokenizer = learn_tokenizer(self.settings["--tokenizer"], self.source, self.share)
        save_tokenizer(tokenizer, self.unfinished.path)
        self.unfinished.save(settings=self.settings)
        return tokenizer

    def _take_up(self, tokenizer: Tokenizer) -> Place | None:
        """Open the shards where they were saved last, and give the place in the text."""
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
        return saved.get("place")

    def _tokenise(
        self, tokenizer: Tokenizer, place: Place | None, processes: int
    ) -> Iterator[Progress]:
        yield self._progress("tokens")
        places: deque[Place] = deque()  # where each batch ends that has not come back

        def batches() -> Iterator[Batch]:
            for batch in _batches(self.source.pieces(place)):
                places.append(self.source.place)
                yield batch

        saved_at = time.monotonic()
        for encoded in encode_in_order(batches(), tokenizer, self.share, processes):
            self._append(encoded)
            end = places.popleft()
            if time.monotonic() - saved_at >= self.save_seconds:
                self._save(end)
                saved_at = time.monotonic()
            yield self._progress("tokens")

    def _append(self, encoded: Encoded) -> None:
        for split, writer in self.writers.items():
            writer.append(encoded.ids[split])
            self.documents[split] += encoded.documents[split]
        self.bytes += encoded.size

    def _save(self, place: Place) -> None:
        shards = {split: writer.save() for split, writer in self.writers.items()}
        saved = {"place": place, "shards": shards, "documents": self.documents, "bytes": self.bytes}
        self.unfinished.save(saved=saved)

    def _close(self, tokenizer: Tokenizer) -> None:
        """End the last shards, and keep the index that is to be published."""
        for split, writer in self.writers.items():
            if writer.tokens == 0:
                raise self._empty(split)
            writer.close()
        shards = {split: writer.shards() for split, writer in self.writers.items()}
        names = {FILE_NAME: FILE_NAME}
        for split, entries in shards.items():
            for entry in entries:
                alone = self.settings["--format"] == "bin" and len(entries) == 1
                names[entry["file"]] = f"{split}.bin" if alone else entry["file"]
        self.unfinished.save(index=self._index(tokenizer, shards, names), names=names)

    def _index(
        self, tokenizer: Tokenizer, shards: dict[str, list[dict[str, Any]]], names: dict[str, str]
    ) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "source": {
                name.removesuffix(" of the text").replace("the text", "name"): value
                for name, value in self.settings.items()
                if not name.startswith("--")
            },
            "settings": {
                name.removeprefix("--").replace("-", "_"): value
                for name, value in self.settings.items()
                if name.startswith("--")
            },
            "tokenizer": {
                "name": tokenizer.name,
                "vocab_size": tokenizer.vocab_size,
                "end_of_text": tokenizer.end_of_text,
                "sha256": sha256(self.unfinished.path / FILE_NAME),
            },
            "dtype": np.dtype(id_dtype(tokenizer.vocab_size)).name,
            "splits": {
                split: {
                    "documents": self.documents[split],
                    "tokens": sum(entry["tokens"] for entry in entries),
                    "shards": [{**entry, "file": names[entry["file"]]} for entry in entries],
                }
                for split, entries in shards.items()
            },
        }

    def _empty(self, split: str) -> UserError:
        part = {"train": "training", "val": "validation"}[split]
        return UserError(
            f"nothing of {self.source.name} is left for {part}: it has "
            f"{sum(self.documents.values())} documents and {self.bytes} bytes of text; "
            "give more text (ten documents, or ten characters in one file, are the least)."
        )

    def _progress(self, stage: str) -> Progress:
        return Progress(
            stage=stage,
            documents=sum(self.documents.values()),
            tokens=sum(writer.tokens for writer in self.writers.values()),
            bytes=self.bytes,
            total_documents=self.source.documents,
            total_bytes=self.source.bytes,
        )


def _batches(pieces: Iterable[Piece]) -> Iterator[Batch]:
    """Pieces together, of which none is asked for before the batch is full of those before it."""
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
