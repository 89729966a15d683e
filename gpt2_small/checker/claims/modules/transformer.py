"""State the claims about Transformer: shared ones tied and untied, loading, the initial loss."""

import math
from functools import partial
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2_small.checker.claims import Claim, Observe
from gpt2_small.checker.claims.judging.stored import stored, stored_answer
from gpt2_small.checker.claims.judging.torch_oracle import gradients_by_torch, output_by_torch
from gpt2_small.checker.claims.modules.dropout import (
    DROPOUT,
    OWN,
    dropout_claims,
    dropped,
    share,
    which_zeros,
)
from gpt2_small.checker.claims.modules.every_module import gradients as gradients_of
from gpt2_small.checker.claims.modules.every_module import module_claims, outputs, taps
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.causality import futures, how_far_moved, nothing_moves
from gpt2_small.checker.claims.observing.observation import Estimate, Observation
from gpt2_small.checker.claims.observing.parameters import extras, parameters
from gpt2_small.checker.claims.observing.refusals import ending
from gpt2_small.checker.claims.observing.subject import Subject
from gpt2_small.checker.parts import PARTS

PART = "Transformer"
TIED = Subject(PART, probes.tokens, output_weight=1 / 16)
UNTIED = Subject(PART, probes.tokens, settings={"tied_embeddings": False}, output_weight=1 / 16)

_LOSS_SETTINGS = {"d_model": 60, "d_head": 20, "d_mlp": 90, "d_vocab": 151, "n_ctx": 32}
_FRESH_MODELS = 6
_BEYOND = f"{probes.SIZES['n_ctx'] + 3} tokens where n_ctx is {probes.SIZES['n_ctx']}"
_DROPPED_SHARE = (
    "the share of the residual stream's features that dropout zeroes, in training mode with "
    "dropout 0.25,"
)
_STREAM = "the stream, unembedded as it is, in training mode with dropout 0.25"
_READ = "the first block's input"
_READ_IN_TRAINING = "the first block's input in training mode"
_LOSS = f"the loss of a fresh model (ln d_vocab is {math.log(_LOSS_SETTINGS['d_vocab']):.3f})"


def keeps_its_configuration(module: ModuleType, _seed: int) -> Observation:
    """The model's `config.n_ctx`, which `generate` reads."""
    settings = getattr(TIED.fresh(module), "config", None)
    return {"model.config.n_ctx": probes.text(getattr(settings, "n_ctx", None))}


def refuses_what_is_too_long(module: ModuleType, seed: int) -> Observation:
    model = TIED.build(module, seed)
    given = probes.tokens(seed, "too long", seq=probes.SIZES["n_ctx"] + 3)
    return {_BEYOND: ending(lambda: model(given))}


def whole_vocabulary(module: ModuleType, seed: int) -> Observation:
    """The logits for tokens with 50256, GPT-2's <|endoftext|>."""
    small = {"d_vocab": 50257, "n_layers": 1}
    model = TIED.build(module, seed, **small)
    given = torch.tensor([[5, 50256, 7, 50256, 3]])
    logits = TIED.run(model, given)
    return {"the logits of some tokens among 50256s": logits[..., 50000:]}


def large_logits(module: ModuleType, seed: int) -> Observation:
    """Logits far larger than an untrained model's."""
    model = TIED.build(module, seed)
    gain = dict(probes.own_parameters(model, TIED.contract()))["ln_final.w"]
    with torch.no_grad():
        gain.mul_(10.0)
    return {"the logits of a model with ten times the gain": TIED.run(model, TIED.feed(seed))}


def loads_strictly(module: ModuleType, seed: int) -> Observation:
    """The logits after loading TransformerLens's state dict with strict=True.

    A second name of a parameter is loaded with the same values.
    """
    model, given = UNTIED.fresh(module).eval(), probes.tokens(seed, "strict")
    contract = UNTIED.contract()
    weights = {n: probes.random_parameter(n, s, seed).float() for n, s in contract.items()}
    own = {id(p): name for name, p in probes.own_parameters(model, contract).items()}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name not in weights and own[id(parameter)] in weights:
            weights[name] = weights[own[id(parameter)]]
    model.load_state_dict(weights, strict=True)
    return {"the output with loaded weights": UNTIED.run(model, given)}


def initial_logits(module: ModuleType, seed: int) -> Observation:
    """Untrained models' logits for random tokens."""
    given = probes.tokens(seed, "initial loss", batch=8, seq=32, d_vocab=_LOSS_SETTINGS["d_vocab"])
    seen: dict[str, Tensor | str] = {"the tokens": given}
    for number in range(_FRESH_MODELS):
        model = TIED.fresh(module, **_LOSS_SETTINGS).eval()
        with torch.no_grad():
            seen[f"the logits of fresh model {number}"] = TIED.run(model, given)
    return seen


def initial_loss(seen: Observation) -> Observation:
    """The models' mean loss and its standard error."""
    tokens, losses = seen["the tokens"], []
    assert isinstance(tokens, Tensor)
    for number in range(_FRESH_MODELS):
        logits = seen[f"the logits of fresh model {number}"]
        assert isinstance(logits, Tensor)
        predicted = logits[:, :-1].double().flatten(0, 1)
        losses.append(F.cross_entropy(predicted, tokens[:, 1:].flatten()))
    spread = torch.stack(losses)
    error = max(spread.std().item(), 0.005) / _FRESH_MODELS**0.5
    return {_LOSS: Estimate(spread.mean().item(), error)}


def causality(module: ModuleType, seed: int) -> Observation:
    """The logits up to each position when all later tokens are replaced."""
    model = TIED.build(module, seed)
    given, other = probes.tokens(seed, "causality"), probes.tokens(seed, "another future")
    return futures(lambda tokens: TIED.run(model, tokens), given, other)


def stream_in_training(module: ModuleType, seed: int) -> Observation:
    """The residual stream in training mode, as logits: dropped features are equal after the norm.

    The blocks' outputs are 0, and the unembedding is the identity.
    """
    model, contract = UNTIED.build(module, seed, dropout=DROPOUT).train(), UNTIED.contract()
    silent = ("W_O", "b_O", "W_out", "b_out", "b_U")
    values = {n: torch.zeros(s) for n, s in contract.items() if n.split(".")[-1] in silent}
    values["unembed.W_U"] = torch.eye(*contract["unembed.W_U"])
    values["ln_final.w"] = torch.ones(contract["ln_final.w"])
    values["ln_final.b"] = torch.zeros(contract["ln_final.b"])
    probes.load_values(model, values)
    features = UNTIED.run(model, UNTIED.feed(seed, "dropped", batch=40))
    return {_STREAM: features[..., : contract["ln_final.w"][0]]}


def dropped_features(seen: Observation) -> Observation:
    features = seen[_STREAM]
    assert isinstance(features, Tensor)
    near = (features.unsqueeze(-1) - features.unsqueeze(-2)).abs() < 1e-6
    return {_DROPPED_SHARE: share(near.sum(dim=-1) > 1)}


_ZEROS = "the share of zeros in the first block's input, in training mode with dropout 0.25"
_KEPT = "the mean distance of its other features from those without dropout, over 0.75"
_WHICH = "the zeros in what the first block reads in training mode"
_DROPPED: Observation = {_ZEROS: Estimate(DROPOUT), _WHICH: OWN, _KEPT: Estimate(0.0)}
_NOT_CALLED = {_READ: "nothing"}


def what_the_first_block_reads(module: ModuleType, seed: int) -> Observation:
    """The first block's input in evaluation and training mode.

    A model that does not call its blocks cannot be observed here, and passes.
    """
    model = TIED.build(module, seed, dropout=DROPOUT)
    given, read = probes.tokens(seed, "first block", batch=8), []
    first: Any = model.get_submodule("blocks.0")
    forward = first.forward

    def noted(*given: Any, **options: Any) -> Any:
        read.append(next(iter([*given, *options.values()]), None))
        return forward(*given, **options)

    first.forward = noted
    with torch.no_grad():
        TIED.run(model.eval(), given)
        TIED.run(model.train(), given)
    if len(read) != 2:
        return _NOT_CALLED
    plain, output = (probes.tensor(one, _READ) for one in read)
    return {_READ: plain, _READ_IN_TRAINING: output}


def dropped_before_the_blocks(seen: Observation) -> Observation:
    if seen == _NOT_CALLED:
        return _DROPPED
    plain, output = seen[_READ], seen[_READ_IN_TRAINING]
    assert isinstance(plain, Tensor)
    assert isinstance(output, Tensor)
    zeroed, distance = dropped(plain.double(), output.double())
    return {_ZEROS: zeroed, _WHICH: which_zeros(output), _KEPT: distance}


def untied(name: str, observe: Observe, **options: Any) -> Claim:
    return Claim(PART, f"untied embeddings: {name}", observe, **options)


CLAIMS = (
    *module_claims(TIED),
    untied("parameter names and shapes", partial(parameters, UNTIED), group="state"),
    untied(
        "no other parameters or buffers in the state dict", partial(extras, UNTIED), group="state"
    ),
    untied(
        "correct output",
        partial(outputs, UNTIED, dtype=torch.float32),
        also=(partial(output_by_torch, UNTIED),),
    ),
    untied(
        "correct output in float64",
        partial(outputs, UNTIED, dtype=torch.float64),
        required=False,
    ),
    untied(
        "correct gradients of all parameters",
        partial(gradients_of, UNTIED, dtype=torch.float32),
        also=(partial(gradients_by_torch, UNTIED),),
        group="gradient",
    ),
    untied("correct activations at the taps", partial(taps, UNTIED), group="taps"),
    Claim(PART, "GPT-2's weights load strictly", loads_strictly, group="state"),
    Claim(PART, "large logits are not clamped", large_logits),
    Claim(PART, "no id of GPT-2's vocabulary is treated specially", whole_vocabulary),
    Claim(
        PART,
        "no position depends on a later token",
        causality,
        summary=how_far_moved,
        expect=nothing_moves,
    ),
    *dropout_claims(TIED, unbiased=False),
    Claim(
        PART,
        "dropout on the sum of the embeddings",
        stream_in_training,
        summary=dropped_features,
        group="dropout",
    ),
    Claim(
        PART,
        "in training mode the first block reads the sum after dropout",
        what_the_first_block_reads,
        summary=dropped_before_the_blocks,
        expect=lambda _reference, _seed: _DROPPED,
        group="dropout",
    ),
    Claim(
        PART,
        "ValueError for more than n_ctx tokens",
        refuses_what_is_too_long,
        group="refusals",
    ),
    Claim(
        PART, "its TransformerConfig is stored as config", keeps_its_configuration, group="state"
    ),
    Claim(
        PART,
        "the initial loss is just above ln d_vocab",
        initial_logits,
        summary=initial_loss,
        group="initialisation",
    ),
    Claim(
        PART,
        "all eight modules of the file together equal TransformerLens",
        partial(stored, TIED),
        expect=lambda _reference, _seed: stored_answer(PART),
        together=PARTS[: PARTS.index(PART) + 1],
    ),
)
