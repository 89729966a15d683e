"""Read a tokenizer's settings, besides the vocabulary, as transformers 5 does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, processors
from tokenizers import Tokenizer as Engine

from gpt2_small.errors import UserError
from gpt2_small.files.json_files import read_json_object
from gpt2_small.tokenizers.protocol import END_OF_TEXT

TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS_MAP = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"
GENERATION_CONFIG = "generation_config.json"
MODEL_CONFIG = "config.json"

# transformers.SpecialTokensMixin, in the order in which new tokens get their ids.
NAMES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
GPT2_CLASS = "GPT2Tokenizer"
SWITCHES = ("add_prefix_space", "add_bos_token", "add_eos_token", "split_special_tokens")
# Classes that use tokenizer.json unchanged.
FILE_CLASSES = ("PreTrainedTokenizer", "TokenizersBackend")


@dataclass
class TokenizerSettings:
    """The settings of a folder's tokenizer.

    class_name: the class of transformers, without `Fast`.
    named: tokens by names such as `eos_token`; None for a disabled one.
    added: tokens by their ids in the files.
    extra: further special tokens.
    options: the rest of tokenizer_config.json.
    ends: the `eos_token_id` of generation_config.json or config.json.
    """

    class_name: str
    named: dict[str, AddedToken | str | None]
    added: dict[int, AddedToken]
    extra: list[AddedToken | str]
    options: dict[str, Any]
    ends: frozenset[int] = field(default_factory=frozenset)

    @property
    def is_empty(self) -> bool:
        """Whether no token is named or added."""
        return not (self.named or self.added or self.extra)


def read_settings(folder: Path, content: Mapping[str, Any] | None) -> TokenizerSettings:
    """Read the settings of a folder.

    Args:
        content: of its tokenizer.json, if it has one.

    Raises:
        UserError: a damaged file, or a tokenizer that requires running its own code.
    """
    options, model = _read(folder, TOKENIZER_CONFIG), _read(folder, MODEL_CONFIG)
    class_name = options.pop("tokenizer_class", None) or model.get("tokenizer_class")
    if options.get("auto_map"):
        raise UserError(
            f"{folder / TOKENIZER_CONFIG} names its own code (auto_map), which is not run; "
            "save the tokenizer as tokenizer.json with the class PreTrainedTokenizerFast"
        )
    try:
        settings = _settings(folder, options, content)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"the tokenizer settings in {folder} are damaged ({error}); save them again"
        ) from None
    settings.class_name = str(class_name or GPT2_CLASS).removesuffix("Fast")
    settings.ends = read_ends(folder)
    return settings


def read_ends(folder: Path) -> frozenset[int]:
    """Read the `eos_token_id` with which transformers ends a generation: one id, several, or none.

    generation_config.json takes precedence over config.json.

    Raises:
        UserError: it is neither an id nor a list of ids.
    """
    for file in (GENERATION_CONFIG, MODEL_CONFIG):
        found = _read(folder, file).get("eos_token_id")
        if found is None:
            continue
        ids = found if isinstance(found, list) else [found]
        if not all(isinstance(id, int) and not isinstance(id, bool) for id in ids):
            raise UserError(f"{folder / file} has the eos_token_id {found!r}; give a token's id")
        return frozenset(ids)
    return frozenset()


def name_as_gpt2(engine: Engine, settings: TokenizerSettings) -> None:
    """Set unnamed special tokens to `<|endoftext|>`, as transformers' class GPT2Tokenizer does.

    A vocabulary without it would get an id beyond the model's rows; it is not added then, unless
    the ids of other tokens depend on it.
    """
    is_added = any(token.content == END_OF_TEXT for token in settings.added.values())
    if engine.token_to_id(END_OF_TEXT) is None and not is_added and not settings.extra:
        return
    for name in ("bos_token", "eos_token", "unk_token"):
        settings.named.setdefault(name, END_OF_TEXT)


def add_tokens(engine: Engine, settings: TokenizerSettings) -> None:
    """Add the tokens of the settings to an engine, in transformers' order.

    Raises:
        UserError: a token gets another id than in the files.
    """
    tokens: list[AddedToken | str] = [token for _, token in sorted(settings.added.items())]
    known = {token.content for token in engine.get_added_tokens_decoder().values()}
    known |= {_content(token) for token in tokens}
    names = {_content(token) for token in settings.named.values() if token is not None}
    for token in [*settings.named.values(), *settings.extra]:
        if token is not None and _content(token) not in known:
            tokens.append(token)
            known.add(_content(token))
    added = []
    for token in tokens:
        if isinstance(token, str):
            token = AddedToken(token, special=True)
        elif token.content in names:
            token.special = True
        added.append(token)
    engine.add_tokens(added)
    for id, token in settings.added.items():
        given = engine.token_to_id(token.content)
        if given != id:
            raise UserError(
                f"the token {token.content!r} has the id {id} in the files, but transformers gives "
                f"it {given}: the ids between have no token; number the added tokens without a gap"
            )


def add_template(engine: Engine, settings: TokenizerSettings) -> None:
    """Add begin and end tokens to every text according to `add_bos_token` and `add_eos_token`."""
    first = settings.named.get("bos_token") if settings.options.get("add_bos_token") else None
    last = settings.named.get("eos_token") if settings.options.get("add_eos_token") else None
    around = [_content(token) for token in (first, last) if token is not None]
    if not around:
        return
    template = [f"{_content(first)}:0"] if first is not None else []
    template += ["$A:0", *([f"{_content(last)}:0"] if last is not None else [])]
    special = [(name, engine.token_to_id(name)) for name in dict.fromkeys(around)]
    engine.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)


def _check_switches(options: Mapping[str, Any]) -> None:
    """Raises UserError for a switch that is neither true nor false."""
    for name in SWITCHES:
        if not isinstance(options.get(name), (bool, type(None))):
            raise UserError(f"its {name} is {options[name]!r}; give true or false")


def _settings(
    folder: Path, options: dict[str, Any], content: Mapping[str, Any] | None
) -> TokenizerSettings:
    _check_switches(options)
    if not options.get("extra_special_tokens"):
        options["extra_special_tokens"] = options.pop("additional_special_tokens", None) or []
    named: dict[str, Any] = {name: options.pop(name) for name in NAMES if name in options}
    custom = [key for key in options if key.endswith("_token") and isinstance(options[key], str)]
    of_model = {key: options.pop(key) for key in custom}
    added: dict[int, AddedToken] = {}
    if "added_tokens_decoder" in options:
        for id, token in options.pop("added_tokens_decoder").items():
            added[int(id)] = _token(token)
    else:
        _read_older_files(folder, options, named, added)
        for token in (content or {}).get("added_tokens", []):
            added[int(token["id"])] = _token(token)
    extra = options.pop("extra_special_tokens")
    if isinstance(extra, dict):
        of_model |= extra
        extra = []
    if content and content.get("padding"):
        named.setdefault("pad_token", content["padding"]["pad_token"])
    by_content = {token.content: token for token in added.values()}
    named |= of_model
    tokens = {name: None if token is None else _token(token) for name, token in named.items()}
    return TokenizerSettings(
        class_name=GPT2_CLASS,
        named={
            name: token if token is None else by_content.get(_content(token), token)
            for name, token in tokens.items()
        },
        added=added,
        extra=[_token(token) for token in extra],
        options=options,
    )


def _read_older_files(
    folder: Path, options: dict[str, Any], named: dict[str, Any], added: dict[int, AddedToken]
) -> None:
    """Read special_tokens_map.json and added_tokens.json, for folders without a newer list."""
    for key, value in _read(folder, SPECIAL_TOKENS_MAP).items():
        if key in ("additional_special_tokens", "extra_special_tokens"):
            if isinstance(value, dict):
                named.update(value)
            else:
                options["extra_special_tokens"] = value
        elif isinstance(value, dict):
            named[key] = _token({**value, "special": True})
        elif key in NAMES or (key.endswith("_token") and isinstance(value, str)):
            named[key] = value
    extra = options["extra_special_tokens"]
    special = {_content(_token(token)) for token in named.values() if token is not None}
    special |= {_content(_token(token)) for token in (extra if isinstance(extra, list) else [])}
    for name, id in _read(folder, ADDED_TOKENS).items():
        is_special = name in special
        added[int(id)] = AddedToken(name, normalized=not is_special, special=is_special)


def _token(value: Any) -> Any:
    """Parse a token: a string, or an object with its content and flags."""
    content = value.get("content") if isinstance(value, dict) else value
    if isinstance(value, AddedToken) or (isinstance(value, str) and value):
        return value
    if not isinstance(value, dict) or not (isinstance(content, str) and content):
        raise UserError(f"{value!r} is not a token; give a string, or an object with a content")
    flags = {name: flag for name, flag in value.items() if name not in ("__type", "id")}
    return AddedToken(flags.pop("content"), **flags)


def _content(token: Any) -> str:
    return token.content if isinstance(token, AddedToken) else str(token)


def _read(folder: Path, name: str) -> dict[str, Any]:
    return read_json_object(folder / name) if (folder / name).is_file() else {}
