"""Prepare conversations: read, convert, render and split them, and write them to a folder."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from gpt2_small.data.conversations.chat_folder import split_writers, write_index
from gpt2_small.data.conversations.chat_sources import DIALOGUES, open_chat_source
from gpt2_small.data.conversations.conversation import (
    NO_ANSWER,
    NO_ANSWER_IN_TEXT,
    NO_KNOWN_ROLE,
    NO_TARGET,
    Audit,
    Conversation,
    conform,
)
from gpt2_small.data.conversations.oasst import BEST, OTHER_LANGUAGE, PATHS
from gpt2_small.data.conversations.record_shapes import FROM
from gpt2_small.data.conversations.rendering import (
    DROPPED,
    NOTHING_LEFT,
    TOO_LONG,
    RenderedConversation,
    render,
    role_id,
)
from gpt2_small.data.corpora.corpus import (
    FEW_DOCUMENTS,
    SPLIT_NAMES,
    SPLITS,
    HeldOut,
    always_held_out,
    document_hash,
)
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.files.atomic import atomic_folder
from gpt2_small.tokenizers.chat_roles import with_roles
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import check_spec, make_tokenizer, save_tokenizer
from gpt2_small.tokenizers.surrogates import text_to_bytes

CHAT_SPLITS = ("tree", "path")
VALIDATION_SHARE = 0.05
DIALOGUE_TOKENIZER = "dialogues-chat"
LARGEST_VOCABULARY = 2**16
WAYS_OUT = {
    DROPPED: "give a larger --max-length",
    NOTHING_LEFT: "give a larger --max-length",
    NO_ANSWER: "give conversations in which the assistant answers the user",
    NO_ANSWER_IN_TEXT: "give conversations whose turns are texts",
    NO_TARGET: "give conversations with an answer to learn",
}
DUPLICATES = "identical to an earlier one (not removed)"


@dataclass(frozen=True, kw_only=True)
class ChatOptions:
    """Options of preparing conversations.

    shape: the format of the rows (`--from`); None detects it by their fields.
    tokenizer: the name of one with roles, or a tokenizer, which gets them; None for `gpt2-chat`, or
        the dialogues' own.
    lang: of oasst's trees; None for `en`, `all` for every language.
    paths: through oasst's trees: `best` of each, or `all`; None for `best`.
    split: by `tree`, so that conversations with the same beginning are in one split, or by `path`.
    max_length: of a conversation, in tokens.
    too_long: `drop-turns` drops the oldest turns, `drop` the conversation.
    validation_share: of the conversations.
    limit: the number of rows to read; None for all.

    Raises UserError for an invalid value.
    """

    shape: str | None = None
    tokenizer: str | Tokenizer | None = None
    lang: str | None = None
    paths: str | None = None
    split: str = "tree"
    max_length: int = 1024
    too_long: str = "drop-turns"
    validation_share: float = VALIDATION_SHARE
    limit: int | None = None

    def __post_init__(self) -> None:
        for flag, value, known in (
            ("--from", self.shape, FROM),
            ("--paths", self.paths, PATHS),
            ("--split", self.split, CHAT_SPLITS),
            ("--too-long", self.too_long, TOO_LONG),
        ):
            if value is not None and value not in known:
                guess = did_you_mean(value, known, otherwise=f"give {' or '.join(known)}")
                raise UserError(f"{flag} is {value!r}; {guess}")
        if self.max_length < 4:
            raise UserError(f"--max-length is {self.max_length}; give at least 4 tokens")
        if not 0 < self.validation_share <= 0.5:
            raise UserError(
                f"--validation-share is {self.validation_share}; give more than 0 and at most 0.5"
            )
        if isinstance(self.tokenizer, str) and self.tokenizer != DIALOGUE_TOKENIZER:
            check_spec(self.tokenizer)


@dataclass(frozen=True)
class PreparedChats:
    """The written index, and the counts of changed and dropped conversations."""

    folder: Path
    index: dict[str, Any]
    audit: Audit


def prepare_chats(name: str, folder: str | Path, options: ChatOptions) -> PreparedChats:
    """Prepare a folder of conversations, atomically.

    Raises UserError when the source cannot be read, the folder is not empty, or no conversation
    remains.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already and was not changed; give another folder")
    audit = Audit()
    source = open_chat_source(
        name,
        shape=options.shape,
        lang=options.lang,
        paths=options.paths,
        limit=options.limit,
        audit=audit,
    )
    found: Iterator[Conversation] | list[Conversation] = (
        conversation for raw in source.conversations if (conversation := conform(raw, audit))
    )
    given = options.tokenizer or (DIALOGUE_TOKENIZER if name == DIALOGUES else "gpt2-chat")
    if isinstance(given, str) and given.partition(":")[0] in ("bpe", "char", "char-chat"):
        found = list(found)
    tokenizer = _tokenizer(given, found)
    with atomic_folder(folder) as aside:
        save_tokenizer(tokenizer, aside)
        with split_writers(aside) as writers:
            of_keys = _rendered(found, tokenizer, options, audit)
            for split, rendered in _divided(of_keys, options.validation_share):
                writers[split].append(rendered)
        for split, writer in writers.items():
            if not writer.conversations:
                raise UserError(_nothing_for(split, name, options.split, audit))
        index = write_index(
            aside,
            tokenizer,
            {split: writers[split].facts(aside) for split in SPLITS},
            source={"name": name, "format": source.shape, **source.origin},
            settings=asdict(replace(options, tokenizer=None))
            | {"paths": options.paths or BEST, "tokenizer": tokenizer.name},
            audit=audit.as_json(),
        )
    return PreparedChats(folder, index, audit)


def _rendered(
    found: Iterator[Conversation] | list[Conversation],
    tokenizer: Tokenizer,
    options: ChatOptions,
    audit: Audit,
) -> Iterator[tuple[bytes, RenderedConversation]]:
    """The hash of each conversation's key, and its rendering; duplicates are counted."""
    seen: set[bytes] = set()
    for conversation in found:
        rendered = render(
            conversation,
            tokenizer,
            max_length=options.max_length,
            too_long=options.too_long,
            audit=audit,
        )
        if rendered is None:
            continue
        key = "\0".join(turn.text for turn in conversation.turns)
        digest = hashlib.blake2b(text_to_bytes(key), digest_size=12).digest()
        audit.changed[DUPLICATES] += digest in seen
        seen.add(digest)
        key = conversation.key if options.split == "tree" else key
        yield document_hash(text_to_bytes(key)), rendered


def _divided(
    found: Iterator[tuple[bytes, RenderedConversation]], share: float
) -> Iterator[tuple[str, RenderedConversation]]:
    """Each conversation's split; the tenth different key is held out if no other is."""
    held_out, waiting = HeldOut(share), []
    for hash, rendered in found:
        waiting.append((hash, rendered))
        if held_out.split_of(hash) == "val":
            break
    else:
        held_out = HeldOut(share, always_held_out(hash for hash, _ in waiting))
    for hash, rendered in chain(waiting, found):
        yield held_out.split_of(hash), rendered


def _tokenizer(
    given: str | Tokenizer, found: Iterator[Conversation] | list[Conversation]
) -> Tokenizer:
    """A tokenizer with roles: the given one, or one of a name, trained on all turns if need be.

    Raises UserError for one without roles, or with ids that do not fit in uint16.
    """
    if given == DIALOGUE_TOKENIZER:
        from gpt2_small.stories.dialogues.dialogue_tokenizer import dialogue_tokenizer

        return dialogue_tokenizer()
    text = ""
    if isinstance(found, list):
        text = "\n".join(turn.text for conversation in found for turn in conversation.turns)
    tokenizer = make_tokenizer(given, text) if isinstance(given, str) else with_roles(given)
    role_id(tokenizer, "user")
    if tokenizer.vocab_size > LARGEST_VOCABULARY:
        raise UserError(
            f"tokenizer {tokenizer.name!r} has {tokenizer.vocab_size:,} ids, more than the "
            f"{LARGEST_VOCABULARY:,} that the files of conversations hold; give a smaller one"
        )
    return tokenizer


def _nothing_for(split: str, name: str, key: str, audit: Audit) -> str:
    dropped = "; ".join(f"{why}: {count}" for why, count in audit.dropped.items())
    return (
        f"no conversation of {name} is left for {SPLIT_NAMES[split]}: {audit.read} "
        f"{'was' if audit.read == 1 else 'were'} read"
        f"{f', of which were dropped: {dropped}' if dropped else ''}; "
        f"{_way_out(key, audit)}"
    )


def _way_out(key: str, audit: Audit) -> str:
    """How to get conversations for both splits, by the main reason why one has none.

    key: what keeps conversations together, as `ChatOptions.split`.
    """
    if audit.dropped.total() > audit.read / 2:
        ((reason, _),) = audit.dropped.most_common(1)
        if reason == NO_KNOWN_ROLE:
            roles = ", ".join(repr(role[:40]) for role, _ in audit.unknown_roles.most_common(3))
            return f"write user, assistant or system for the role {roles}"
        if reason.startswith(OTHER_LANGUAGE):
            return "give another --lang, or --lang all"
        if reason in WAYS_OUT:
            return WAYS_OUT[reason]
    if key == "path":
        return f"give at least {FEW_DOCUMENTS} different conversations"
    return f"give at least {FEW_DOCUMENTS} conversations with different first messages"


def shares(index: dict[str, Any]) -> dict[str, float]:
    """The fraction of targets among each split's tokens."""
    return {split: facts["targets"] / facts["tokens"] for split, facts in index["splits"].items()}
