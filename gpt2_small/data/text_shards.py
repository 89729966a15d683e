"""Open any text as shards of tokens, preparing it first where it is not prepared yet."""

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
from gpt2_small.data.prepare import SAVE_SECONDS, Preparation, PrepareProgress
from gpt2_small.data.prepare_options import PrepareOptions, settings_of, suitable_processes
from gpt2_small.data.shards import Shards, holds_shards, open_shards
from gpt2_small.data.shards.index import read_index
from gpt2_small.data.unfinished_folder import INDEX, Unfinished
from gpt2_small.errors import UserError
from gpt2_small.files import cache_folder, locked
from gpt2_small.tokenizers.protocol import Tokenizer

FILE_TOKENIZER = "char"
HUB_TOKENIZER = "bpe:4096"
HUB_CHARACTERS = 20_000_000  # read of a data set of the hub that is not prepared
SHARDS_VARIABLE = "GPT2_SMALL_SHARDS"  # where they are put instead of in the cache folder
KEY_VERSION = 1  # changes when the same text and options give other shards
KEPT_SECONDS = 30 * 24 * 3600  # after which shards in the cache that nobody opened are removed


def open_text(
    name: str | Path,
    *,
    tokenizer: str | Tokenizer | None = None,
    column: str | None = None,
    verify: bool = False,
    progress: Callable[[PrepareProgress], object] | None = None,
) -> Shards:
    """The tokens of a text: shards as they are; anything else is prepared in the cache folder.

    A text is split, tokenised and read as `prepare` does it. Text and tokenizer decide which
    shards in the cache they are; several processes may ask at once, and one prepares.

    Args:
        name: shards, or what `open_corpus` takes: a file, a folder, `hub:NAME`, a known name. Of a
            data set of the hub the first HUB_CHARACTERS are read.
        tokenizer: one that exists, or `gpt2`, `byte`, `char` or `bpe:SIZE`. None is `char` for a
            file, and `bpe:4096` for a data set of the hub.
        column: of rows, the one that is the text.
        verify: read everything in shards that are given, and compare their hashes.
        progress: called now and then while a text is opened and prepared, at the end with `done`.

    Raises:
        UserError: the text or the shards cannot be used.
    """
    tell = progress or (lambda step: None)
    name = str(name)
    if holds_shards(name):
        if column is not None:
            raise UserError(f"{name} holds tokens, which have no columns; leave --column out")
        return open_shards(name, tokenizer=tokenizer, verify=verify)
    is_on_hub = name.startswith(HUB_PREFIX) or name in HUB_NAMES
    options = PrepareOptions(
        tokenizer=tokenizer or (HUB_TOKENIZER if is_on_hub else FILE_TOKENIZER)
    )
    most = HUB_CHARACTERS if is_on_hub else None
    tell(PrepareProgress(stage="opening"))
    try:
        corpus = open_corpus(name, column=column, most_characters=most)
        folder = _cached(corpus, options)
        busy = f"another process is preparing {folder}"
        with locked(folder.with_name(f"{folder.name}.lock"), in_use=busy, wait=True):
            shards = _open_or_prepare(folder, corpus, options, tell)
            (folder / INDEX).touch()
            _remove_old(folder.parent)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Interrupted while preparing {name}; the same command goes on with it."
        ) from None
    finally:
        tell(PrepareProgress(stage="done"))
    return replace(shards, name=name, remarks=(*read_index(folder).remarks, *shards.remarks))


def _open_or_prepare(
    folder: Path,
    corpus: Corpus,
    options: PrepareOptions,
    tell: Callable[[PrepareProgress], object],
) -> Shards:
    if (folder / INDEX).exists():
        try:
            return open_shards(folder)
        except UserError:  # damaged, and easily made again
            shutil.rmtree(folder, ignore_errors=True)
    preparation = Preparation(corpus, Unfinished(folder), options, SAVE_SECONDS)
    for step in preparation.run(suitable_processes(corpus)):
        tell(step)
    return open_shards(folder)


def _cached(corpus: Corpus, options: PrepareOptions) -> Path:
    """The folder in the cache for the shards of a text."""
    settings = json.dumps([KEY_VERSION, settings_of(corpus, options)], sort_keys=True)
    key = hashlib.sha256(settings.encode()).hexdigest()[:32]
    return _writable_cache() / key


def _writable_cache() -> Path:
    """The folder of shards; where none can be written, one that is removed with this process."""
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
    """Remove shards that have not been opened for KEPT_SECONDS, if nobody is using them."""
    for index in cache.glob(f"*/{INDEX}"):
        folder = index.parent
        try:
            if time.time() - index.stat().st_mtime < KEPT_SECONDS:
                continue
            with locked(folder.with_name(f"{folder.name}.lock"), in_use=""):
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, UserError):
            continue
