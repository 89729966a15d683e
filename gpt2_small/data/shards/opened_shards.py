"""Open shards without loading them, and refuse damaged ones by name.

They are written by `prepare`, or by nanoGPT and build-nanogpt, whose folders have no index.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpt2_small.data.shards.index import SUFFIXES, read_index
from gpt2_small.data.shards.shard_files import read_foreign, read_listed
from gpt2_small.data.shards.token_sequence import TokenSequence
from gpt2_small.data.unfinished_folder import INDEX, UNFINISHED, remove_leftovers
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.files.hashes import sha256
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import FILE_NAME, load_tokenizer, make_tokenizer

PICKLE = "meta.pkl"


@dataclass(frozen=True)
class Shards:
    """Tokenised text in two parts, stored on disk.

    name: of the text.
    remarks: notes for the user about how it was read.
    """

    name: str
    tokenizer: Tokenizer
    train: TokenSequence
    validation: TokenSequence
    remarks: tuple[str, ...] = ()


def holds_shards(path: str | Path) -> bool:
    """Whether a path is a folder of shards or one shard."""
    path = Path(path)
    if os.path.isdir(path):
        return any(
            child.name in (INDEX, UNFINISHED) or child.suffix in SUFFIXES
            for child in path.iterdir()
        )
    return path.suffix in SUFFIXES


def open_shards(
    path: str | Path, *, tokenizer: str | Tokenizer | None = None, verify: bool = False
) -> Shards:
    """Open a folder of shards, or one file, whose last tenth is used for validation.

    Sizes are always compared with the index; `verify` reads everything and compares the hashes.

    Args:
        path: a folder made by `prepare`, a folder with nanoGPT's `train.bin` and `val.bin` or with
            build-nanogpt's `.npy` files, or one of these files.
        tokenizer: of files without index and `tokenizer.json`; None for `gpt2`, except beside
            nanoGPT's `meta.pkl`, which says that it is another one and is never read.

    Raises:
        UserError: a missing, damaged or unlisted file, by name; or files of an unknown tokenizer.
    """
    path = Path(path)
    if not os.path.exists(path):
        raise UserError(_missing(path))
    if path.is_dir() and (path / INDEX).exists():
        remove_leftovers(path)
        return _open_prepared(path, tokenizer, verify)
    if path.is_dir() and (path / UNFINISHED).exists():
        raise UserError(
            f"{path} is not finished; give the `prepare` command that began it again to resume"
        )
    return _open_foreign(path, tokenizer, verify)


def _open_prepared(folder: Path, wanted: str | Tokenizer | None, verify: bool) -> Shards:
    index = read_index(folder)
    tokenizer = load_tokenizer(folder)
    if sha256(folder / FILE_NAME) != index.tokenizer_sha256:
        raise UserError(
            f"{folder / FILE_NAME} is not the one that {INDEX} lists (its SHA-256 differs); "
            "copy it again from where the shards were made"
        )
    asked = wanted if wanted is None or isinstance(wanted, str) else wanted.name
    if asked not in (None, tokenizer.name):
        advice = asked if asked in ("gpt2", "byte") else "and the folder of the model"
        raise UserError(
            f"{folder} holds tokens of {tokenizer.name}, not of {asked}; "
            f"prepare the text again with --tokenizer {advice}"
        )
    listed = {entry.file for entries in index.shards.values() for entry in entries}
    for child in sorted(folder.iterdir()):
        if child.suffix in SUFFIXES and child.name not in listed:
            raise UserError(f"{child} is not listed in {INDEX}; move it out of the folder")
    dtype = np.dtype(index.dtype).newbyteorder("<")
    sequences = {
        split: read_listed(folder, entries, dtype, tokenizer.vocab_size, verify)
        for split, entries in index.shards.items()
    }
    return Shards(index.name, tokenizer, sequences["train"], sequences["val"])


def _open_foreign(path: Path, wanted: str | Tokenizer | None, verify: bool) -> Shards:
    folder = path if path.is_dir() else path.parent
    if wanted is None and (folder / FILE_NAME).exists():
        tokenizer = load_tokenizer(folder)
    elif wanted is None and (folder / PICKLE).exists():
        raise UserError(
            f"{folder / PICKLE} holds these tokens' vocabulary as a pickle, which can run any "
            "program and is never read; prepare the text again with `gpt2-small prepare`"
        )
    else:
        wanted = "gpt2" if wanted is None else wanted
        tokenizer = make_tokenizer(wanted) if isinstance(wanted, str) else wanted
    remark = f"{path} has no {INDEX}; tokenizer {tokenizer.name} is assumed"
    train, validation = read_foreign(path, tokenizer.vocab_size, verify)
    return Shards(path.name, tokenizer, train, validation, (remark,))


def _missing(path: Path) -> str:
    names = [str(path.parent / name) for name in _names(path.parent)]
    guess = did_you_mean(str(path), names, otherwise="make them with `gpt2-small prepare`")
    return f"there are no shards at {path}; {guess}"


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []
