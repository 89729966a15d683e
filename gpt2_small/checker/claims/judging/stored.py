"""Compare a part with TransformerLens's stored outputs for stored weights and inputs.

The file's process reads only weights and inputs; the judge reads TransformerLens's outputs.
"""

import json
from functools import cache
from types import ModuleType
from typing import Any

from torch import Tensor

from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.subject import Subject
from gpt2_small.checker.stored_reference import (
    STORED,
    component_cases,
    stored_path,
    stored_reference,
)

# The last place of a part in a model of N blocks, and the activation that it reads there.
_LAST: dict[str, tuple[str, str]] = {
    "Embedding": ("embed", "tokens"),
    "PositionalEmbedding": ("pos_embed", "tokens"),
    "LayerNorm": ("ln_final", "blocks.{last}.hook_resid_post"),
    "MultiHeadAttention": ("blocks.{last}.attn", "blocks.{last}.ln1"),
    "MLP": ("blocks.{last}.mlp", "blocks.{last}.ln2"),
    "TransformerBlock": ("blocks.{last}", "blocks.{last}.hook_resid_pre"),
    "Unembedding": ("unembed", "ln_final"),
    "Transformer": ("", "tokens"),
}


def stored(subject: Subject, module: ModuleType, _seed: int) -> Observation:
    """The outputs for stored inputs with stored weights."""
    seen = {}
    for name in STORED:
        config, where, parameters, given = stored_input(name, subject.name)
        if parameters:
            model = getattr(module, subject.name)(module.TransformerConfig(**config))
            probes.load_values(model, {key: value.float() for key, value in parameters.items()})
            given = given.float() if given.is_floating_point() else given
            seen[label(name, where)] = subject.run(model.eval(), given)
    return seen


def stored_input(name: str, part: str) -> tuple[dict[str, Any], str, dict[str, Tensor], Tensor]:
    """The configuration of a stored model, the last place of a part, its parameters and input.

    Without such a part in the model, there are no parameters.
    """
    from safetensors import safe_open

    with safe_open(stored_path(name), framework="pt") as file:
        config = json.loads(file.metadata()["config"])
        where, source = (text.format(last=config["n_layers"] - 1) for text in _LAST[part])
        start = f"weights/{where}." if where else "weights/"
        names = [key for key in file.keys() if key.startswith(start)]  # noqa: SIM118
        parameters = {key.removeprefix(start): file.get_tensor(key) for key in names}
        given = file.get_tensor(
            source if source == "tokens" else f"activations/{_normalized(source)}"
        )
        if source != _normalized(source):
            gain, bias = (file.get_tensor(f"weights/{source}.{letter}") for letter in "wb")
            given = given * gain + bias
    return config, where, parameters, given


def _normalized(source: str) -> str:
    """The activation, or a norm's before gain and bias."""
    is_norm = source.rsplit(".", 1)[-1].startswith("ln")
    return f"{source}.hook_normalized" if is_norm else source


@cache
def stored_answer(part: str) -> Observation:
    """TransformerLens's float64 outputs, rounded."""
    answers = {}
    for name in STORED:
        reference = stored_reference(name)
        where = _LAST[part][0].format(last=reference.config["n_layers"] - 1)
        for case in component_cases(reference):
            if case.component == part and case.where == where:
                answers[label(name, where)] = case.output.float()
    return answers


def label(name: str, where: str) -> str:
    """The entry's name for a place in a stored model."""
    return f"the output with the weights of {where or 'the whole'} of the stored {name} GPT-2"
