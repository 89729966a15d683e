"""Open any text as shards, and prepare it in the cache folder if necessary."""

import atexit
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gpt2_small.data.corpora.corpus import Corpus
from gpt2_small.data.corpora.named_corpora import HUB_NAMES, HUB_PREFIX, open_corpus
from gpt2_small.data.corpora.rows import refuse_column
from gpt2_small.data.prepare import SAVE_SECONDS, Preparation, PrepareProgress
from gpt2_small.data.prepare_options import PrepareOptions, settings_of, suitable_processes
from gpt2_small.data.shards import Shards, holds_shards, open_shards
from gpt2_small.data.shards.index import read_index
from gpt2_small.data.unfinished_folder import INDEX, UnfinishedFolder
from gpt2_small.errors import UserError
from gpt2_small.files.locks import locked
from gpt2_small.files.user_cache import cache_folder
from gpt2_small.tokenizers.protocol import Tokenizer

FILE_TOKENIZER = "char"
HUB_TOKENIZER = "bpe:4096"
HUB_CHARACTERS = 20_000_000  # the characters to read of an unprepared data set of the Hub
SHARDS_VARIABLE = "GPT2_SMALL_SHARDS"  # a folder to use instead of the cache folder
KEY_VERSION = 1  # changes when the same text and options give other shards
KEPT_SECONDS = 30 * 24 * 3600  # cached shards that were not opened for so long are removed

Report = Callable[[PrepareProgress], object]


def open_text(
    name: str | Path,
    *,
    tokenizer: str | Tokenizer | None = None,
    column: str | None = None,
    verify: bool = False,
    progress: Report | None = None,
) -> Shards:
    """Open the tokens of a text: shards, or any other text, prepared in the cache folder.

    A text is split and tokenised as by `prepare`. Text and tokenizer determine its folder in the
    cache; of several processes, one prepares and the others wait.

    Args:
        name: shards, or a name for `open_corpus`: a file, a folder, `hub:NAME`, a known name. The
            first HUB_CHARACTERS of a data set of the Hub are read.
        tokenizer: a tokenizer, or `gpt2`, `byte`, `char` or `bpe:SIZE`. None for `char` for a file,
            and `bpe:4096` for a data set of the Hub.
        column: of text, in rows.
        verify: read all given shards, and compare their hashes.
        progress: called regularly while a text is opened and prepared, at the end with `done`.

    Raises:
        UserError: an unusable text or unusable shards.
    """
    report = progress or (lambda step: None)
    name = str(name)
    if holds_shards(name):
        refuse_column(name, column)
        return open_shards(name, tokenizer=tokenizer, verify=verify)
    report(PrepareProgress(stage="opening"))
    try:
        return _open_cached(name, tokenizer, column, report)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Interrupted while preparing {name}; the same command resumes it."
        ) from None
    finally:
        report(PrepareProgress(stage="done"))


def _open_cached(
    name: str, tokenizer: str | Tokenizer | None, column: str | None, report: Report
) -> Shards:
    """Open a text's shards in the cache, and prepare them if they are not there."""
    is_on_hub = name.startswith(HUB_PREFIX) or name in HUB_NAMES
    options = PrepareOptions(
        tokenizer=tokenizer or (HUB_TOKENIZER if is_on_hub else FILE_TOKENIZER)
    )
    most = HUB_CHARACTERS if is_on_hub else None
    corpus = open_corpus(name, column=column, most_characters=most)
    folder = _cached(corpus, options)
    busy = f"another process is preparing {folder}"
    with locked(folder.with_name(f"{folder.name}.lock"), in_use=busy, wait=True):
        shards = _open_or_prepare(folder, corpus, options, report)
        (folder / INDEX).touch()
        _remove_old(folder.parent)
    return replace(shards, name=name, remarks=(*read_index(folder).remarks, *shards.remarks))


def _open_or_prepare(
    folder: Path, corpus: Corpus, options: PrepareOptions, report: Report
) -> Shards:
    if (folder / INDEX).exists():
        try:
            return open_shards(folder)
        except UserError:  # damaged: prepare it again
            shutil.rmtree(folder, ignore_errors=True)
    preparation = Preparation(corpus, UnfinishedFolder(folder), options, SAVE_SECONDS)
    for step in preparation.run(suitable_processes(corpus)):
        report(step)
    return open_shards(folder)


def _cached(corpus: Corpus, options: PrepareOptions) -> Path:
    """The folder of a text's shards in the cache."""
    settings = json.dumps([KEY_VERSION, settings_of(corpus, options)], sort_keys=True)
    key = hashlib.sha256(settings.encode()).hexdigest()[:32]
    return _writable_cache() / key


def _writable_cache() -> Path:
    """The folder of shards, or a temporary one if the cache is not writable."""
    chosen = os.environ.get(SHARDS_VARIABLE)
    try:
        folder = Path(chosen) if chosen else cache_folder() / "shards"
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="gpt2-small-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _remove_old(cache: Path) -> None:
    """Remove unused shards that were not opened for KEPT_SECONDS."""
    for index in cache.glob(f"*/{INDEX}"):
        folder = index.parent
        try:
            if time.time() - index.stat().st_mtime < KEPT_SECONDS:
                continue
            with locked(folder.with_name(f"{folder.name}.lock"), in_use=""):
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, UserError):
            continue
