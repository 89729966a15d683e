"""Open a corpus by its name: a known one, `hub:NAME`, or a file or folder."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from gpt2_small.data.corpora.corpus import Corpus
from gpt2_small.data.corpora.file_corpus import FileCorpus
from gpt2_small.data.corpora.hub_corpus import HubCorpus
from gpt2_small.data.corpora.rows import SKIPPED_SHARE
from gpt2_small.data.corpora.stories_corpus import StoriesCorpus
from gpt2_small.data.shards import holds_shards
from gpt2_small.errors import UserError, nearest
from gpt2_small.files.atomic import write_atomically
from gpt2_small.files.user_cache import cache_folder
from gpt2_small.network import download
from gpt2_small.tokenizers.gpt2_table import is_offline

HUB_PREFIX = "hub:"
STORIES = "stories"
SHAKESPEARE = "tiny-shakespeare"
SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


@dataclass(frozen=True)
class HubName:
    """A data set of the Hub, and its approximate size, in case the Hub has no metadata."""

    name: str
    documents: int
    bytes: int


HUB_NAMES = {
    "openwebtext": HubName("Skylion007/openwebtext", 8_013_769, 39_800_000_000),
    "fineweb-edu": HubName("HuggingFaceFW/fineweb-edu:sample-10BT", 9_670_000, 45_000_000_000),
    "tinystories": HubName("roneneldan/TinyStories", 2_119_719, 1_910_000_000),
}
NAMES = (*HUB_NAMES, SHAKESPEARE, STORIES)


def open_corpus(
    name: str,
    *,
    column: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    revision: str | None = None,
    most_characters: int | None = None,
    skipped_share: float = SKIPPED_SHARE,
) -> Corpus:
    """Open a corpus by its name, for every command that reads a text.

    Args:
        name: one of NAMES, `hub:` and a name as for `HubCorpus`, a file, or a folder of files.
        column: of text, in rows.
        split: of a data set of the Hub.
        limit: the number of documents to read; None for all.
        revision: of a data set of the Hub; None for the latest.
        most_characters: the amount of text to read of a data set of the Hub; None for all.
        skipped_share: the fraction of rows, and of a folder's files, that may be unreadable.

    Raises:
        UserError: an unknown name (with the nearest), or a corpus that cannot be read or reached.
    """
    if not 0 <= skipped_share <= 1:
        raise UserError(f"--skip-bad-rows is {skipped_share}; give a share from 0 to 1")
    known = HUB_NAMES.get(name)
    if known or name.startswith(HUB_PREFIX):
        return HubCorpus(
            name,
            known.name if known else name.removeprefix(HUB_PREFIX),
            column=column,
            split=split,
            revision=revision,
            limit=limit,
            most_characters=most_characters,
            documents=known.documents if known else None,
            bytes=known.bytes if known else None,
            skipped_share=skipped_share,
        )
    _refuse("--split", split, name, "data sets of the Hub")
    if name == STORIES:
        _refuse("--column", column, name, "files and data sets of rows")
        return StoriesCorpus(limit=limit)
    return _open_files(name, column, limit, skipped_share)


def _open_files(
    name: str, column: str | None, limit: int | None, skipped_share: float
) -> FileCorpus:
    """Open a file or a folder of files, and refuse options that it has no use for."""
    path = _shakespeare() if name == SHAKESPEARE else _existing(name)
    corpus = FileCorpus(path, name=name, column=column, limit=limit, skipped_share=skipped_share)
    if not corpus.has_rows:
        _refuse("--column", column, name, "files and data sets of rows")
    if corpus.is_one_text:
        _refuse("--max-documents", limit, name, "texts of many documents")
    return corpus


def _existing(name: str) -> Path:
    """The path of an existing file or folder of text. Raises UserError, with the nearest name."""
    path = Path(name)
    if not name or not os.path.lexists(path):
        folder = path.parent if os.path.isdir(path.parent) else Path()
        near = None if path.suffix else nearest(name, NAMES, cutoff=0.5)
        beside = None if near else nearest(path.name, sorted(os.listdir(folder)))
        near = str(folder / beside) if beside else near
        guess = f"did you mean {near}? " if near else ""
        raise UserError(
            f"there is no file and no data set {name!r}; {guess}give a file, "
            f"hub:OWNER/NAME, or one of {', '.join(NAMES)}"
        )
    if holds_shards(path):
        raise UserError(
            f"{name} contains tokens already; give it to `train --data`, or give the text instead"
        )
    return path


def _refuse(flag: str, value: object, name: str, what_for: str) -> None:
    if value is not None:
        raise UserError(f"{flag} is for {what_for}, and {name} is not one; leave it out")


def _shakespeare() -> Path:
    """The file of tiny Shakespeare, from the cache or the network."""
    try:
        cache = cache_folder()
    except FileNotFoundError as error:
        raise UserError(f"{SHAKESPEARE} cannot be stored: {error}; set it to a folder") from None
    path = cache / "tinyshakespeare.txt"
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHAKESPEARE_SHA256:
        return path
    way_out = f"download it from {SHAKESPEARE_URL} and give the file"
    if is_offline():
        raise UserError(f"{SHAKESPEARE} is unavailable offline; {way_out}")
    try:
        data = download(SHAKESPEARE_URL)
    except OSError as error:
        raise UserError(f"{SHAKESPEARE} cannot be downloaded ({error}); {way_out}") from None
    if hashlib.sha256(data).hexdigest() != SHAKESPEARE_SHA256:
        raise UserError(
            f"{SHAKESPEARE_URL} did not return {SHAKESPEARE} (its SHA-256 is not "
            f"{SHAKESPEARE_SHA256[:12]}...); get the file elsewhere and give its path"
        )
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {cache} ({error.strerror}); {way_out}") from None
    write_atomically(path, data.decode())
    return path
