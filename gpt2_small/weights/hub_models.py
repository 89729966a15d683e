"""Download GPT-2s from the Hugging Face Hub, or find them in its cache."""

import re
from pathlib import Path

from gpt2_small.errors import UserError, first_line
from gpt2_small.files.json_files import parse_json
from gpt2_small.network import within
from gpt2_small.runs.checkpoint_folders import WEIGHTS
from gpt2_small.runs.folder import CONFIG
from gpt2_small.tokenizers.gpt2_table import is_offline

ANSWER_SECONDS = 5.0
INDEX = "model.safetensors.index.json"
WEIGHT_FILES = (CONFIG, WEIGHTS, INDEX, "model-*-of-*.safetensors")
VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt")
# Further files that affect the ids, or that reveal an unsupported tokenizer.
TOKENIZER_SETTINGS = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
)
OTHER_TOKENIZERS = (
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "tiktoken.model",
    "tekken.json",
)
TOKENIZER_FILES = (*VOCABULARIES, *TOKENIZER_SETTINGS, *OTHER_TOKENIZERS)

# Short names, and the repository of each on the Hub.
HUB_NAMES = {
    "gpt2": "openai-community/gpt2",
    "gpt2-medium": "openai-community/gpt2-medium",
    "gpt2-large": "openai-community/gpt2-large",
    "gpt2-xl": "openai-community/gpt2-xl",
    "distilgpt2": "distilbert/distilgpt2",
    "gpt2-small": "openai-community/gpt2",  # as TransformerLens calls it
}
OTHER_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


def is_hub_name(name: str) -> bool:
    """Whether a name is a short name or of the form OWNER/NAME, with an optional @REVISION."""
    bare = name.partition("@")[0]
    return bare in HUB_NAMES or OTHER_HUB_NAME.fullmatch(bare) is not None


def has_gpt2_tokenizer(name: str) -> bool:
    """Whether a Hub name is that of a model known to use GPT-2's tokenizer."""
    bare = name.partition("@")[0]
    return bare in HUB_NAMES or bare in HUB_NAMES.values()


def fetch(name: str, *, with_tokenizer: bool = False, answer_seconds: float | None = None) -> Path:
    """Download a Hub model's config, weights and tokenizer, unless cached; return the folder.

    name: a short name or OWNER/NAME, optionally with `@` and a branch, tag or commit.
    with_tokenizer: download the tokenizer of a model that is cached without it.
    answer_seconds: the time limit for the Hub's first answer; ANSWER_SECONDS when left out.

    Raises UserError, within that time, for an uncached model if the Hub cannot be reached or does
    not have it as safetensors.
    """
    bare, _, revision = name.partition("@")
    repositories = [HUB_NAMES[bare], bare] if bare in HUB_NAMES else [bare]
    cached = [
        (each, folder) for each in repositories if (folder := _cached(each, revision)) is not None
    ]
    for each, folder in cached:
        if not with_tokenizer or _tokenizer_is_known(each, revision, folder):
            return folder
    lack = "is neither a local folder nor a downloaded model"
    if cached:
        lack = "was downloaded without all files of its tokenizer"
    if is_offline():
        raise UserError(
            f"{name} {lack}, and downloads are switched off; "
            "unset HF_HUB_OFFLINE to download it, or give a folder"
        )
    try:
        _ask(repositories[0], revision, answer_seconds or ANSWER_SECONDS)
        return within(None, lambda: _download(repositories[0], revision))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Interrupted while downloading {name}; the same command downloads what is missing."
        ) from None
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
        index = parse_json((folder / INDEX).read_text(encoding="utf-8"))
        return all((folder / file).is_file() for file in index["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _cached(name: str, revision: str) -> Path | None:
    import huggingface_hub

    config = huggingface_hub.try_to_load_from_cache(name, CONFIG, revision=revision or None)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    return folder if is_complete(folder) else None


def _tokenizer_is_known(name: str, revision: str, folder: Path) -> bool:
    """Whether every file of a model's tokenizer is cached or known to be absent from the Hub."""
    import huggingface_hub

    if has_gpt2_tokenizer(name):
        return True

    def known(file: str) -> bool:
        found = huggingface_hub.try_to_load_from_cache(name, file, revision=revision or None)
        return found is not None or (folder / file).is_file()

    if (folder / VOCABULARIES[0]).is_file():
        return all(map(known, TOKENIZER_SETTINGS))
    return all(map(known, (*VOCABULARIES, *TOKENIZER_SETTINGS)))


def _ask(name: str, revision: str, seconds: float) -> None:
    """Send one request with a time limit, because the Hub's client retries for minutes."""
    import huggingface_hub

    def ask() -> None:
        url = huggingface_hub.hf_hub_url(name, CONFIG, revision=revision or None)
        huggingface_hub.get_hf_file_metadata(url, timeout=seconds)

    within(seconds, ask)


def _download(name: str, revision: str) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    at, patterns = revision or None, list(WEIGHT_FILES)
    folder = Path(huggingface_hub.snapshot_download(name, revision=at, allow_patterns=patterns))
    if not is_complete(folder):
        raise UserError(
            f"the Hub has no safetensors weights of {name}, and pickles are not loaded, because "
            "they can run any program; choose another model, or ask its owner for safetensors"
        )
    for file in TOKENIZER_FILES:
        try:
            huggingface_hub.hf_hub_download(name, file, revision=at)
        except LocalEntryNotFoundError:  # the network failed
            raise
        except EntryNotFoundError:  # the Hub has no such file, which the client's cache records
            continue
    return folder


def _sentence(name: str, lack: str, error: Exception) -> UserError:
    from huggingface_hub.errors import HfHubHTTPError

    reason = first_line(error)
    if isinstance(error, HfHubHTTPError):
        return UserError(f"the Hub refused {name} ({reason}); check the name, or give a folder")
    return UserError(
        f"{name} {lack}, and the Hub cannot be reached ({reason}); "
        "connect to the network, or give the folder of a run or of a Hugging Face GPT-2"
    )
