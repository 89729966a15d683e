"""From a model that continues texts to one that answers: render, mask, grow, reply.

A conversation is a list of turns (role, text), in which "user" and "assistant" alternate. Its ids
are those of `<|user|>` text `<|endoftext|>` `<|assistant|>` text `<|endoftext|>` and so on, with
nothing between them.
"""

from collections.abc import Container, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Turns = Sequence[tuple[str, str]]


class Tokenizer(Protocol):
    """The methods and ids of a tokenizer that a conversation needs; the kit's have more."""

    user: int
    assistant: int
    end: int

    def encode(self, text: str) -> list[int]:
        """Ids of a text. A role's name in it is encoded as plain text."""
        ...


def render(turns: Turns, tokenizer: Tokenizer) -> tuple[Int[Tensor, "seq"], Bool[Tensor, "seq"]]:
    """The ids of a conversation, and which of them are targets.

    Targets are the assistant's text and the end after it: the model learns to answer and to stop.
    Roles and the user's turns are read, not learned.

    Raises ValueError for a role that is neither "user" nor "assistant".
    """
    ids: list[int] = []
    is_target: list[bool] = []
    for role, text in turns:
        if role not in ("user", "assistant"):
            raise ValueError(f"the role is {role!r}; give 'user' or 'assistant'")
        is_assistant = role == "assistant"
        said = [*tokenizer.encode(text), tokenizer.end]
        ids += [tokenizer.assistant if is_assistant else tokenizer.user, *said]
        is_target += [False, *[is_assistant] * len(said)]
    return torch.tensor(ids), torch.tensor(is_target)


def batch_of(
    rendered: Sequence[tuple[Int[Tensor, "_"], Bool[Tensor, "_"]]],
) -> tuple[Int[Tensor, "batch seq"], Bool[Tensor, "batch seq"]]:
    """Conversations as rows of one length, padded on the right with id 0, and the mask of targets.

    A causal model cannot see tokens to the right, so padding outside the targets does not change
    the loss.

    Raises ValueError for no conversation at all.
    """
    if not rendered:
        raise ValueError("0 conversations make no batch; give at least 1")
    longest = max(len(ids) for ids, _ in rendered)
    tokens = [F.pad(ids, (0, longest - len(ids))) for ids, _ in rendered]
    masks = [F.pad(is_target, (0, longest - len(is_target))) for _, is_target in rendered]
    return torch.stack(tokens), torch.stack(masks)


def masked_loss(
    logits: Float[Tensor, "batch seq d_vocab"],
    tokens: Int[Tensor, "batch seq"],
    is_target: Bool[Tensor, "batch seq"],
) -> Float[Tensor, ""]:
    """Mean cross-entropy, in nats, of the tokens that are targets, given the ones before them.

    The logits at position p are scored against token p + 1, where that is a target; the last logits
    have none. The mean is over all targets of the batch, not over the rows' means.

    Raises ValueError when there is no target.
    """
    is_asked = is_target[:, 1:]
    if not is_asked.any():
        raise ValueError(f"{len(tokens)} rows have no target; give at least one")
    return F.cross_entropy(logits[:, :-1][is_asked], tokens[:, 1:][is_asked])


def grow(
    W_E: Float[Tensor, "d_vocab d_model"],
    new_tokens: int,
    *,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "d_vocab_grown d_model"]:
    """The table of embeddings with rows for new tokens after the old ones.

    A new row is drawn from a normal distribution with the mean and the standard deviation of the
    old rows, dimension by dimension: it is about as large as they are, and unlike each of them
    (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models", for the mean).
    The old rows stay as they are.

    generator: source of randomness; by default torch's global one.

    Raises ValueError for a negative number of new tokens.
    """
    if new_tokens < 0:
        raise ValueError(f"new_tokens is {new_tokens}; give 0 or more")
    noise = torch.randn(new_tokens, W_E.shape[1], generator=generator, dtype=W_E.dtype)
    return torch.cat([W_E, W_E.mean(dim=0) + W_E.std(dim=0) * noise])


@torch.no_grad()
def reply(
    model: nn.Module, prompt: Int[Tensor, "seq"], stops: Container[int], max_new_tokens: int
) -> list[int]:
    """The model's answer to a prompt that ends with the assistant's role.

    Each token is the most likely one, without dropout, until one of `stops`, which is not part of
    the answer, or until there are max_new_tokens. The stops are the end of a turn and both roles:
    a model that continues with the user's turn has finished its answer.

    Raises ValueError for an empty prompt.
    """
    if len(prompt) == 0:
        raise ValueError("the prompt is empty; give at least the assistant's role")
    model.eval()
    said: list[int] = []
    while len(said) < max_new_tokens:
        tokens = torch.cat([prompt, torch.tensor(said, dtype=prompt.dtype)])
        token = int(model(tokens[None])[0, -1].argmax())
        if token in stops:
            break
        said.append(token)
    return said
