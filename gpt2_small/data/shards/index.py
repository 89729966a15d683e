"""Write and read the index of a folder of shards, `shards.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_small.data.unfinished_folder import INDEX
from gpt2_small.errors import UserError
from gpt2_small.files.hashes import sha256
from gpt2_small.files.json_files import read_json
from gpt2_small.tokenizers.protocol import Tokenizer, id_dtype
from gpt2_small.tokenizers.registry import FILE_NAME

FORMAT = "gpt2-small-shards/1"
SUFFIXES = (".bin", ".npy")
GIVEN_TOKENIZER = "the tokenizer"  # a setting with its own section in the index


@dataclass(frozen=True)
class ListedFile:
    """An index's entry of a shard. Raises ValueError for an invalid entry."""

    file: str
    tokens: int
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if Path(self.file).name != self.file or Path(self.file).suffix not in SUFFIXES:
            raise ValueError(f"{self.file!r} is not the name of a shard")
        if not (type(self.tokens) is type(self.bytes) is int and self.tokens > 0):
            raise ValueError(f"{self.file!r} has no tokens")


@dataclass(frozen=True)
class Index:
    """The content of `shards.json`. Raises ValueError for invalid values."""

    name: str
    dtype: str
    tokenizer_sha256: str
    shards: dict[str, list[ListedFile]]
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.dtype not in ("uint16", "uint32"):
            raise ValueError(f"dtype is {self.dtype!r}")
        if not all(self.shards.values()):
            raise ValueError("a part has no shards")


def read_index(folder: Path) -> Index:
    """Read the index of a prepared folder.

    Raises:
        UserError: a missing or damaged index.
    """
    content = read_json(folder / INDEX, FORMAT)
    try:
        return Index(
            str(content["source"]["name"]),
            content["dtype"],
            str(content["tokenizer"]["sha256"]),
            {
                split: [ListedFile(**entry) for entry in content["splits"][split]["shards"]]
                for split in ("train", "val")
            },
            tuple(map(str, content.get("remarks", ()))),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{folder / INDEX} is damaged ({error!r}); prepare the text again"
        ) from None


def index_content(
    *,
    settings: Mapping[str, Any],
    left_out: Mapping[str, Any],
    remarks: tuple[str, ...],
    tokenizer: Tokenizer,
    folder: Path,
    documents: Mapping[str, int],
    shards: Mapping[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    """The content of an index, as JSON values.

    Args:
        settings: flags by names with `--`, and the origin of the text by other names.
        left_out: skipped files and rows.
        folder: of the tokenizer's file.
        documents: by split.
        shards: entries as in `ListedFile`, by split.
    """
    return {
        "format": FORMAT,
        "source": {
            name.removesuffix(" of the text").replace("the text", "name"): value
            for name, value in settings.items()
            if not name.startswith("--") and name != GIVEN_TOKENIZER
        },
        "settings": {
            name.removeprefix("--").replace("-", "_"): value
            for name, value in settings.items()
            if name.startswith("--")
        },
        "left_out": dict(left_out),
        "remarks": list(remarks),
        "tokenizer": {
            "name": tokenizer.name,
            "vocab_size": tokenizer.vocab_size,
            "end_of_text": tokenizer.end_of_text,
            "sha256": sha256(folder / FILE_NAME),
        },
        "dtype": np.dtype(id_dtype(tokenizer.vocab_size)).name,
        "splits": {
            split: {
                "documents": documents[split],
                "tokens": sum(entry["tokens"] for entry in entries),
                "shards": entries,
            }
            for split, entries in shards.items()
        },
    }
