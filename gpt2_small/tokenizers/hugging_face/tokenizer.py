"""Tokenize with the `tokenizers` library, from a Hugging Face folder's files."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Engine

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.chat_roles import ASSISTANT, SUFFIX, USER
from gpt2_small.tokenizers.gpt2_table import byte_letters
from gpt2_small.tokenizers.protocol import BaseTokenizer, Roles, check_ids
from gpt2_small.tokenizers.surrogates import encode_around_escapes, has_surrogates


class HuggingFaceTokenizer(BaseTokenizer):
    """Byte-level byte pairs with the added tokens and settings of a folder's files.

    Added tokens are matched in a text; special ones only by `encode_special`. `encode` applies the
    post-processor.

    Args:
        engine: the tokenizer of the `tokenizers` library, which is modified.
        named: the texts of tokens by names such as `eos_token`.
        ends: ids that end a continuation, besides the `eos_token`.
        split_special: whether `encode_special` splits special tokens, too.

    Raises:
        UserError: a tokenizer that is not byte-level, loses bytes, or is random.
    """

    kind = "hugging-face"

    def __init__(
        self,
        engine: Engine,
        *,
        named: Mapping[str, str],
        ends: Iterable[int] = (),
        split_special: bool = False,
    ) -> None:
        engine.no_truncation()
        engine.no_padding()
        engine.encode_special_tokens = True
        check_engine(engine)
        self.named, self.split_special = dict(named), split_special
        self.vocab_size = engine.get_vocab_size()
        added = engine.get_added_tokens_decoder()
        self._special = {t.content: id for id, t in sorted(added.items()) if t.special}
        self.name = self.kind if self.roles is None else self.kind + SUFFIX
        eos = self._id_of("eos_token", engine)
        known = {id for id in ends if 0 <= id < self.vocab_size}
        self._ends = frozenset(known if eos is None else known | {eos})
        self.end_of_text = min(known, default=None) if eos is None else eos
        bos = self._id_of("bos_token", engine)
        self._start = self.end_of_text if bos is None else bos
        self._engine = engine
        letters = byte_letters()
        words = [engine.id_to_token(id) or "" for id in range(self.vocab_size)]
        self._bytes = [_bytes_of(word, letters) for word in words]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "HuggingFaceTokenizer":
        """Restore a tokenizer from `to_dict`."""
        return cls(
            read_engine(json.dumps(data["engine"])),
            named=data["named"],
            ends=data["ends"],
            split_special=data["split_special"],
        )

    @property
    def ends(self) -> frozenset[int]:
        """The `eos_token` and the model's `eos_token_id`."""
        return self._ends

    @property
    def start_of_text(self) -> int | None:
        """The `bos_token`, else the end of text."""
        return self._start

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The added tokens marked as special."""
        return self._special

    @property
    def roles(self) -> Roles | None:
        """`<|user|>` and `<|assistant|>`, if both are special tokens."""
        if USER in self._special and ASSISTANT in self._special:
            return Roles(self._special[USER], self._special[ASSISTANT])
        return None

    def encode(self, text: str) -> list[int]:
        """Ids of a whole text, with the post-processor's tokens."""
        if not has_surrogates(text):
            return _ids(self._engine, text)
        before, after = self.around
        return [*before, *self.encode_ordinary(text), *after]

    def encode_ordinary(self, text: str) -> list[int]:
        """Ids of a piece of text. A surrogate that stands for a byte (PEP 383) becomes it."""
        return encode_around_escapes(text, self._encode_clean, self._byte_ids)

    def encode_special(self, text: str) -> list[int]:
        """Ids of a whole text as in transformers, with special tokens matched."""
        if self.split_special or has_surrogates(text):
            return super().encode_special(text) if not self.split_special else self.encode(text)
        return _ids(self._matching_engine, text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, including special tokens."""
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Bytes of `ids`."""
        check_ids(ids, self)
        return b"".join([self._bytes[id] for id in ids])

    def with_roles(self) -> "HuggingFaceTokenizer":
        """Add `<|user|>` and `<|assistant|>` after the last id.

        Raises:
            UserError: one of the two is a token already, and the other or both are not special.
        """
        engine = self.engine()
        for role in (USER, ASSISTANT):
            if engine.token_to_id(role) is not None:
                raise UserError(
                    f"tokenizer {self.name!r} has {role}, but not {USER} and {ASSISTANT} as "
                    "special tokens; mark both as special in its files, or take them out"
                )
        roles = [AddedToken(role, special=True, normalized=False) for role in (USER, ASSISTANT)]
        engine.add_special_tokens(roles)
        return HuggingFaceTokenizer(
            engine, named=self.named, ends=self._ends, split_special=self.split_special
        )

    def engine(self) -> Engine:
        """A copy of the library's tokenizer that matches special tokens, as in transformers."""
        return read_engine(self._engine.to_str())

    def to_dict(self) -> dict[str, Any]:
        """The library's JSON, the named tokens and the ends."""
        return {
            "name": self.name,
            "engine": json.loads(self._engine.to_str()),
            "named": self.named,
            "ends": sorted(self._ends),
            "split_special": self.split_special,
        }

    @cached_property
    def _matching_engine(self) -> Engine:
        return self.engine()

    @property
    def around(self) -> tuple[Sequence[int], Sequence[int]]:
        """The ids that the post-processor adds before and after each text."""
        return self._around

    @cached_property
    def _around(self) -> tuple[list[int], list[int]]:
        bare, whole = _ids(self._engine, "a", around=False), _ids(self._engine, "a")
        first = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
        return whole[:first], whole[first + len(bare) :]

    @cached_property
    def _byte_ids(self) -> list[int]:
        ids = [0] * 256
        for letter, byte in byte_letters().items():
            id = self._engine.token_to_id(letter)
            if id is None:
                raise UserError(f"tokenizer {self.name!r} has no token for the byte {byte}")
            ids[byte] = id
        return ids

    def _id_of(self, name: str, engine: Engine) -> int | None:
        token = self.named.get(name)
        return None if token is None else engine.token_to_id(token)

    def _encode_clean(self, text: str) -> list[int]:
        return _ids(self._engine, text, around=False)


def _ids(engine: Engine, text: str, *, around: bool = True) -> list[int]:
    """Encode a text with the library's call that computes no offsets."""
    return list(engine.encode_batch_fast([text], add_special_tokens=around)[0].ids)


def read_engine(text: str) -> Engine:
    """Read the library's tokenizer from its JSON.

    Raises:
        UserError: the library cannot read it.
    """
    with refusing_panics():
        return Engine.from_str(text)


@contextmanager
def refusing_panics() -> Iterator[None]:
    """In this context, turn the library's errors, including panics, into a UserError."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic is not an Exception
        raise UserError(f"the tokenizers library cannot read it ({error})") from None


def check_engine(engine: Engine) -> None:
    """Raises UserError unless an engine is deterministic byte-level BPE with consecutive ids."""
    model = engine.model
    if type(model).__name__ != "BPE" or type(engine.decoder).__name__ != "ByteLevel":
        raise UserError(another_kind(json.loads(engine.to_str())))
    if model.dropout:
        raise UserError(f"its dropout of {model.dropout:.3g} draws merges at random; set it to 0")
    vocabulary = engine.get_vocab()
    missing = [letter for letter in byte_letters() if letter not in vocabulary]
    if missing and model.unk_token is None:
        raise UserError(
            f"{len(missing)} of the 256 bytes are missing, so it would drop them from a text; "
            "train it with all of them (ByteLevel.alphabet())"
        )
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise UserError(f"the ids of its {len(vocabulary)} tokens do not run from 0 without a gap")


def another_kind(content: Mapping[str, Any]) -> str:
    """The message for a tokenizer that is not byte-level BPE."""
    model, decoder = content["model"].get("type"), (content.get("decoder") or {}).get("type")
    return (
        f"it describes a tokenizer of another kind (model {model}, decoder {decoder}); byte-level "
        "byte pairs (model BPE, decoder ByteLevel) can be used"
    )


def _bytes_of(word: str, letters: Mapping[str, int]) -> bytes:
    """The bytes of a token according to the library's ByteLevel decoder."""
    if all(letter in letters for letter in word):
        return bytes(letters[letter] for letter in word)
    return word.encode()
