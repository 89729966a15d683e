"""Add the role tokens of a conversation to a tokenizer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpt2_small.tokenizers.gpt2 import GPT2Tokenizer
from gpt2_small.tokenizers.protocol import (
    END_OF_TEXT,
    BaseTokenizer,
    Roles,
    Tokenizer,
    check_ids,
)
from gpt2_small.tokenizers.words import WordTokenizer

USER, ASSISTANT = "<|user|>", "<|assistant|>"
SUFFIX = "-chat"

# GPT-2's vocabulary with its roles, padded to a multiple of 128 as nanoGPT pads it.
GPT2_CHAT_ROWS = 50304


def with_roles(tokenizer: Tokenizer) -> Tokenizer:
    """Add `<|user|>` and `<|assistant|>` to a tokenizer, unless it has them already.

    Raises:
        UserError: one of the names is already a token of another kind.
    """
    if tokenizer.roles is not None:
        return tokenizer
    own: Callable[[], Tokenizer] | None = getattr(tokenizer, "with_roles", None)
    return ChatTokenizer(tokenizer) if own is None else own()


def extends(tokenizer: Tokenizer, other: Tokenizer) -> bool:
    """Whether a tokenizer adds roles, and possibly words, after the ids of another one."""
    if not isinstance(tokenizer, ChatTokenizer):
        return False
    base = tokenizer.base
    if isinstance(base, WordTokenizer) and isinstance(other, WordTokenizer):
        return base.vocabulary[: other.vocab_size] == other.vocabulary
    return base.to_dict() == other.to_dict()


class ChatTokenizer(BaseTokenizer):
    """A tokenizer with the two roles after its last id, and an end of text if it had none.

    A role's name in a text is encoded as plain characters; only `roles` gives the ids.

    Args:
        base: a tokenizer without roles.
    """

    def __init__(self, base: Tokenizer) -> None:
        self.base = base
        self.name = base.name + SUFFIX
        self.vocab_size = base.vocab_size + 2 + (base.end_of_text is None)
        self.end_of_text = self.vocab_size - 1 if base.end_of_text is None else base.end_of_text
        self._roles = Roles(base.vocab_size, base.vocab_size + 1)
        self._names = {self._roles.user: USER, self._roles.assistant: ASSISTANT}
        if base.end_of_text is None:
            self._names[self.end_of_text] = END_OF_TEXT

    @property
    def d_vocab(self) -> int:
        """Rows of a new model's embedding: 50,304 for `gpt2-chat`."""
        return GPT2_CHAT_ROWS if isinstance(self.base, GPT2Tokenizer) else self.vocab_size

    @property
    def ends(self) -> frozenset[int]:
        """The base's end tokens and the end of text."""
        return self.base.ends | super().ends

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The base's special tokens and the roles."""
        return {**self.base.special_tokens, **{name: id for id, name in self._names.items()}}

    @property
    def around(self) -> tuple[Sequence[int], Sequence[int]]:
        """The ids that the base adds before and after a text."""
        return self.base.around

    @property
    def added_names(self) -> list[str]:
        """The names of the tokens after the base's, in the order of their ids."""
        return [self._names[id] for id in sorted(self._names)]

    @property
    def roles(self) -> Roles:
        """The ids of the user and of the assistant."""
        return self._roles

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, encoded by the base."""
        return self.base.encode(text)

    def encode_ordinary(self, text: str) -> list[int]:
        """Ids of a piece of text, encoded by the base, without end tokens.

        Typed text must not end a turn, as a line break would with a word tokenizer.
        """
        return [id for id in self.base.encode_ordinary(text) if id not in self.ends]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, including the names of roles."""
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Bytes of `ids`."""
        check_ids(ids, self)
        parts: list[bytes] = []
        piece: list[int] = []
        for id in ids:
            if id in self._names:
                parts += [self.base.decode_bytes(piece), self._names[id].encode()]
                piece = []
            else:
                piece.append(int(id))
        return b"".join([*parts, self.base.decode_bytes(piece)])

    def to_dict(self) -> dict[str, Any]:
        """The name, and the base's `to_dict`."""
        return {"name": self.name, "base": self.base.to_dict()}
