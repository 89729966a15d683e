"""State the claims about generate: greedy continuations, the window, options, modes, refusals."""

from contextlib import suppress
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.functions.generation_inputs import N_CTX, model_of, prompt
from gpt2_small.checker.claims.functions.generation_randomness import as_seeded, repeatable
from gpt2_small.checker.claims.functions.source_of_randomness import equalities
from gpt2_small.checker.claims.judging.token_distribution import probabilities
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Counts, Distribution, Entry, Observation
from gpt2_small.checker.claims.observing.refusals import ending
from gpt2_small.checker.claims.observing.token_models import answering, fixed, hashed

PART = "generate"
_DRAWS = 1000
_SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"temperature": 2.5},
    {"temperature": 0.5},
    {"top_k": 3},
    {"top_p": 0.7},
    {"temperature": 1.7, "top_k": 4, "top_p": 0.6},
)


def called(module: ModuleType, seed: int) -> Observation:
    got = module.generate(model_of(module, seed), prompt(seed, 4), 3, temperature=0.0)
    got = probes.tensor(got, "what generate returns")
    return {"what generate returns": f"{got.dtype} with {got.dim()} axes"}


def greedy(module: ModuleType, seed: int) -> Observation:
    """Greedy continuations of one prompt, and of three below n_ctx, reaching and crossing it."""
    alone = module.generate(model_of(module, seed), prompt(seed, 1)[:1], 3, temperature=0.0)
    seen: dict[str, Entry] = {"the tokens after a single prompt of 1 and 3 new": alone}
    seen.update(_greedy(module, seed, (1, 5), (4, 7), (N_CTX - 2, 8)))
    return seen


def greedy_beyond(module: ModuleType, seed: int) -> Observation:
    return _greedy(module, seed, (N_CTX + 3, 6))


def _greedy(module: ModuleType, seed: int, *sizes: tuple[int, int]) -> Observation:
    """Greedy continuations of prompts of these lengths, by these numbers of tokens.

    Random parameters repeat a few tokens whatever they read, so that a second model shows what it
    is given.
    """
    models = {"": model_of(module, seed), " of a model that hashes them": answering(module, hashed)}
    seen: dict[str, Entry] = {}
    for name, model in models.items():
        for seq, new in sizes:
            got = module.generate(model, prompt(seed, seq), new, temperature=0.0)
            seen[f"the tokens after a prompt of {seq} and {new} new{name}"] = got
    return seen


def nothing_new(module: ModuleType, seed: int) -> Observation:
    return {
        "the tokens with max_new_tokens=0": module.generate(
            model_of(module, seed), prompt(seed, 5), 0
        )
    }


def fixed_logits() -> Tensor:
    return torch.tensor([0.15, 0.4, 0.06, 0.01, 0.25, 0.1, 0.03]).log()


def drawn(module: ModuleType, seed: int) -> Observation:
    """Two new tokens for each row of a large batch."""
    seen: dict[str, Entry] = {}
    for setting in _SETTINGS:
        got = module.generate(
            fixed(module, fixed_logits()),
            torch.zeros(_DRAWS, 2, dtype=torch.int64),
            2,
            generator=probes.draws(seed, str(setting)),
            **setting,
        )
        seen[_named(setting)] = probes.tensor(got, "what generate returns")
    given = torch.zeros(_LARGE_DRAWS, 2, dtype=torch.int64)
    generator = probes.draws(seed, "large vocabulary")
    got = module.generate(fixed(module, large_logits()), given, 1, generator=generator)
    seen[_LARGE] = probes.tensor(got, "what generate returns")
    return seen


# A vocabulary beyond usual values of top_k, in four quarters of falling probability.
_LARGE = "the tokens drawn from 600 with no option"
_LARGE_DRAWS, _LARGE_VOCAB = 500, 600


def large_logits() -> Tensor:
    return torch.linspace(0.0, -0.5, _LARGE_VOCAB)


def _spread(got: Entry) -> Entry:
    """Whether every quarter of the large vocabulary was drawn from, in words."""
    if not isinstance(got, Tensor) or got.shape != (_LARGE_DRAWS, 3):
        return got if isinstance(got, str) else probes.text(got)
    quarters = set((got[:, 2].long() * 4 // _LARGE_VOCAB).tolist())
    return "unlikely ones too" if quarters == set(range(4)) else "the most likely ones alone"


def counted(seen: Observation) -> Observation:
    """Counts of both new tokens; a text if there are not two."""
    return {name: _spread(got) if name == _LARGE else _counted(got) for name, got in seen.items()}


def _counted(got: Entry) -> Entry:
    if not isinstance(got, Tensor):
        return got
    if got.shape != (_DRAWS, 4) or got.dtype != torch.int64:
        return probes.text(got)
    if not bool(((got >= 0) & (got < 7)).all()):
        return "tokens outside the vocabulary"
    return Counts(torch.stack([torch.bincount(column, minlength=7) for column in got[:, 2:].T]))


def exact(_reference: ModuleType, _seed: int) -> Observation:
    rows = fixed_logits().repeat(2, 1)
    wanted: dict[str, Entry] = {
        _named(s): Distribution(probabilities(rows, **s)) for s in _SETTINGS
    }
    return wanted | {_LARGE: "unlikely ones too"}


def _named(setting: dict[str, Any]) -> str:
    return "the draws with " + (", ".join(f"{k}={v}" for k, v in setting.items()) or "no option")


def modes(module: ModuleType, seed: int) -> Observation:
    """Whether the model is in evaluation mode meanwhile, and every module's mode is restored."""
    seen: dict[str, Entry] = {}
    for training in (True, False):
        model, meanwhile = model_of(module, seed, dropout=0.4).train(training), set[bool]()
        model.register_forward_pre_hook(lambda m, _, modes=meanwhile: modes.add(m.training))
        got = module.generate(model, prompt(seed, 4), 6, temperature=0.0)
        before = "training" if training else "evaluation"
        seen[f"the tokens of a model in {before} mode with dropout"] = got
        seen[f"the mode meanwhile of a model in {before} mode"] = (
            "training" if True in meanwhile else "evaluation"
        )
        found = {each.training for each in model.modules()}
        seen[f"the mode of a model that was in {before} mode"] = (
            "training in some modules alone"
            if len(found) > 1
            else "training"
            if model.training
            else "evaluation"
        )
    return seen


def mode_after_error(module: ModuleType, _seed: int) -> Observation:
    """The mode of a model in training mode after an error in its second forward pass."""
    model, calls = fixed(module, fixed_logits()).train(), []

    def breaking(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of memory")

    model.register_forward_pre_hook(breaking)
    with suppress(RuntimeError):
        module.generate(model, torch.zeros(2, 3, dtype=torch.int64), 4, temperature=0.0)
    return {"the mode after an error in the model": "training" if model.training else "evaluation"}


def without_gradients(module: ModuleType, seed: int) -> Observation:
    """Whether the logits require gradients, which would accumulate in memory."""
    model, kept = model_of(module, seed), []
    model.register_forward_hook(lambda _m, _i, logits: kept.append(logits.requires_grad))
    module.generate(model, prompt(seed, 4), 2, temperature=0.0)
    return {"the recording of gradients while generating": "on" if any(kept) else "off"}


def window(module: ModuleType, seed: int) -> Observation:
    """The longest sequence passed to the model."""
    model, lengths = model_of(module, seed), [0]
    model.register_forward_pre_hook(lambda _m, given: lengths.append(given[0].shape[1]))
    module.generate(model, prompt(seed, N_CTX - 2), 6, temperature=0.0)
    return {"the longest sequence the model is given, for an n_ctx of 12": str(max(lengths))}


def whatever_follows(module: ModuleType, seed: int) -> Observation:
    """Generation after possible end tokens: the first, the last, and GPT-2's <|endoftext|>."""
    seen: dict[str, Entry] = {}
    for d_vocab, token in [(7, 0), (7, 6), (50257, 50256)]:
        certain = torch.zeros(d_vocab)
        certain[token] = 20.0
        given = torch.full((2, 3), 1)
        name = f"the tokens when {token} of {d_vocab} is drawn every time"
        seen[name] = module.generate(fixed(module, certain), given, 4, temperature=0.0)
    return seen


def untouched(module: ModuleType, seed: int) -> Observation:
    given = prompt(seed, 6)
    module.generate(model_of(module, seed), given, 4, temperature=0.0)
    return {"the prompt after the call": given}


def refusals(module: ModuleType, seed: int) -> Observation:
    model, empty = model_of(module, seed), torch.zeros(2, 0, dtype=torch.int64)
    return {
        "a call with an empty prompt": ending(lambda: module.generate(model, empty, 3)),
        "a call with max_new_tokens=-2": ending(
            lambda: module.generate(model, prompt(seed, 4), -2)
        ),
    }


CLAIMS = (
    Claim(PART, "it returns tokens for a model and a prompt", called, gate=True),
    Claim(PART, "correct greedy continuation, also beyond n_ctx tokens", greedy),
    Claim(PART, "correct greedy continuation of a prompt longer than n_ctx", greedy_beyond),
    Claim(PART, "the model gets at most the last n_ctx tokens", window),
    Claim(PART, "max_new_tokens 0 returns the prompt", nothing_new),
    Claim(PART, "no token ends the generation early", whatever_follows),
    Claim(PART, "temperature, top_k and top_p are applied", drawn, summary=counted,
          expect=exact),
    Claim(PART, "random numbers come from the generator", repeatable, summary=equalities,
          expect=as_seeded, group="chance"),
    Claim(PART, "evaluation mode meanwhile, and the mode is restored", modes, group="dropout"),
    Claim(PART, "the mode is restored after an error in the model too", mode_after_error,
          required=False, group="dropout"),
    Claim(PART, "no gradients are recorded", without_gradients, group="gradient"),
    Claim(PART, "the prompt is not modified in place", untouched, group="inputs"),
    Claim(PART, "ValueError for an empty prompt and a negative max_new_tokens",
          refusals, group="refusals"),
)  # fmt: skip
