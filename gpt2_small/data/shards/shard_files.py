"""Open and check the files of shards, both listed ones and those of other programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_small.data.shards.index import ListedFile
from gpt2_small.data.shards.shard_writer import NPY_HEADER_BYTES, npy_header
from gpt2_small.data.shards.token_sequence import (
    OpenFiles,
    TokenFile,
    TokenSequence,
    outside_vocabulary,
)
from gpt2_small.errors import UserError
from gpt2_small.files.hashes import sha256
from gpt2_small.files.lfs_pointers import refuse_lfs_pointer
from gpt2_small.tokenizers.protocol import id_dtype

BLOCK = 2**22  # tokens read at once
CHECKED_TOKENS = 2**16  # tokens at each end of a file that are checked when it is opened
LLM_C_MAGIC = 20240520  # begins llm.c's and modded-nanogpt's files, which have a header
LLM_C_HEADER_BYTES = 1024
COPY_AGAIN = "copy it again from where it was made, or prepare the text again"


def read_listed(
    folder: Path,
    entries: Sequence[ListedFile],
    dtype: np.dtype[Any],
    vocab_size: int,
    verify: bool,
) -> TokenSequence:
    """Open the shards of one split that an index lists.

    Raises:
        UserError: a shard that is missing or does not match the index.
    """
    paths = [folder / entry.file for entry in entries]
    parts = []
    for path, entry in zip(paths, entries, strict=True):
        if not path.is_file():
            raise UserError(f"{path} is missing, and the index lists it; {COPY_AGAIN}")
        size = path.stat().st_size
        if size != entry.bytes:
            raise UserError(
                f"{path} has {size:,} bytes, and the index says {entry.bytes:,}; {COPY_AGAIN}"
            )
        if verify and sha256(path) != entry.sha256:
            raise UserError(
                f"{path} is damaged (its SHA-256 is not the one in the index); {COPY_AGAIN}"
            )
        parts.append(_listed(path, entry.tokens, dtype))
        _check_ids(path, parts[-1], vocab_size)
    return TokenSequence(parts, [str(path) for path in paths], vocab_size)


def read_foreign(path: Path, vocab_size: int, verify: bool) -> tuple[TokenSequence, TokenSequence]:
    """Open the training and validation tokens of files without an index.

    Raises:
        UserError: a folder without both, or a file with other content.
    """
    if path.is_file():
        tokens = _foreign(path, vocab_size, verify)
        cut = len(tokens) - len(tokens) // 10
        if cut == len(tokens):
            raise UserError(
                f"{path} has {len(tokens)} tokens, too few to hold some out for validation"
            )
        train, validation = (
            TokenSequence([part], [str(path)], vocab_size) for part in tokens.divided(cut)
        )
        return train, validation
    found = {split: _of_split(path, split) for split in ("train", "val")}
    for file in set(found["train"]) & set(found["val"]):
        raise UserError(
            f"{file} has both 'train' and 'val' in its name, so its split is unknown; rename it"
        )
    for split, files in found.items():
        if not files:
            others = ", ".join(file.name for files in found.values() for file in files) or "none"
            raise UserError(
                f"{path} has no {split}.bin and no .npy file with {split!r} in its name "
                f"(its shards: {others}); copy it there, or give one file alone"
            )
    train, validation = (
        TokenSequence(
            [_foreign(file, vocab_size, verify) for file in files],
            [str(file) for file in files],
            vocab_size,
        )
        for files in found.values()
    )
    return train, validation


def _of_split(folder: Path, split: str) -> list[Path]:
    """The files that nanoGPT's reader, or else build-nanogpt's, would open."""
    if (folder / f"{split}.bin").is_file():
        return [folder / f"{split}.bin"]
    return sorted(path for path in folder.glob("*.npy") if split in path.name)


def _listed(path: Path, tokens: int, dtype: np.dtype[Any]) -> TokenFile:
    header = 0
    if path.suffix == ".npy":
        header = NPY_HEADER_BYTES
        with path.open("rb") as file:
            if file.read(header) != npy_header(dtype, tokens):
                raise UserError(
                    f"{path} is damaged (its header is not the one that was written); {COPY_AGAIN}"
                )
    if path.stat().st_size != header + tokens * dtype.itemsize:
        raise UserError(f"{path} does not have the {tokens:,} tokens of the index; {COPY_AGAIN}")
    return TokenFile(path, dtype, header, tokens)


def _foreign(path: Path, vocab_size: int, verify: bool) -> TokenFile:
    refuse_lfs_pointer(path)
    if path.suffix == ".npy":
        tokens = _numpy_array(path)
    else:
        dtype = np.dtype(id_dtype(vocab_size)).newbyteorder("<")
        size = path.stat().st_size
        if size == 0 or size % dtype.itemsize:
            raise UserError(
                f"{path} has {size:,} bytes, which is not a whole number of {dtype.itemsize}-byte "
                "tokens or none at all; it is damaged or has other content"
            )
        _refuse_other_formats(path)
        tokens = TokenFile(path, dtype, 0, size // dtype.itemsize)
    _check_ids(path, tokens, vocab_size, everything=verify)
    return tokens


def _numpy_array(path: Path) -> TokenFile:
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
            shape, _, dtype = read[version[0]](file)
            header = file.tell()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not an array of tokens ({error}); {COPY_AGAIN}") from None
    if len(shape) != 1 or dtype.kind not in "iu" or shape[0] == 0:
        raise UserError(
            f"{path} contains an array {list(shape)} of {dtype}, but tokens are one row of whole "
            "numbers; give another file"
        )
    if path.stat().st_size != header + shape[0] * dtype.itemsize:
        raise UserError(f"{path} does not have the {shape[0]:,} tokens of its header; {COPY_AGAIN}")
    return TokenFile(path, dtype, header, shape[0])


def _refuse_other_formats(path: Path) -> None:
    with path.open("rb") as file:
        beginning = file.read(LLM_C_HEADER_BYTES)
    if int.from_bytes(beginning[:4], "little") == LLM_C_MAGIC:
        raise UserError(
            f"{path} is a shard of llm.c, with a header of {LLM_C_HEADER_BYTES} bytes before the "
            "tokens; remove the header, or prepare the text again"
        )
    words = np.frombuffer(beginning[: len(beginning) // 4 * 4], dtype="<u2")
    if len(words) >= LLM_C_HEADER_BYTES // 2 and words.any() and not words[1::2].any():
        raise UserError(
            f"{path} seems to contain tokens of four bytes (every second pair of bytes is zero), "
            "and nanoGPT's have two; prepare the text again"
        )


def _check_ids(path: Path, tokens: TokenFile, vocab_size: int, everything: bool = False) -> None:
    length = len(tokens)
    if everything:
        spans = [(start, start + BLOCK) for start in range(0, length, BLOCK)]
    else:
        spans = [(0, CHECKED_TOKENS), (max(0, length - CHECKED_TOKENS), length)]
    files = OpenFiles()
    for start, stop in spans:
        ids = tokens.read(start, min(stop, length), files)
        highest, lowest = int(ids.max()), int(ids.min())
        if highest >= vocab_size or lowest < 0:
            wrong = highest if highest >= vocab_size else lowest
            raise outside_vocabulary(str(path), wrong, vocab_size)
