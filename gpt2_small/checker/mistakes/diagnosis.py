"""Where a module first goes wrong inside: its intermediate results against the reference's.

Everything that torch computes in a call is recorded; an activation of the reference is there when
some result has the same numbers, in whatever layout or order. So it needs no taps.
"""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gpt2_small.checker.claims import checks_of, probes
from gpt2_small.checker.claims.subject import Subject
from gpt2_small.checker.mistakes.mistake import reference

# The reference's inner activations in the order in which they arise, and what they are called.
STAGES: dict[str, dict[str, str]] = {
    "LayerNorm": {
        "hook_scale": "the scale, sqrt(variance + epsilon)",
        "hook_normalized": "the normalized input",
    },
    "MultiHeadAttention": {
        "hook_q": "q",
        "hook_k": "k",
        "hook_v": "v",
        "hook_attn_scores": "the scores",
        "hook_pattern": "the pattern",
        "hook_z": "z",
    },
    "MLP": {
        "hook_pre": "the hidden layer before the activation",
        "hook_post": "the hidden layer after the activation",
    },
    "TransformerBlock": {
        "ln1.hook_normalized": "the input as ln1 normalizes it",
        "hook_attn_out": "the attention's output",
        "hook_resid_mid": "the stream after attention",
        "ln2.hook_normalized": "that as ln2 normalizes it",
        "hook_mlp_out": "the MLP's output",
        "hook_resid_post": "the stream at the end",
    },
    "Transformer": {
        "hook_embed": "the token embedding",
        "hook_pos_embed": "the position embedding",
        "blocks.0.hook_resid_pre": "the stream into block 0",
        "blocks.0.hook_resid_post": "the stream after block 0",
        "blocks.1.hook_resid_post": "the stream after block 1",
        "ln_final.hook_normalized": "the stream as ln_final normalizes it",
    },
}
_CLOSE = 1e-6


class Recording(TorchFunctionMode):
    """Keeps the floating-point results of all torch functions that are called meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[Tensor] = []

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, Tensor) and value.is_floating_point() and value.dim() >= 2:
                self.results.append(value.detach().clone())
        return result


def diagnose(module: ModuleType, part: str, seed: int) -> str:
    """Which inner activations are right and which differs first; empty if it cannot tell."""
    subject = _subject(part)
    if subject is None or part not in STAGES:
        return ""
    try:
        right = subject.build(reference(), seed).double()
        given = subject.values(seed, "diagnosis", torch.float64)
        with torch.no_grad(), probes.listening(right) as stages:
            subject.run(right, given)
        model: nn.Module = subject.build(module, seed).double()
        with torch.no_grad(), Recording() as recording:
            subject.run(model, given.clone())
    except Exception:
        return ""
    return walk(STAGES[part], stages, [value.double() for value in recording.results])


def _subject(part: str) -> Subject | None:
    observe = getattr(checks_of(part)[0].observe, "args", ())
    return observe[0] if observe and isinstance(observe[0], Subject) else None


def walk(names: dict[str, str], stages: dict[str, Tensor], results: list[Tensor]) -> str:
    """Go through the stages until one is not among the results."""
    right: list[str] = []
    for tap, name in names.items():
        masked = tap.endswith("hook_attn_scores")
        stage = stages[tap].tril() if masked else stages[tap]
        candidates = [r.tril() for r in results if r.dim() == 4] if masked else results
        if any(same_numbers(stage, value) for value in candidates):
            right.append(name)
            continue
        last_first = reversed(candidates)
        factor = next((f for value in last_first if (f := multiple(stage, value))), None)
        if factor is not None:
            return f"{_are_right(right)}{name} {_is_are(name)} {factor:.4g} times the reference's."
        if any(value.numel() == stage.numel() for value in candidates):
            return f"{_are_right(right)}{name} {_is_are(name)} not found among what is computed."
    return f"{_are_right(right)}the output differs." if right else ""


def _are_right(names: list[str]) -> str:
    if not names:
        return "Inside, "
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"Inside, {listed} {'is' if len(names) == 1 else 'are'} right; "


def _is_are(name: str) -> str:
    return "are" if name == "the scores" else "is"


def same_numbers(stage: Tensor, value: Tensor) -> bool:
    """Whether two tensors hold the same numbers, in whatever order."""
    if value.numel() != stage.numel() or not bool(value.isfinite().all()):
        return False
    a, b = (t.flatten().sort().values for t in (stage, value))
    return bool((a - b).abs().max() <= _CLOSE * max(1.0, a.abs().max().item()))


def multiple(stage: Tensor, value: Tensor) -> float | None:
    """By what positive number a tensor is a multiple of a stage, in whatever order, if it is."""
    if value.numel() != stage.numel() or not bool(value.isfinite().all()):
        return None
    factor = (value.norm() / stage.norm()).item()
    if not 1e-6 < factor < 1e6:
        return None
    return factor if same_numbers(stage, value / factor) else None
