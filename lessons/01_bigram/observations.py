"""Observe the functions of the bigram lesson, and compute expected results independently."""

from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Counts, Distribution, Observation
from gpt2_small.checker.claims.observing.probes import draws
from gpt2_small.checker.claims.observing.refusals import ending

D_VOCAB = 7


def text(seed: int, name: str, length: int = 60, d_vocab: int = D_VOCAB) -> Tensor:
    """Return tokens in which id 5 never begins a pair, and id 6 does not occur."""
    drawn = torch.randint(d_vocab - 2, (length,), generator=draws(seed, name))
    return torch.cat([drawn, torch.tensor([5])]) if d_vocab == D_VOCAB else drawn


def table(seed: int, name: str, d_vocab: int = D_VOCAB) -> Tensor:
    """Return a row-stochastic table with distinct rows."""
    drawn = torch.rand(d_vocab, d_vocab, generator=draws(seed, name), dtype=torch.float64) ** 3
    return (drawn + 0.01) / (drawn + 0.01).sum(dim=1, keepdim=True)


def returned(module: ModuleType, function: str, *arguments: object, **options: object) -> Tensor:
    """Return a function's result. Raises Failure unless it is a tensor."""
    got = getattr(module, function)(*arguments, **options)
    return probes.tensor(got, f"what {function} returns")


def counted(module: ModuleType, seed: int) -> Observation:
    counts = returned(module, "count_pairs", text(seed, "pairs"), D_VOCAB)
    return {"the counts": counts.long()}


def counted_long(module: ModuleType, seed: int) -> Observation:
    tokens = text(seed, "many pairs", length=3000, d_vocab=11)
    return {"the counts of 3,000 tokens": returned(module, "count_pairs", tokens, 11).long()}


def counted_short(module: ModuleType, seed: int) -> Observation:
    counts = returned(module, "count_pairs", torch.tensor([2, 0]), 3)
    return {"the counts of two tokens": counts.long()}


def count_refusals(module: ModuleType, _seed: int) -> Observation:
    return {"a text of one token": ending(partial(module.count_pairs, torch.tensor([1]), 3))}


def input_kept(module: ModuleType, seed: int) -> Observation:
    tokens = text(seed, "kept")
    before = tokens.clone()
    module.count_pairs(tokens, D_VOCAB)
    return {"the tokens afterwards": "as before" if torch.equal(tokens, before) else "changed"}


def counts_of(seed: int) -> Tensor:
    counts = torch.randint(0, 9, (D_VOCAB, D_VOCAB), generator=draws(seed, "counts"))
    counts[5] = 0
    counts[0, 3] = 0
    return counts


def smoothed(module: ModuleType, seed: int) -> Observation:
    counts = counts_of(seed)
    return {
        f"the probabilities with {added:g} added": returned(
            module, "probabilities", counts, added
        ).double()
        for added in (1.0, 0.25, 10.0)
    }


def unsmoothed(module: ModuleType, seed: int) -> Observation:
    found = returned(module, "probabilities", counts_of(seed), 0.0)
    return {"the probabilities with 0 added": found.double()}


def default_added(module: ModuleType, seed: int) -> Observation:
    found = returned(module, "probabilities", counts_of(seed))
    return {"the probabilities by default": found.double()}


def probability_refusals(module: ModuleType, seed: int) -> Observation:
    return {"a negative number added": ending(partial(module.probabilities, counts_of(seed), -1.0))}


def counts_kept(module: ModuleType, seed: int) -> Observation:
    counts = counts_of(seed)
    before = counts.clone()
    module.probabilities(counts, 1.0)
    return {"the counts afterwards": "as before" if torch.equal(counts, before) else "changed"}


def loss(module: ModuleType, seed: int) -> Observation:
    texts = {"61 tokens": text(seed, "loss"), "two tokens": torch.tensor([3, 1])}
    return {
        f"the loss of {name}": returned(module, "mean_loss", table(seed, "loss"), tokens).double()
        for name, tokens in texts.items()
    }


def impossible_pair(module: ModuleType, seed: int) -> Observation:
    certain = torch.eye(3, dtype=torch.float64)
    value = returned(module, "mean_loss", certain, torch.tensor([0, 0, 1]))
    return {"the loss with a pair of probability 0": value.double()}


def loss_refusals(module: ModuleType, seed: int) -> Observation:
    one = torch.tensor([1])
    return {"a text of one token": ending(partial(module.mean_loss, table(seed, "loss"), one))}


DRAWS = 4000


def drawn(module: ModuleType, seed: int) -> Observation:
    """Return a long text drawn with distinct rows, and the counts of each token's followers."""
    probabilities = table(seed, "drawn", 4)
    tokens = returned(module, "draw", probabilities, 2, DRAWS, generator=draws(seed, "draw"))
    pairs = tokens[:-1] * 4 + tokens[1:]
    return {"what follows what": torch.bincount(pairs, minlength=16).view(4, 4)}


def followers(observed: Observation) -> Observation:
    counts = observed["what follows what"]
    assert isinstance(counts, Tensor)
    return {"what follows what": Counts(counts)}


def expected_followers(_reference: ModuleType, seed: int) -> Observation:
    return {"what follows what": Distribution(table(seed, "drawn", 4))}


def drawn_shape(module: ModuleType, seed: int) -> Observation:
    probabilities, generator = table(seed, "drawn", 4), draws(seed, "draw")
    tokens = returned(module, "draw", probabilities, 3, 5, generator=generator)
    alone = returned(module, "draw", probabilities, 3, 1, generator=generator)
    return {
        "how many tokens": str(len(tokens)),
        "the first token": str(int(tokens[0])),
        "how many tokens of a text of one": str(len(alone)),
        "kind": "whole numbers" if not tokens.dtype.is_floating_point else str(tokens.dtype),
    }


def drawn_again(module: ModuleType, seed: int) -> Observation:
    first, second = (
        module.draw(table(seed, "drawn", 4), 3, 40, generator=draws(seed, "again")).tolist()
        for _ in range(2)
    )
    before = torch.default_generator.get_state()
    module.draw(table(seed, "drawn", 4), 3, 40, generator=draws(seed, "again"))
    after = torch.default_generator.get_state()
    return {
        "two texts from equally seeded generators": "equal" if first == second else "different",
        "torch's global generator": "untouched" if torch.equal(before, after) else "used",
    }


def draw_refusals(module: ModuleType, seed: int) -> Observation:
    return {"a length of 0": ending(partial(module.draw, table(seed, "drawn", 4), 0, 0))}


def logits_of(seed: int) -> Tensor:
    return torch.randn(D_VOCAB, D_VOCAB, generator=draws(seed, "logits"), dtype=torch.float64) * 3


def loss_of_logits(module: ModuleType, seed: int) -> Observation:
    tokens = text(seed, "logits")
    return {
        name: returned(module, "logits_loss", logits_of(seed) + more, tokens).double()
        for name, more in (("the loss", 0), ("the loss with logits 1,000 higher", 1000))
    }


def gradient(module: ModuleType, seed: int) -> Observation:
    logits = logits_of(seed).requires_grad_()
    returned(module, "logits_loss", logits, text(seed, "logits")).backward()
    return {"the gradient of the logits": logits.grad}


def gradient_by_counting(_reference: ModuleType, seed: int) -> Observation:
    """Return softmax minus the observed share of each follower, weighted by each row's share."""
    tokens, logits = text(seed, "logits"), logits_of(seed)
    pairs = torch.bincount(tokens[:-1] * D_VOCAB + tokens[1:], minlength=D_VOCAB**2)
    counts = pairs.view(D_VOCAB, D_VOCAB).double()
    rows = counts.sum(dim=1, keepdim=True)
    return {
        "the gradient of the logits": (rows * logits.softmax(dim=1) - counts) / (len(tokens) - 1)
    }
