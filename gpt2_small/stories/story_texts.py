"""Draw stories from the grammar: the training text, and windows of it."""

from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate, chain
from random import Random

import torch
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.stories.rules import GRAMMAR
from gpt2_small.stories.stories_tokenizer import BEGIN_ID, VOCABULARY, join_words

TRAINING_STORIES = 25_000
_IDS = {word: number for number, word in enumerate(VOCABULARY)}


def generate_story(rng: Random) -> list[str]:
    """Draw the words of one story, without begin token, deterministically from `rng`."""
    words: list[str] = []
    GRAMMAR.derive(lambda node: node.branch_at(rng.random()), words.extend)
    return words


def training_stories(seed: int, count: int = TRAINING_STORIES) -> list[list[str]]:
    """Draw the first stories of a seed's training text, each a list of words."""
    rng = Random(f"stories training {seed}")
    return [generate_story(rng) for _ in range(count)]


@lru_cache(maxsize=1)
def training_text(seed: int) -> str:
    """The training text of a seed, one story on each line."""
    tokens, begins = _training_stream(seed)
    ids = tokens.tolist()
    spans = zip(begins, [*begins[1:], len(ids)], strict=True)
    return "\n".join(
        join_words([VOCABULARY[id] for id in ids[begin + 1 : end]]) for begin, end in spans
    )


def stories_windows(
    seed: int,
    step: int,
    batch: int,
    n_ctx: int,
    *,
    order_seed: int = 0,
    validation: bool = False,
) -> Tensor:
    """Draw the windows of one step, int64 `[batch, n_ctx + 1]`: a pure function of the arguments.

    Every window begins with a story. Training windows come from random positions of the seed's
    training text, validation windows from newly drawn stories.

    Args:
        seed: of the training text.
        order_seed: of the positions of training windows.

    Raises:
        UserError: a window is longer than the training text.
    """
    name = f"stories windows {'validation' if validation else 'training'} {seed} {step}"
    rng = Random(name if order_seed == 0 else f"{name} in the order of {order_seed}")
    if validation:
        return torch.stack([_fresh_window(rng, n_ctx + 1) for _ in range(batch)])
    tokens, begins = _training_stream(seed)
    last = bisect_right(begins, len(tokens) - n_ctx - 1)
    if last == 0:
        raise UserError(
            f"a window of {n_ctx} tokens is longer than the training text ({len(tokens)})"
        )
    chosen = [begins[int(rng.random() * last)] for _ in range(batch)]
    return torch.stack([tokens[begin : begin + n_ctx + 1] for begin in chosen])


def _fresh_window(rng: Random, length: int) -> Tensor:
    ids: list[int] = []
    while len(ids) < length:
        ids += _ids(generate_story(rng))
    return torch.tensor(ids[:length])


def training_tokens(seed: int) -> Tensor:
    """The ids of a seed's training text, int64 `[tokens]`."""
    return _training_stream(seed)[0]


@lru_cache(maxsize=2)
def _training_stream(seed: int) -> tuple[Tensor, list[int]]:
    """The ids of a seed's training text, and the positions at which stories begin."""
    stories = [_ids(story) for story in training_stories(seed)]
    begins = [0, *accumulate(map(len, stories))][:-1]
    return torch.tensor(list(chain.from_iterable(stories))), begins


def _ids(story: list[str]) -> list[int]:
    return [BEGIN_ID, *(_IDS[word] for word in story)]
