"""How shards are made: what a user may choose, and what is chosen where nothing was said."""

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpt2_small.data.sources import Source
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.registry import check_spec

KINDS = ("bin", "npy")
NPY_SHARD_TOKENS = 100_000_000  # as build-nanogpt's

# Of a small data set a tenth is for validation, of a large one what gives some five million tokens
# of English: of OpenWebText the 0.05 % that nanoGPT keeps.
LARGEST_SHARE = 0.1
VALIDATION_BYTES = 20_000_000
SHARE_OF_UNKNOWN = 0.005

BYTES_FOR_A_PROCESS = 16_000_000  # starting one takes as long as tokenising half of them
TOKENS_A_BYTE = {"gpt2": 0.3, "bpe": 0.5}  # seldom more; of the others one


@dataclass(frozen=True, kw_only=True)
class Options:
    """How shards are made.

    tokenizer: `gpt2`, `byte`, `char` or `bpe:SIZE`; None is `gpt2`, and for the stories their own.
    kind: `bin` for nanoGPT's reader, `npy` for build-nanogpt's.
    shard_tokens: in a file; None is all of a split for `bin`, and NPY_SHARD_TOKENS for `npy`.
    validation_share: of the documents; None is chosen by size.

    Raises UserError for a value that cannot be.
    """

    tokenizer: str | None = None
    kind: str = "bin"
    shard_tokens: int | None = None
    validation_share: float | None = None

    def __post_init__(self) -> None:
        if self.tokenizer is not None:
            check_spec(self.tokenizer)
        if self.kind not in KINDS:
            raise UserError(f"--format is {self.kind!r}; give {' or '.join(KINDS)}.")
        if self.shard_tokens is not None and self.shard_tokens < 1:
            raise UserError(f"--shard-tokens is {self.shard_tokens}; give at least 1.")
        share = self.validation_share
        if share is not None and not 0 < share <= 0.5:
            raise UserError(f"--validation-share is {share}; give more than 0 and at most 0.5.")


def settings_of(source: Source, options: Options) -> dict[str, Any]:
    """All that decides what is made, by the name that a user knows it by.

    Raises:
        UserError: a share for a source that has its own split.
    """
    share = options.validation_share
    if source.has_own_split and share is not None:
        raise UserError(
            f"--validation-share is for data sets of many documents; of {source.name} the last "
            "tenth is for validation; leave it out."
        )
    if not source.has_own_split and share is None:
        share = _share(source.bytes)
    own = "stories" if source.name == "stories" else "gpt2"
    tokens = NPY_SHARD_TOKENS if options.kind == "npy" else None
    settings = {
        "the text": source.origin.get("file", source.name),
        "--tokenizer": options.tokenizer or own,
        "--format": options.kind,
        "--shard-tokens": options.shard_tokens or tokens,
        "--validation-share": share,
        "--max-documents": source.limit,
    }
    origin = {key: value for key, value in source.origin.items() if key != "file"}
    return settings | {f"{key} of the text": value for key, value in origin.items()}


def suitable_processes(source: Source) -> int:
    """As many as there are processors; fewer for a text that is done before they have started."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if source.bytes is None:
        return count or 1
    return max(1, min(count or 1, math.ceil(source.bytes / BYTES_FOR_A_PROCESS)))


def check_space(folder: Path, source: Source, tokenizer: str, already: int) -> None:
    """Refuse a disk that is too small for what the source will probably become.

    Args:
        folder: where the shards go; need not be there yet.
        already: bytes that are written.

    Raises:
        UserError: with both numbers.
    """
    if source.bytes is None:
        return
    tokens = source.bytes * TOKENS_A_BYTE.get(tokenizer.partition(":")[0], 1.0)
    needed = 2 * tokens - already
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise UserError(
            f"the shards of {source.name} will take about {in_bytes(needed)}, and {place} has "
            f"{in_bytes(free)} free; make room, or give a folder on another disk."
        )


def in_bytes(count: float) -> str:
    """A number of bytes for a person to read: 17.2 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _share(bytes: int | None) -> float:
    if bytes is None:
        return SHARE_OF_UNKNOWN
    return round(min(LARGEST_SHARE, VALIDATION_BYTES / max(bytes, 1)), 6)
