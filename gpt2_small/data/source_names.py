"""What a user may write for the text to prepare: a name, `hub:NAME`, or a file."""

import difflib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from gpt2_small.data.hub_datasets import DataSet, file_kind
from gpt2_small.data.sources import Documents, Source, Stories, TextFile
from gpt2_small.errors import UserError
from gpt2_small.files import cache_folder, write_atomically
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
    """A data set of the hub, and about how much text it holds, should the hub not say."""

    name: str
    documents: int
    bytes: int


HUB_NAMES = {
    "openwebtext": HubName("Skylion007/openwebtext", 8_013_769, 39_800_000_000),
    "fineweb-edu": HubName("HuggingFaceFW/fineweb-edu:sample-10BT", 9_670_000, 45_000_000_000),
    "tinystories": HubName("roneneldan/TinyStories", 2_119_719, 1_910_000_000),
}
NAMES = (*HUB_NAMES, SHAKESPEARE, STORIES)


def open_source(
    name: str,
    *,
    column: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    revision: str | None = None,
) -> Source:
    """The source that `name` stands for.

    Args:
        name: one of NAMES, `hub:` and a name as for `hub.DataSet`, a file, or a folder of files.
        column, split: of a data set.
        limit: how many documents are read; all when None.
        revision: the state of a data set of the hub, in place of the newest.

    Raises:
        UserError: nothing has this name (with the nearest), or it cannot be read or reached.
    """
    known = HUB_NAMES.get(name)
    if known:
        data = DataSet(known.name, column=column, split=split, revision=revision)
        return Documents(data, name, limit=limit, documents=known.documents, bytes=known.bytes)
    if name.startswith(HUB_PREFIX):
        inner = name.removeprefix(HUB_PREFIX)
        data = DataSet(inner, column=column, split=split, revision=revision)
        return Documents(data, name, limit=limit)
    path = Path(name)
    if name not in NAMES:
        _check_there(name, path)
        if path.is_dir() or file_kind(path):
            return Documents(DataSet(name, column=column, split=split), name, limit=limit)
    _refuse("--column", column, name)
    _refuse("--split", split, name)
    if name == STORIES:
        return Stories(limit=limit)
    _refuse("--max-documents", limit, name)
    return TextFile(_shakespeare(), name) if name == SHAKESPEARE else TextFile(path)


def _check_there(name: str, path: Path) -> None:
    if path.exists():
        return
    folder = path.parent if path.parent.is_dir() else Path()
    near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5) or [
        str(folder / near)
        for near in difflib.get_close_matches(path.name, sorted(os.listdir(folder)), n=1)
    ]
    guess = f"did you mean {near[0]}? " if near else ""
    raise UserError(
        f"there is no file and no data set {name!r}; {guess}give a file, "
        f"hub:OWNER/NAME, or one of {', '.join(NAMES)}."
    )


def _refuse(flag: str, value: object, name: str) -> None:
    if value is not None:
        raise UserError(
            f"{flag} is for data sets of many documents, and {name} is not; leave it out."
        )


def _shakespeare() -> Path:
    """The file of tiny Shakespeare: where it was kept, else from the network."""
    try:
        cache = cache_folder()
    except FileNotFoundError as error:
        raise UserError(f"{SHAKESPEARE} cannot be kept: {error}; set it to a folder.") from None
    path = cache / "tinyshakespeare.txt"
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHAKESPEARE_SHA256:
        return path
    way_out = f"download it from {SHAKESPEARE_URL} and give the file"
    if is_offline():
        raise UserError(f"{SHAKESPEARE} cannot be had while the network is off; {way_out}.")
    try:
        data = download(SHAKESPEARE_URL)
    except OSError as error:
        raise UserError(f"{SHAKESPEARE} cannot be downloaded ({error}); {way_out}.") from None
    if hashlib.sha256(data).hexdigest() != SHAKESPEARE_SHA256:
        raise UserError(
            f"what {SHAKESPEARE_URL} returned is not {SHAKESPEARE} (its SHA-256 is not "
            f"{SHAKESPEARE_SHA256[:12]}...); get the file elsewhere and give its path."
        )
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {cache} ({error.strerror}); {way_out}.") from None
    write_atomically(path, data.decode())
    return path
