"""GPT-2s from the Hugging Face hub: from its cache, else fetched, or a sentence at once."""

import json
import re
from pathlib import Path

from gpt2_small.errors import UserError
from gpt2_small.network import within
from gpt2_small.runs.folder import CONFIG, WEIGHTS
from gpt2_small.tokenizers.gpt2_table import is_offline

ANSWER_SECONDS = 5.0
INDEX = "model.safetensors.index.json"
WEIGHT_FILES = (CONFIG, WEIGHTS, INDEX, "model-*-of-*.safetensors")
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt")
TOKENIZER_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")

# Each is kept on the hub under its owner's name, and answers to the short one too.
HUB_NAMES = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")
OWNER = "openai-community"
OTHER_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


def fetch(name: str, *, with_tokenizer: bool = False, answer_seconds: float | None = None) -> Path:
    """The folder with a hub model's config, weights and tokenizer; a cached one needs no network.

    with_tokenizer: whether a model that another program cached without its tokenizer is completed.
    answer_seconds: how long the hub may take to say that it has the model; some when left out.

    Raises UserError, within that time, when it is not cached and the hub cannot be reached or
    does not have it as safetensors.
    """
    names = [f"{OWNER}/{name}", name] if name in HUB_NAMES else [name]
    cached = [(each, folder) for each in names if (folder := _cached(each)) is not None]
    for each, folder in cached:
        if not with_tokenizer or _tokenizer_is_known(each, folder):
            return folder
    lack = "is no folder here and not among the downloaded models"
    if cached:
        lack = "was downloaded without its tokenizer"
    if is_offline():
        raise UserError(
            f"{name} {lack}, and the network is switched off; "
            "unset HF_HUB_OFFLINE to download it, or give a folder"
        )
    try:
        _ask(names[0], answer_seconds or ANSWER_SECONDS)
        return _download(names[0])
    except UserError:
        raise
    except Exception as error:  # the client's network errors share no base that it exports
        raise _sentence(name, lack, error) from error


def is_complete(folder: Path) -> bool:
    """Whether a folder has a config and all of its weights."""
    if not (folder / CONFIG).is_file():
        return False
    if (folder / WEIGHTS).is_file():
        return True
    try:
        files = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return all((folder / file).is_file() for file in files)


def _cached(name: str) -> Path | None:
    import huggingface_hub

    config = huggingface_hub.try_to_load_from_cache(name, CONFIG)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    return folder if is_complete(folder) else None


def _tokenizer_is_known(name: str, folder: Path) -> bool:
    """Whether the cache has a model's tokenizer, or knows that the hub has none."""
    import huggingface_hub

    if name.removeprefix(f"{OWNER}/") in HUB_NAMES or (folder / TOKENIZER_FILES[0]).is_file():
        return True
    found = [huggingface_hub.try_to_load_from_cache(name, file) for file in TOKENIZER_FILES]
    return None not in found or all(isinstance(file, str) for file in found[1:])


def _ask(name: str, seconds: float) -> None:
    """One question with a time limit, because the hub's client tries for minutes on its own."""
    import huggingface_hub

    def ask() -> None:
        url = huggingface_hub.hf_hub_url(name, CONFIG)
        huggingface_hub.get_hf_file_metadata(url, timeout=seconds)

    within(seconds, ask)


def _download(name: str) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    folder = Path(huggingface_hub.snapshot_download(name, allow_patterns=list(WEIGHT_FILES)))
    if not is_complete(folder):
        raise UserError(
            f"the hub has no safetensors weights of {name}, and a pickle can run any program when "
            "it is read, so none is; choose another model, or have its owner add safetensors"
        )
    for file in (*TOKENIZER_FILES, *TOKENIZER_SETTINGS):
        try:
            huggingface_hub.hf_hub_download(name, file)
        except LocalEntryNotFoundError:  # the network failed
            raise
        except EntryNotFoundError:  # the hub has none, which the client's cache keeps in mind
            continue
    return folder


def _sentence(name: str, lack: str, error: Exception) -> UserError:
    from huggingface_hub.errors import HfHubHTTPError

    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    if isinstance(error, HfHubHTTPError):
        return UserError(
            f"the hub does not give {name} ({reason}); check the name, or give a folder"
        )
    return UserError(
        f"{name} {lack}, and the hub cannot be reached ({reason}); "
        "connect to the network, or give the folder of a run or of a Hugging Face GPT-2"
    )
