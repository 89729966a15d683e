"""Define the options of preparing shards, and choose their defaults."""

import hashlib
import json
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt2_small.data.corpora.corpus import Corpus
from gpt2_small.data.shards.index import GIVEN_TOKENIZER
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import check_spec

KINDS = ("bin", "npy")
NPY_SHARD_TOKENS = 100_000_000  # as build-nanogpt's

# A tenth of a small data set is held out; of a large one about five million tokens of English,
# which is 0.05 % of OpenWebText, as in nanoGPT.
LARGEST_SHARE = 0.1
VALIDATION_BYTES = 20_000_000
SHARE_OF_UNKNOWN = 0.005

BYTES_FOR_A_PROCESS = 16_000_000  # starting a process takes as long as tokenising half of them
TOKENS_PER_BYTE = {"gpt2": 0.3, "bpe": 0.5}  # upper estimates; 1 for other tokenizers


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """Options of preparing shards.

    tokenizer: `gpt2`, `byte`, `char` or `bpe:SIZE`, or a tokenizer; None for `gpt2`, or the
        stories' own.
    kind: `bin` for nanoGPT's reader, `npy` for build-nanogpt's.
    shard_tokens: tokens in a file; None for a whole split (`bin`) or NPY_SHARD_TOKENS (`npy`).
    validation_share: of the documents; None chooses it by size.

    Raises UserError for an invalid value.
    """

    tokenizer: str | Tokenizer | None = None
    kind: str = "bin"
    shard_tokens: int | None = None
    validation_share: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.tokenizer, str):
            check_spec(self.tokenizer)
        if self.kind not in KINDS:
            raise UserError(f"--format is {self.kind!r}; give {' or '.join(KINDS)}")
        if self.shard_tokens is not None and self.shard_tokens < 1:
            raise UserError(f"--shard-tokens is {self.shard_tokens}; give at least 1")
        share = self.validation_share
        if share is not None and not 0 < share <= 0.5:
            raise UserError(f"--validation-share is {share}; give more than 0 and at most 0.5")


def settings_of(corpus: Corpus, options: PrepareOptions) -> dict[str, Any]:
    """All settings that determine the shards, by the names used in messages.

    Raises:
        UserError: a validation share for a corpus whose documents are cut.
    """
    share = options.validation_share
    if corpus.cuts_documents and share is not None:
        raise UserError(
            f"--validation-share is for texts of many documents, and {corpus.name} has too few, so "
            "that the last tenth of each is held out; leave it out"
        )
    if not corpus.cuts_documents and share is None:
        share = _share(corpus.bytes)
    tokens = NPY_SHARD_TOKENS if options.kind == "npy" else None
    settings = {
        "the text": corpus.origin.get("file", corpus.name),
        **_tokenizer_settings(options.tokenizer, "stories" if corpus.name == "stories" else "gpt2"),
        "--format": options.kind,
        "--shard-tokens": options.shard_tokens or tokens,
        "--validation-share": share,
        "--max-documents": corpus.limit,
    }
    origin = {key: value for key, value in corpus.origin.items() if key != "file"}
    return settings | {f"{key} of the text": value for key, value in origin.items()}


def _tokenizer_settings(tokenizer: str | Tokenizer | None, default: str) -> dict[str, Any]:
    if tokenizer is None or isinstance(tokenizer, str):
        return {"--tokenizer": tokenizer or default}
    description = json.dumps(tokenizer.to_dict(), sort_keys=True).encode()
    return {
        "--tokenizer": tokenizer.name,
        GIVEN_TOKENIZER: hashlib.sha256(description).hexdigest(),
    }


def suitable_processes(corpus: Corpus) -> int:
    """The number of processes: one for each core, fewer for a small text."""
    count = usable_cores()
    if corpus.bytes is None:
        return count
    return max(1, min(count, math.ceil(corpus.bytes / BYTES_FOR_A_PROCESS)))


def usable_cores() -> int:
    """The number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_space(folder: Path, corpus: Corpus, tokenizer: str, already: int) -> None:
    """Check that the disk has space for a corpus's shards, by their estimated size.

    Args:
        folder: of the shards, which may not exist yet.
        already: bytes written so far.

    Raises:
        UserError: with the needed and the free space.
    """
    if corpus.bytes is None:
        return
    tokens = corpus.bytes * TOKENS_PER_BYTE.get(tokenizer.partition(":")[0], 1.0)
    needed = 2 * tokens - already
    folders = (folder.absolute(), *folder.absolute().parents)
    place = next(path for path in folders if os.path.exists(path))
    free = shutil.disk_usage(place).free
    if needed > free:
        raise UserError(
            f"the shards of {corpus.name} will take about {in_bytes(needed)}, and {place} has "
            f"{in_bytes(free)} free; make room, or give a folder on another disk"
        )


def in_bytes(count: float) -> str:
    """Format a number of bytes, such as 17.2 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _share(bytes: int | None) -> float:
    if bytes is None:
        return SHARE_OF_UNKNOWN
    return round(min(LARGEST_SHARE, VALIDATION_BYTES / max(bytes, 1)), 6)
