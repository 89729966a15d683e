"""Write texts, prepare them, and read folders of shards."""

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpt2_small.data import prepare
from gpt2_small.data.corpora import corpus
from gpt2_small.data.prepare import PrepareProgress
from gpt2_small.data.prepare_options import PrepareOptions
from gpt2_small.tokenizers.registry import load_tokenizer

WORDS = ("the", "quick", "brown fox", "jumps  ", "naïve;", "它", "didn't", "42", "\n\n", "\t.")

SMALL = {"BATCH_CHARACTERS": 300, "BATCH_PIECES": 7}
PLAY = "".join(f"Line {number} of a play, spoken by nobody.\n" for number in range(200))
TOKENS = np.arange(1000, dtype=np.uint16)  # each token is its own position


def written(count: int, seed: int = 0, longest: int = 60) -> list[str]:
    """Return documents of random words."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randrange(1, longest))) for _ in range(count)]


def json_lines(path: Path, documents: Iterable[str], column: str = "text", **more: object) -> Path:
    rows = [json.dumps({column: document, **more}) + "\n" for document in documents]
    path.write_text("".join(rows), encoding="utf-8")
    return path


def write_file(path: Path, data: str | bytes) -> Path:
    """Write this content to a path, create its folders, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def set_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pieces and batches small, so that a small text has many of them."""
    monkeypatch.setattr(corpus, "PIECE_CHARACTERS", 100)
    for name, value in SMALL.items():
        monkeypatch.setattr(prepare, name, value)


def folders_of_shards(play: Path, folder: Path) -> dict[str, Path]:
    """Return folders of one text by their kind of shards: one .bin, several, several .npy."""
    return {
        "bin": made(play, folder / "bin", tokenizer="byte"),
        "bins": made(play, folder / "bins", tokenizer="byte", shard_tokens=1000),
        "npy": made(play, folder / "npy", tokenizer="byte", kind="npy", shard_tokens=1000),
    }


def nanogpt_folder(folder: Path) -> Path:
    """Write files as nanoGPT prepares them, in which each token is its own position."""
    folder.mkdir()
    TOKENS.tofile(folder / "train.bin")
    TOKENS[:100].tofile(folder / "val.bin")
    return folder


CORPUS = ("column", "split", "max_documents", "skipped_share", "processes")


def made(name: str | Path, folder: Path, **options: Any) -> Path:
    """Prepare the folder completely, and return it."""
    for _ in steps_of(name, folder, **options):
        pass
    return folder


def steps_of(
    name: str | Path, folder: Path, *, save_seconds: float = 0, **options: Any
) -> Iterator[PrepareProgress]:
    """Return the iterator of the preparation's progress."""
    source = {key: options.pop(key) for key in CORPUS if key in options}
    return prepare.prepare(
        str(name),
        folder,
        PrepareOptions(**options),
        save_seconds=save_seconds,
        **{"processes": 1, **source},
    )


def tokens_of(folder: Path, split: str = "train") -> list[int]:
    """Return the ids of a split in one file."""
    ids: list[int] = np.fromfile(folder / f"{split}.bin", dtype="<u2").tolist()
    return ids


def texts_of(folder: Path) -> dict[str, str]:
    """Return the text of both splits."""
    tokenizer = load_tokenizer(folder)
    return {split: tokenizer.decode(tokens_of(folder, split)) for split in ("train", "val")}


def index_of(folder: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((folder / "shards.json").read_text())
    return index


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def documents_of(folder: Path) -> list[str]:
    """Return the documents of both splits, sorted; the tokenizer must have an end of text."""
    parts = [text.split("<|endoftext|>") for text in texts_of(folder).values()]
    assert all(part.pop() == "" for part in parts)
    return sorted(document for part in parts for document in part)


def share_of_hash(document: str) -> float:
    """Return a document's hash as a number between 0 and 1."""
    return int(hashlib.blake2b(document.encode(), digest_size=8).hexdigest(), 16) / 2**64


def divided(documents: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """Split documents by their hashes, with the tenth distinct one in the validation split."""
    train: list[str] = []
    validation: list[str] = []
    tenth = list(dict.fromkeys(documents))[9]
    for document in documents:
        is_held_out = document == tenth or share_of_hash(document) < share
        (validation if is_held_out else train).append(document)
    return train, validation
