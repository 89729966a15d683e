"""Convert a client's chat messages to a conversation, and stream the reply."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from gpt2_small.app.models import ShownModel
from gpt2_small.app.serving import fields
from gpt2_small.app.token_views import checked_ids, drawn
from gpt2_small.data.conversations.rendering import end_id, role_id, turn_ids
from gpt2_small.errors import UserError
from gpt2_small.generation import Chat, ChatTurn, Reply, SamplingOptions
from gpt2_small.generation.decoder import Decoder
from gpt2_small.stories.dialogues.dialogue_corpus import generate_dialogue, turns_of
from gpt2_small.stories.dialogues.dialogue_tokenizer import DIALOGUE_WORDS
from gpt2_small.tokenizers.chat_roles import ChatTokenizer
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.words import WordTokenizer

MOST_MESSAGES = 500
EXAMPLES = 4


def examples(tokenizer: Tokenizer) -> list[str]:
    """Example messages for a model of the stories' dialogues, which knows few words; else none."""
    base = tokenizer.base if isinstance(tokenizer, ChatTokenizer) else None
    if not isinstance(base, WordTokenizer) or base.vocabulary != DIALOGUE_WORDS[:-2]:
        return []
    openings = (turns_of(generate_dialogue(Random(seed)))[0][1] for seed in range(EXAMPLES))
    return [base.decode(base.encode(" ".join(words))) for words in openings]


def conversation_with(
    shown: ShownModel,
    messages: Sequence[Mapping[str, Any]],
    options: SamplingOptions,
    decoder: Decoder | None = None,
) -> Chat:
    """Make a conversation of all messages but the last, which is the argument of `reply`.

    messages: `role` (user or assistant) and `content`; an assistant's may contain its drawn `ids`,
        which are then used instead of its text.

    Raises UserError for a model without roles.
    """
    chat = Chat(shown.solution, shown.loaded, options)
    if decoder is not None:
        chat.decoder = decoder
    chat.turns = [turn(shown, message) for message in messages[:-1]]
    return chat


def turn(shown: ShownModel, message: Mapping[str, Any]) -> ChatTurn:
    """Convert a message to a turn of a conversation."""
    tokenizer, role, text = shown.tokenizer, message["role"], message["content"]
    ids = message.get("ids")
    if role == "assistant" and ids:
        known = checked_ids(shown, fields.token_ids(ids))
        return ChatTurn(role, text, [role_id(tokenizer, role), *known, end_id(tokenizer)])
    return ChatTurn(role, text, turn_ids(tokenizer, role, text))


def checked_messages(value: Any) -> list[dict[str, Any]]:
    """Check a client's messages: alternately of user and assistant, a user's first and last.

    Raises UserError for anything else.
    """
    if not isinstance(value, list) or not value or len(value) > MOST_MESSAGES:
        raise UserError(
            f"messages is {fields.shown(value)}; give 1 to {MOST_MESSAGES} messages with role and "
            "content"
        )
    for number, message in enumerate(value):
        role = ("user", "assistant")[number % 2]
        if not isinstance(message, dict) or message.get("role") != role:
            got = message.get("role") if isinstance(message, dict) else message
            raise UserError(
                f"message {number + 1} has the role {fields.shown(got)}, not {role!r}; "
                "user and assistant must alternate, and there are no other roles"
            )
        fields.text(message, "content")
    if len(value) % 2 == 0:
        raise UserError("the last message is not a user's; end with a message of the user")
    return value


def answer(shown: ShownModel, reply: Reply) -> Iterator[dict[str, Any]]:
    """Stream a reply token by token, in the form of `token_views.continuation`."""
    for step in reply:
        yield drawn(shown, step)
