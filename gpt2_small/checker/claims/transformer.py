"""Transformer: the shared checks tied and untied, dropout, loading, the loss before training."""

import math
from functools import partial
from types import ModuleType
from typing import Any

import torch

from gpt2_small.checker.claims import Check, probes
from gpt2_small.checker.claims.dropout import DROPOUT, dropout_checks, dropped, share
from gpt2_small.checker.claims.failure import Failure
from gpt2_small.checker.claims.modules import (
    gradients,
    module_checks,
    outputs,
    stored,
    stored_answer,
    taps,
)
from gpt2_small.checker.claims.observation import Estimate, Observation
from gpt2_small.checker.claims.parameters import extras, parameters
from gpt2_small.checker.claims.subject import Subject
from gpt2_small.checker.mistakes.mistake import reference
from gpt2_small.checker.parts import PARTS

TIED = Subject("Transformer", probes.tokens)
UNTIED = Subject("Transformer", probes.tokens, settings={"tied_embeddings": False})

_LOSS_SETTINGS = {"d_model": 60, "d_head": 20, "d_mlp": 90, "d_vocab": 151, "n_ctx": 32}
_FRESH_MODELS = 6


def keeps_its_configuration(module: ModuleType, _seed: int) -> Observation:
    """`generate` asks a model for its n_ctx."""
    settings = getattr(TIED.fresh(module), "config", None)
    return {"model.config.n_ctx": probes.text(getattr(settings, "n_ctx", None))}


def refuses_what_is_too_long(module: ModuleType, seed: int) -> Observation:
    model = TIED.build(module, seed)
    given = probes.tokens(seed, "too long", seq=probes.SIZES["n_ctx"] + 3)
    try:
        output = TIED.run(model, given)
    except Exception:
        return {"three tokens more than n_ctx": "refused"}
    raise Failure(
        f"three tokens more than n_ctx are not refused: the output is {probes.text(output)}",
        {"three tokens more than n_ctx": "accepted"},
    )


def loads_strictly(module: ModuleType, seed: int) -> Observation:
    """The state dict of the reference, which is TransformerLens's, loaded with strict=True."""
    model, given = UNTIED.fresh(module).eval(), probes.tokens(seed, "strict")
    weights = UNTIED.build(reference(), seed).state_dict()
    model.load_state_dict(weights, strict=True)
    return {"the output with loaded weights": UNTIED.run(model, given)}


def initial_loss(module: ModuleType, seed: int) -> Observation:
    """The loss of fresh models on random tokens, with the standard error over the models."""
    given = probes.tokens(seed, "initial loss", batch=8, seq=32, d_vocab=_LOSS_SETTINGS["d_vocab"])
    losses = []
    for _ in range(_FRESH_MODELS):
        model = TIED.fresh(module, **_LOSS_SETTINGS).eval()
        with torch.no_grad():
            losses.append(reference().next_token_loss(TIED.run(model, given), given).double())
    spread = torch.stack(losses)
    error = max(spread.std().item(), 0.005) / _FRESH_MODELS**0.5
    name = f"the loss of a fresh model (ln d_vocab is {math.log(_LOSS_SETTINGS['d_vocab']):.3f})"
    return {name: Estimate(spread.mean().item(), error)}


def causality(module: ModuleType, seed: int) -> Observation:
    """How far the logits of each position move when all later tokens are drawn anew."""
    model = TIED.build(module, seed).double()
    given, other = probes.tokens(seed, "causality"), probes.tokens(seed, "another future")
    before, moved = TIED.run(model, given), []
    for position in range(probes.SEQ):
        changed = torch.cat([given[:, : position + 1], other[:, position + 1 :]], dim=1)
        after = TIED.run(model, changed)
        moved.append((after - before)[:, : position + 1].abs().max())
    return {"how far logits move when later tokens change": torch.stack(moved)}


def dropped_features(module: ModuleType, seed: int) -> Observation:
    """Features of the stream that dropout has zeroed: after the final norm they are all equal.

    The blocks write nothing, and the unembedding shows the stream as it is.
    """
    model, contract = UNTIED.build(module, seed, dropout=DROPOUT).train(), UNTIED.contract()
    silent = ("W_O", "b_O", "W_out", "b_out", "b_U")
    values = {n: torch.zeros(s) for n, s in contract.items() if n.split(".")[-1] in silent}
    values["unembed.W_U"] = torch.eye(*contract["unembed.W_U"])
    values["ln_final.w"] = torch.ones(contract["ln_final.w"])
    values["ln_final.b"] = torch.zeros(contract["ln_final.b"])
    probes.load_values(model, values)
    features = UNTIED.run(model.double(), UNTIED.feed(seed, "dropped", batch=40))
    features = features[..., : contract["ln_final.w"][0]]
    near = (features.unsqueeze(-1) - features.unsqueeze(-2)).abs() < 1e-9
    return {"the share of equal features of the stream": share(near.sum(dim=-1) > 1)}


_ZEROS = "the share of zeros in what the first block reads, in training mode with dropout 0.25"
_KEPT = "the mean distance of its other features from those without dropout, over 0.75"
_DROPPED = {_ZEROS: Estimate(DROPOUT), _KEPT: Estimate(0.0)}


def what_the_first_block_reads(module: ModuleType, seed: int) -> Observation:
    """In training mode, beside what it reads in evaluation mode.

    A model that computes its blocks without calling them cannot be seen here, and is let be.
    """
    model = TIED.build(module, seed, dropout=DROPOUT).double()
    given, read = probes.tokens(seed, "first block", batch=8), []
    first: Any = model.blocks[0]  # type: ignore[index]
    forward = first.forward

    def noted(residual: torch.Tensor) -> torch.Tensor:
        read.append(residual)
        return forward(residual)

    first.forward = noted
    with torch.no_grad():
        TIED.run(model.eval(), given)
        TIED.run(model.train(), given)
    if len(read) != 2:
        return _DROPPED
    plain, output = (probes.tensor(one, "what the first block reads") for one in read)
    zeroed, distance = dropped(plain, output)
    return {_ZEROS: zeroed, _KEPT: distance}


def untied(name: str, observe: partial[Observation], group: str = "function") -> Check:
    return Check("Transformer", f"With untied embeddings, {name}", observe, group=group)


CHECKS = (
    *module_checks(TIED),
    untied("its parameters are those of the contract", partial(parameters, UNTIED), group="state"),
    untied("nothing else is trainable or saved", partial(extras, UNTIED), group="state"),
    untied("its output is right", partial(outputs, UNTIED, dtype=torch.float64)),
    untied("every parameter gets the right gradient", partial(gradients, UNTIED), group="gradient"),
    untied("the activations at its taps are right", partial(taps, UNTIED), group="taps"),
    Check("Transformer", "GPT-2's weights load strictly", loads_strictly, group="state"),
    Check("Transformer", "No position sees a later token", causality),
    *dropout_checks(TIED, unbiased=False),
    Check(
        "Transformer",
        "Dropout zeroes features of the sum of the embeddings",
        dropped_features,
        group="dropout",
    ),
    Check(
        "Transformer",
        "In training mode the first block reads a sum of which features are dropped",
        what_the_first_block_reads,
        expect=lambda _reference, _seed: _DROPPED,
        group="dropout",
    ),
    Check(
        "Transformer",
        "More than n_ctx tokens are refused",
        refuses_what_is_too_long,
        group="refusals",
    ),
    Check(
        "Transformer",
        "It keeps its configuration as config",
        keeps_its_configuration,
        group="state",
    ),
    Check(
        "Transformer",
        "Before training the loss is a little above ln d_vocab, and not more",
        initial_loss,
        group="initialisation",
    ),
    Check(
        "Transformer",
        "All eight modules of the file together give what TransformerLens gives",
        partial(stored, TIED),
        expect=lambda _reference, _seed: stored_answer("Transformer"),
        together=PARTS[: PARTS.index("Transformer") + 1],
    ),
)
