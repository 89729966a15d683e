"""Texts to prepare, and what a folder of shards holds."""

import hashlib
import json
import random
from pathlib import Path

from gpt2_small.data.prepare import prepare
from gpt2_small.data.prepare_options import Options

WORDS = ("the", "quick", "brown fox", "jumps  ", "naïve;", "它", "didn't", "42", "\n\n", "\t.")


def written(count, seed=0, longest=60):
    """Documents of random words."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randrange(1, longest))) for _ in range(count)]


def json_lines(path, documents, column="text", **more):
    rows = [json.dumps({column: document, **more}) + "\n" for document in documents]
    path.write_text("".join(rows), encoding="utf-8")
    return path


def made(name, folder, *, column=None, split=None, max_documents=None, processes=1, **options):
    """The folder, once all of it is made."""
    steps = prepare(
        str(name),
        folder,
        Options(**options),
        column=column,
        split=split,
        max_documents=max_documents,
        processes=processes,
        save_seconds=0,
    )
    for _ in steps:
        pass
    return folder


def index_of(folder):
    return json.loads((folder / "shards.json").read_text())


def bytes_of(folder):
    """Every file below a folder, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def share_of_hash(document):
    """Where a document's hash lies between 0 and 1."""
    return int(hashlib.blake2b(document.encode(), digest_size=8).hexdigest(), 16) / 2**64


def divided(documents, share):
    """Training and validation documents, by their hashes, and the tenth for validation."""
    train, validation = [], []
    for number, document in enumerate(documents, start=1):
        is_held_out = number == 10 or share_of_hash(document) < share
        (validation if is_held_out else train).append(document)
    return train, validation
