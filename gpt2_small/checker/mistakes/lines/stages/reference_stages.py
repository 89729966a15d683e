"""Record the reference's intermediate results in a part, with names."""

import ast
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.mistakes.edited_reference import reference_text
from gpt2_small.checker.mistakes.lines.stages.other_right_stages import other_right_stages
from gpt2_small.checker.mistakes.lines.stages.stage import Stage, same, stage_of
from gpt2_small.checker.sandbox import tracing
from gpt2_small.checker.sandbox.tracing import record

# The beginning of the name of a result inside a statement.
WITHIN = "a step in "

# The names of the reference's variables.
NAMES = {
    "centered": "the input minus its mean",
    "variance": "the variance",
    "scale": "the scale, sqrt(variance + epsilon)",
    "normalized": "the normalized input",
    "query": "the queries",
    "key": "the keys",
    "value": "the values",
    "similarity": "the scores before the mask",
    "scores": "the masked scores",
    "pattern": "the pattern",
    "z": "z",
    "output": "the output before b_O and dropout",
    "returned": "the output",
    "pre": "the hidden layer before the activation",
    "post": "the hidden layer after the activation",
    "attn_out": "the attention's output",
    "resid_mid": "the stream after attention",
    "mlp_out": "the MLP's output",
    "embed": "the token embedding",
    "pos_embed": "the position embedding",
    "residual": "the residual stream",
    "final": "the stream after the last norm",
    "tied_W_U": "the transposed W_E",
    "targets": "the targets",
    "predictions": "the logits that have a target",
    "relative": "the logits",
    "descending": "the sorted logits over the temperature",
    "probabilities": "the probabilities",
    "rank": "the drawn rank",
    "logits": "the logits",
    "next_token": "the next token",
    "tokens": "the tokens so far",
    "weighted_loss": "the weighted loss",
}
# Where they are other ones in a part.
_NAMES_IN = {("MLP", "output"): "the output before dropout"}
PLURAL = ("queries", "keys", "values", "scores", "logits", "probabilities", "targets", "tokens")


@cache
def stages(part: str, seed: int, case: str = "") -> tuple[Stage, ...]:
    """The reference's results in order; those of whole statements have names."""
    trace = record(reference(), part, seed, case)
    targets = _targets(part)
    found = []
    for index, event in enumerate(trace.events):
        target = targets.get(event.called or event.line, "")
        if event.value is None or not event.from_data or event.value.dtype == torch.bool:
            continue
        if target == "mask":
            continue
        following = next((e.called or e.line for e in trace.events[index + 1 : index + 2]), 0)
        is_last = targets.get(following, "") != target
        name = _NAMES_IN.get((part, target)) or NAMES.get(target, target.replace("_", " "))
        if not is_last and name:
            name = f"{WITHIN}{name}"
        if index == trace.output:
            name = "the output"
        found.append(stage_of(name or "a step", event.value))
    extra = [*_input_stages(part, seed, case), *other_right_stages(part, seed, found)]
    return (*found, *(replace(stage, is_extra=True) for stage in extra))


@cache
def has_the_stages(part: str, seed: int, exercises: ExerciseSet) -> bool:
    """Whether a set's part has GPT-2's results; a variant may differ in dropout alone."""
    if exercises is GPT2:
        return True
    if not exercises.is_variant:
        return False
    right, other = (record(reference(each), part, seed) for each in (GPT2, exercises))
    if right.output is None or other.output is None:
        return False
    a, b = right.events[right.output].value, other.events[other.output].value
    return a is not None and b is not None and same(a.double(), b.double())


def steps_of_other_styles(part: str, seed: int) -> list[Tensor]:
    """Intermediate results of some right parts, which are no evidence."""
    by_name = {stage.name: stage.value for stage in stages(part, seed)}
    if part == "LayerNorm":
        built = tracing.model_and_input(reference(), part, seed)
        assert built is not None
        given = built[1].detach()
        mean = given.mean(-1, keepdim=True)
        squares = given.square()
        return [mean, mean.square(), squares, squares.mean(-1, keepdim=True), squares.sum(-1)]
    if part == "MLP":
        pre = by_name["the hidden layer before the activation"]
        inner = math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)
        return [pre / 2, pre**2, pre * (1 + inner.tanh()), (1 + inner.tanh()) / 2]
    return []


def _input_stages(part: str, seed: int, case: str) -> Iterator[Stage]:
    """A module's parameters, and its input if that is real numbers."""
    built = tracing.model_and_input(reference(), part, seed, case)
    if built is None:
        return
    model, given = built
    values = dict(model.named_parameters(recurse=False))
    if given.is_floating_point():
        values["the input"] = given  # type: ignore[assignment]
    for name, value in values.items():
        yield replace(stage_of(name, value.detach()), is_given=True)


@cache
def _targets(part: str) -> dict[int, str]:
    """The variable that each line of the reference's part assigns."""
    found: dict[int, str] = {}
    for node in ast.walk(ast.parse(reference_text())):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == part:
            for statement in ast.walk(node):
                if isinstance(statement, ast.Assign):
                    target = statement.targets[0]
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    name = getattr(names[0], "id", "")
                elif isinstance(statement, ast.Return):
                    name = "returned"
                else:
                    continue
                for line in range(statement.lineno, (statement.end_lineno or 0) + 1):
                    found[line] = name
    return found
