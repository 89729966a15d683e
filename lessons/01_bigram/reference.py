"""A bigram model: count pairs, smooth, score, draw, and learn the same table by gradient.

A bigram model predicts the next token only from the one before it. Its parameters are one table
[d_vocab d_vocab], whose row a is the distribution of the token after token a.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def count_pairs(tokens: Int[Tensor, "seq"], d_vocab: int) -> Int[Tensor, "d_vocab d_vocab"]:
    """Count how often token b follows token a, at [a, b] (Shannon 1948, section 3).

    A text of n tokens has n - 1 pairs, which overlap: every token but the ends is in two of them.

    Raises ValueError for fewer than two tokens.
    """
    if len(tokens) < 2:
        raise ValueError(f"{len(tokens)} tokens hold no pair; give at least 2")
    pair = tokens[:-1] * d_vocab + tokens[1:]
    return torch.bincount(pair, minlength=d_vocab * d_vocab).view(d_vocab, d_vocab)


def probabilities(
    counts: Int[Tensor, "d_vocab d_vocab"], added: float = 1.0
) -> Float[Tensor, "d_vocab d_vocab"]:
    """Turn counts into the distribution of the next token, row by row, in float64.

    `added` is added to every count, so that an unseen pair is not impossible (Jurafsky
    and Martin, "Speech and Language Processing", section 3.6). With added = 0, a row without counts
    is all zeros.

    Raises ValueError for a negative `added`.
    """
    if added < 0:
        raise ValueError(f"added is {added}; give 0 or more")
    smoothed = counts.double() + added
    total = smoothed.sum(dim=1, keepdim=True)
    return torch.where(total > 0, smoothed / total.clamp(min=1e-300), 0.0)


def mean_loss(
    table: Float[Tensor, "d_vocab d_vocab"], tokens: Int[Tensor, "seq"]
) -> Float[Tensor, ""]:
    """The mean negative log-probability of every token given the one before it, in nats.

    A pair of probability 0 makes the loss infinite.

    Raises ValueError for fewer than two tokens.
    """
    if len(tokens) < 2:
        raise ValueError(f"{len(tokens)} tokens have no target; give at least 2")
    return -table[tokens[:-1], tokens[1:]].log().mean()


def draw(
    table: Float[Tensor, "d_vocab d_vocab"],
    first: int,
    length: int,
    *,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "length"]:
    """Draw a text of `length` tokens that begins with `first`, each token by the row before it.

    generator: source of randomness; by default torch's global one.

    Raises ValueError for a length below 1.
    """
    if length < 1:
        raise ValueError(f"length is {length}; give at least 1")
    text = [first]
    while len(text) < length:
        text.append(int(torch.multinomial(table[text[-1]], num_samples=1, generator=generator)))
    return torch.tensor(text)


def logits_loss(
    logits: Float[Tensor, "d_vocab d_vocab"], tokens: Int[Tensor, "seq"]
) -> Float[Tensor, ""]:
    """The same loss of a table of logits, whose rows are turned into distributions by a softmax.

    It can be differentiated with respect to the logits: this is a neural network with one layer,
    which looks a row up (Bengio et al. 2003, "A Neural Probabilistic Language Model", section 2,
    for the idea).
    """
    return F.cross_entropy(logits[tokens[:-1]], tokens[1:])
